//! `caducee notice`: what holders are told by ordinary mail.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path};
use super::output::{Exit, Output, table};
use crate::serve::http::types::{Announcement, AnnouncementAnswer, Bounce, BounceAnswer, NoticeStatus, RefusedAddress};

/// The largest file that is read for a text: the server takes less.
const LARGEST: u64 = 64 << 10;

/// Notices to holders' ordinary e-mail
#[derive(Args, Debug)]
pub(super) struct NoticeCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What waits, and which notification addresses take nothing
    Status,
    /// Tells the holders of all mailboxes, or of one domain's, what the operator announces
    Maintenance {
        /// The text, in French, as holders read it: a file, or - for standard input; at most 1000 characters, no link
        #[arg(long, value_name = "FILE")]
        text_file: PathBuf,
        /// Only holders of mailboxes in this domain
        #[arg(long, value_name = "DOMAIN", required_unless_present = "all")]
        domain: Option<String>,
        /// Holders of all mailboxes
        #[arg(long, conflicts_with = "domain")]
        all: bool,
    },
    /// Notes that a notification address takes nothing: for the relay's own handling of bounces
    Bounced {
        /// The address
        address: String,
        /// The codes of the refusal, as 5.1.1
        #[arg(long, value_name = "CODES", default_value = "")]
        status: String,
    },
}

impl NoticeCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Status => {
                let status: NoticeStatus = client.get(&path(&["notices"])).await?;
                output.result(&status, told);
            }
            Self::Maintenance { text_file, domain, all: _ } => {
                let announcement = Announcement { text: read(&text_file)?, domain };
                let to = path(&["notices", "maintenance"]);
                let answer: AnnouncementAnswer = client.send(Method::POST, &to, &announcement).await?;
                output.result(&answer, |answer| {
                    let AnnouncementAnswer { told, without_address } = answer;
                    format!("{told} holders are told; {without_address} have no notification address.")
                });
            }
            Self::Bounced { address, status } => {
                let to = path(&["notices", "bounces"]);
                let answer: BounceAnswer = client.send(Method::POST, &to, &Bounce { address, status }).await?;
                output.result(&answer, |answer| match &answer.mailboxes[..] {
                    [] => "No mailbox has notices sent there.".to_owned(),
                    mailboxes => format!("Noted on {}.", mailboxes.join(", ")),
                });
            }
        }
        Ok(Exit::Done)
    }
}

fn told(status: &NoticeStatus) -> String {
    let carried = if status.carried { "" } else { "No relay carries notices (notices.host).\n" };
    let oldest = status.oldest.as_ref().map(|at| format!(", the oldest since {at}")).unwrap_or_default();
    // MSSanté §5: the address is mandatory.
    let silent = match status.without_address {
        0 => String::new(),
        count => format!(
            "\n{count} mailboxes have no notification address (caducee mailbox list --notification-address=false)."
        ),
    };
    let waiting = format!("{carried}{} wait{oldest}.{silent}", status.waiting);
    if status.refused.is_empty() {
        return waiting;
    }
    let row =
        |each: &RefusedAddress| [each.mailbox.clone(), each.address.clone(), each.status.clone(), each.at.clone()];
    let refused = table(["mailbox", "notification address", "refused", "at"], status.refused.iter().map(row));
    let more = match status.more_refused {
        0 => String::new(),
        more => format!("\nand {more} more: `caducee mailbox show` tells it of each"),
    };
    format!("{waiting}\nThese addresses take nothing:\n{refused}{more}")
}

fn read(file: &Path) -> Result<String, ClientError> {
    let source: Result<Box<dyn Read>, std::io::Error> = if file == Path::new("-") {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(file).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut text = String::new();
    let read = source.and_then(|source| source.take(LARGEST).read_to_string(&mut text));
    read.map_err(|error| ClientError::Local(format!("{}: {error}", file.display())))?;
    Ok(text)
}
