//! `caducee queue`: mail on its way to other operators.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, pairs, size, table};
use crate::serve::http::queue::types::{
    LastWords, QueueHandled, QueueOrder, QueueQuery, QueuedConsignment, QueuedMessage, QueuedMessages, QueuedRecipient,
};

/// How many messages are asked for at once.
const PAGE: u32 = 500;

/// Mail on its way to other operators
#[derive(Args, Debug)]
pub(super) struct QueueCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists what waits, oldest first
    List(ListArguments),
    /// Shows one message, with what was last said about each recipient
    Show {
        /// Its number
        id: u64,
    },
    /// Tries now, also where the destination was away; what is held stays held
    Retry(Chosen),
    /// Holds: neither tried nor given up until its release
    Hold(Chosen),
    /// Lets go what is held; it is tried now
    Release(Chosen),
    /// Gives up; the senders get a report
    Bounce(BounceArguments),
    /// Takes out of the queue; nobody is told. Spares what lies nowhere else
    Cancel(CancelArguments),
}

#[derive(Args, Debug)]
struct ListArguments {
    /// From this sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// To this recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// To this domain
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// waiting, away (the destination cannot be spoken to), trying or held
    #[arg(long)]
    state: Option<String>,
}

/// Which consignments; all filters together
#[derive(Args, Debug)]
#[group(id = "chosen", required = true, multiple = true)]
struct Chosen {
    /// The message with this number
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
    /// From this sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// To this recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// To this domain
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// The whole queue
    #[arg(long, conflicts_with_all = ["id", "sender", "recipient", "domain"])]
    all: bool,
}

#[derive(Args, Debug)]
struct BounceArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// What the senders are told
    #[arg(long, value_name = "TEXT", conflicts_with = "quiet")]
    reason: Option<String>,
    /// Tells nobody: the same as cancel
    #[arg(long)]
    quiet: bool,
    /// As cancel --force
    #[arg(long, requires = "quiet")]
    force: bool,
}

#[derive(Args, Debug)]
struct CancelArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Also messages that lie nowhere else (forwards whose holder keeps no copy): they are gone for good
    #[arg(long)]
    force: bool,
}

impl QueueCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::List(arguments) => {
                let messages = all(client, arguments).await?;
                output.result(&QueuedMessages { messages, next_after: None }, |found| listing(&found.messages));
                Ok(Exit::Done)
            }
            Self::Show { id } => {
                let message: QueuedMessage = client.get(&path(&["queue", &id.to_string()])).await?;
                output.result(&message, details);
                Ok(Exit::Done)
            }
            Self::Retry(chosen) => order(client, output, ("retry", "due now"), chosen.order()).await,
            Self::Hold(chosen) => order(client, output, ("hold", "held"), chosen.order()).await,
            Self::Release(chosen) => order(client, output, ("release", "released"), chosen.order()).await,
            Self::Bounce(BounceArguments { chosen, quiet: true, force, .. })
            | Self::Cancel(CancelArguments { chosen, force }) => {
                let wanted = QueueOrder { force, ..chosen.order() };
                order(client, output, ("cancel", "cancelled"), wanted).await
            }
            Self::Bounce(BounceArguments { chosen, reason, .. }) => {
                let wanted = QueueOrder { reason, ..chosen.order() };
                order(client, output, ("bounce", "given up"), wanted).await
            }
        }
    }
}

impl Chosen {
    fn order(self) -> QueueOrder {
        let Chosen { id, sender, recipient, domain, all } = self;
        QueueOrder { id, sender, recipient, domain, all, ..QueueOrder::default() }
    }
}

async fn order(
    client: &mut Client,
    output: &Output,
    (verb, done): (&str, &str),
    order: QueueOrder,
) -> Result<Exit, ClientError> {
    let handled: QueueHandled = client.send(Method::POST, &path(&["queue", verb]), &order).await?;
    output.result(&handled, |handled| match handled.recipients {
        0 => "Nothing to be done.".into(),
        some => format!("{} {done}.", recipients(some)),
    });
    if handled.spared == 0 {
        return Ok(Exit::Done);
    }
    output.note(&format!(
        "{} left: of messages that lie nowhere else, for their holders keep no copy of what they have sent on.\n\
         `caducee queue bounce` gives them back; --force destroys them.",
        recipients(handled.spared)
    ));
    Ok(Exit::Partly)
}

fn recipients(count: u64) -> String {
    if count == 1 { "1 recipient".into() } else { format!("{count} recipients") }
}

async fn all(client: &mut Client, arguments: ListArguments) -> Result<Vec<QueuedMessage>, ClientError> {
    let ListArguments { sender, recipient, domain, state } = arguments;
    let mut fields = QueueQuery { sender, recipient, domain, state, after: None, limit: Some(PAGE) };
    let mut messages = Vec::new();
    loop {
        let page: QueuedMessages = client.get(&format!("{}{}", path(&["queue"]), query(&fields)?)).await?;
        messages.extend(page.messages);
        match page.next_after {
            Some(after) => fields.after = Some(after),
            None => return Ok(messages),
        }
    }
}

/// One line a consignment.
fn listing(messages: &[QueuedMessage]) -> String {
    if messages.is_empty() {
        return "Nothing is in the queue.".into();
    }
    let rows = messages.iter().flat_map(|message| message.consignments.iter().map(move |each| row(message, each)));
    table(["id", "accepted", "sender", "to", "state", "next try", "tries", "last words"], rows)
}

fn row(message: &QueuedMessage, consignment: &QueuedConsignment) -> [String; 8] {
    let to = match consignment.recipients.as_slice() {
        [one] => one.address.clone(),
        several => format!("{} at {}", several.len(), consignment.domain),
    };
    let last = consignment.recipients.iter().find_map(|recipient| recipient.last.as_ref());
    [
        message.id.to_string(),
        message.accepted_at.clone(),
        sender(message),
        to,
        consignment.state.clone().unwrap_or_default(),
        consignment.next_try_at.clone().unwrap_or_default(),
        consignment.attempts.to_string(),
        last.map(words).unwrap_or_default(),
    ]
}

fn sender(message: &QueuedMessage) -> String {
    message.sender.clone().unwrap_or_else(|| "<>".into())
}

fn words(words: &LastWords) -> String {
    let code = words.code.map(|code| format!("{code} ")).unwrap_or_default();
    let host = words.host.as_deref().map(|host| format!("{host}: ")).unwrap_or_default();
    format!("{host}{code}{} {}", words.status, words.text)
}

fn details(message: &QueuedMessage) -> String {
    let head = pairs([
        ("number", message.id.to_string()),
        ("kind", message.kind.clone()),
        ("sender", sender(message)),
        ("message-id", message.message_id.clone().unwrap_or_default()),
        ("reference", message.reference.clone()),
        ("size", size(message.size)),
        ("accepted", message.accepted_at.clone()),
        ("held back until", message.not_before.clone().unwrap_or_default()),
        ("given up at", message.expires_at.clone()),
    ]);
    let recipients = message.consignments.iter().flat_map(|consignment| {
        consignment.recipients.iter().map(move |recipient| recipient_row(consignment, recipient))
    });
    format!("{head}\n\n{}", table(["recipient", "state", "next try", "tries", "tried at", "last words"], recipients))
}

fn recipient_row(consignment: &QueuedConsignment, recipient: &QueuedRecipient) -> [String; 6] {
    [
        recipient.address.clone(),
        consignment.state.clone().unwrap_or_default(),
        consignment.next_try_at.clone().unwrap_or_default(),
        consignment.attempts.to_string(),
        recipient.tried_at.clone().unwrap_or_default(),
        recipient.last.as_ref().map(words).unwrap_or_default(),
    ]
}
