//! `caducee session`: who is in.

use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path, query};
use super::output::{Exit, Output, table};
use crate::serve::http::types::{EndedSessions, Session, SessionQuery, Sessions};

/// Who is in: the sessions of mail programs after their login
#[derive(Args, Debug)]
pub(super) struct SessionCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the sessions, in the order in which they came
    List {
        /// Only those in this mailbox
        #[arg(long, value_name = "ADDRESS")]
        mailbox: Option<String>,
        /// Only those of this person, by national id
        #[arg(long, value_name = "ID")]
        person: Option<String>,
    },
    /// Ends sessions at once; whoever may may connect again
    End(EndArguments),
}

/// Which sessions: one by its number, or all of a mailbox or a person
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["id", "mailbox", "person"]))]
struct EndArguments {
    /// Its number, as list shows it
    #[arg(conflicts_with_all = ["mailbox", "person"])]
    id: Option<u64>,
    /// Those in this mailbox
    #[arg(long, value_name = "ADDRESS")]
    mailbox: Option<String>,
    /// Those of this person, by national id
    #[arg(long, value_name = "ID")]
    person: Option<String>,
}

impl SessionCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::List { mailbox, person } => {
                let wanted = SessionQuery { mailbox, person };
                let found: Sessions = client.get(&(path(&["sessions"]) + &query(&wanted)?)).await?;
                output.result(&found, |found| listing(&found.sessions));
            }
            Self::End(EndArguments { id, mailbox, person }) => {
                let way = match id {
                    Some(id) => path(&["sessions", &id.to_string()]),
                    None => path(&["sessions"]) + &query(&SessionQuery { mailbox, person })?,
                };
                let ended: EndedSessions = client.call(Method::DELETE, &way).await?;
                output.result(&ended, |ended| match ended.ended {
                    1 => "1 session ended.".into(),
                    count => format!("{count} sessions ended."),
                });
            }
        }
        Ok(Exit::Done)
    }
}

fn listing(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "Nobody is in.".into();
    }
    let row = |session: &Session| {
        [
            session.id.to_string(),
            session.mailbox.clone(),
            session.person.clone().unwrap_or_default(),
            session.rights.join(","),
            session.means.clone(),
            session.door.clone(),
            session.peer.clone(),
            session.began_at.clone(),
            session.last_command_at.clone(),
        ]
    };
    let head = ["number", "mailbox", "person", "rights", "by", "door", "from", "since", "last command"];
    table(head, sessions.iter().map(row))
}
