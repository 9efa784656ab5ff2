//! `caducee mailbox`: the mailboxes, from their creation to their end.

mod access;
mod certificate;
mod factor;
mod fields;
mod handling;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use self::access::{GrantArguments, UngrantArguments};
use self::certificate::CertificateVerb;
use self::factor::FactorVerb;
pub(in crate::cli) use self::fields::parse_size;
use self::fields::{ChangeArguments, CreateArguments};
use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output};
use super::secret::{PasswordSource, confirm};
use crate::serve::http::types::{
    CloseRequest, CreatedMailbox, Mailbox, MailboxQuery, Mailboxes, PasswordAnswer, PasswordRequest, StateRequest,
};

/// How many mailboxes are asked for at once.
const PAGE: u32 = 500;

/// The mailboxes
#[derive(Args, Debug)]
pub(super) struct MailboxCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Creates a mailbox; its address and kind never change afterwards
    Create(Box<CreateArguments>),
    /// Lists mailboxes
    List(ListArguments),
    /// Shows one mailbox
    Show {
        /// Its address
        address: String,
    },
    /// Changes what is known about a mailbox
    Set(Box<ChangeArguments>),
    /// Suspends a mailbox: it accepts nothing and opens for nobody; nothing is lost
    Suspend(StateArguments),
    /// Reopens a suspended mailbox
    Reopen(StateArguments),
    /// Closes a mailbox for good: its content is erased, its address is never given again
    Close(CloseArguments),
    /// Sets, generates or removes a mailbox's password
    Password(PasswordArguments),
    /// Lets somebody use a mailbox besides its holder, or changes what they may do; at once
    Grant(GrantArguments),
    /// Takes somebody off a mailbox's access list; their sessions end
    Ungrant(UngrantArguments),
    /// The client certificates that open a mailbox
    #[command(subcommand)]
    Certificate(CertificateVerb),
    /// What a holder shows beside the password
    #[command(subcommand)]
    Factor(FactorVerb),
}

#[derive(Args, Debug)]
struct ListArguments {
    /// Only those in this domain
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Only this kind: PER, ORG, APP or CAB
    #[arg(long)]
    kind: Option<String>,
    /// Only this state: open, suspended, closed; or requested, closing, forgotten
    #[arg(long)]
    state: Option<String>,
    /// Only test mailboxes (--test), or only others (--test=false)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    test: Option<bool>,
    /// Only those that their password opens alone (--password-alone), or only others (--password-alone=false)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    password_alone: Option<bool>,
    /// Only those that have a notification address, or only those that lack one (--notification-address=false)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    notification_address: Option<bool>,
    /// Only those whose address, names or entity contain this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Args, Debug)]
struct StateArguments {
    /// Its address
    address: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Args, Debug)]
struct CloseArguments {
    /// Its address
    address: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
struct PasswordArguments {
    /// Its address
    address: String,
    #[command(flatten)]
    source: PasswordSource,
    /// Remove the password
    #[arg(long, conflicts_with = "PasswordSource")]
    remove: bool,
}

impl MailboxCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Create(arguments) => create(*arguments, client, output).await?,
            Self::List(arguments) => list(arguments, client, output).await?,
            Self::Show { address } => {
                let mailbox: Mailbox = client.get(&path(&["mailboxes", &address])).await?;
                output.result(&mailbox, show::details);
            }
            Self::Set(arguments) => {
                let (address, change) = arguments.change()?;
                let mailbox: Mailbox = client.send(Method::PATCH, &path(&["mailboxes", &address]), &change).await?;
                output.result(&mailbox, show::details);
            }
            Self::Suspend(arguments) => change_state(arguments, "suspend", client, output).await?,
            Self::Reopen(arguments) => change_state(arguments, "reopen", client, output).await?,
            Self::Close(arguments) => close(arguments, client, output).await?,
            Self::Password(arguments) => password(arguments, client, output).await?,
            Self::Grant(arguments) => arguments.run(client, output).await?,
            Self::Ungrant(arguments) => arguments.run(client, output).await?,
            Self::Certificate(verb) => verb.run(client, output).await?,
            Self::Factor(verb) => verb.run(client, output).await?,
        }
        Ok(Exit::Done)
    }
}

async fn create(arguments: CreateArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let request = arguments.request()?;
    let created: CreatedMailbox = client.send(Method::POST, &path(&["mailboxes"]), &request).await?;
    output.result(&created, |created| {
        let head =
            format!("{} created ({}, id {}).", created.mailbox.address, created.mailbox.kind, created.mailbox.id);
        match &created.password {
            Some(password) => format!("{head}\n{}", show::password_once(password)),
            None => head,
        }
    });
    Ok(())
}

async fn list(arguments: ListArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let most = arguments.limit.unwrap_or(usize::MAX);
    let mut filter = MailboxQuery {
        domain: arguments.domain,
        kind: arguments.kind,
        state: arguments.state,
        test: arguments.test,
        password_alone: arguments.password_alone,
        notification_address: arguments.notification_address,
        search: arguments.search,
        ..MailboxQuery::default()
    };
    let mut all = Mailboxes { mailboxes: Vec::new(), next_after: None };
    while all.mailboxes.len() < most {
        filter.limit = Some(u32::try_from(most - all.mailboxes.len()).unwrap_or(u32::MAX).min(PAGE));
        let page: Mailboxes = client.get(&(path(&["mailboxes"]) + &query(&filter)?)).await?;
        all.mailboxes.extend(page.mailboxes);
        filter.after = page.next_after;
        if page.next_after.is_none() {
            break;
        }
    }
    output.result(&all, |all| show::listing(&all.mailboxes));
    Ok(())
}

async fn change_state(
    arguments: StateArguments,
    verb: &str,
    client: &mut Client,
    output: &Output,
) -> Result<(), ClientError> {
    let way = path(&["mailboxes", &arguments.address, verb]);
    let mailbox: Mailbox = client.send(Method::POST, &way, &StateRequest { reason: arguments.reason }).await?;
    output.result(&mailbox, |mailbox| {
        let state = format!("{} is {}.", mailbox.address, mailbox.state);
        match &mailbox.terms_owed {
            Some(version) => format!("{state}\n{}", show::owing(version)),
            None => state,
        }
    });
    Ok(())
}

async fn close(arguments: CloseArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let CloseArguments { address, reason, yes } = arguments;
    // Shown before the question: the address typed must be that of a mailbox that is there.
    let mailbox: Mailbox = client.get(&path(&["mailboxes", &address])).await?;
    if !yes {
        let question = format!(
            "Closing {} erases {} message(s) for good; nobody, the operator included, can read them again.\n\
             What its holder wants to keep is taken out first: caducee export.\n\
             Type the address to confirm: ",
            mailbox.address, mailbox.used_messages
        );
        confirm(&question, &mailbox.address)?;
    }
    let request = CloseRequest { confirm: mailbox.address, reason };
    let closed: Mailbox = client.send(Method::POST, &path(&["mailboxes", &address, "close"]), &request).await?;
    output.result(&closed, |closed| format!("{} is closed.", closed.address));
    Ok(())
}

async fn password(arguments: PasswordArguments, client: &mut Client, output: &Output) -> Result<(), ClientError> {
    let way = path(&["mailboxes", &arguments.address, "password"]);
    if arguments.remove {
        client.order(Method::DELETE, &way).await?;
        output.result(&serde_json::json!({ "removed": true }), |_| "Password removed.".into());
        return Ok(());
    }
    let request = PasswordRequest { password: arguments.source.choice_or_prompt()? };
    let answer: PasswordAnswer = client.send(Method::PUT, &way, &request).await?;
    output.result(&answer, |answer| match &answer.password {
        Some(password) => show::password_once(password),
        None => "Password set.".into(),
    });
    Ok(())
}
