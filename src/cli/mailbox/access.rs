//! `caducee mailbox grant` and `ungrant`: who else uses a mailbox.

use clap::Args;
use hyper::Method;

use crate::cli::client::{Client, ClientError, path, query};
use crate::cli::output::Output;
use crate::serve::http::types::{AccessGrant, GranteeQuery, Mailbox};

use super::show;

/// Lets somebody in.
#[derive(Args, Debug)]
pub(super) struct GrantArguments {
    /// The mailbox's address
    address: String,
    /// Whom: a national id, or the address of a PER mailbox, whose holder it is
    who: String,
    /// What they may do: read, write, send, manage, with commas between them [default: read,write]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    rights: Vec<String>,
    /// Their name, for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Until when, as 2027-01-01T00:00:00Z [default: until it is taken back]
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
}

/// Takes somebody off.
#[derive(Args, Debug)]
pub(super) struct UngrantArguments {
    /// The mailbox's address
    address: String,
    /// Whom: a national id, or an address, as on the list
    who: String,
}

impl GrantArguments {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<(), ClientError> {
        let GrantArguments { address, who, rights, name, until } = self;
        let (person, mailbox) = person_or_mailbox(who);
        let grant = AccessGrant { person, mailbox, name, rights, since: None, until };
        let way = path(&["mailboxes", &address, "access-list"]);
        let mailbox: Mailbox = client.send(Method::POST, &way, &grant).await?;
        output.result(&mailbox, show::access_list);
        Ok(())
    }
}

impl UngrantArguments {
    pub(super) async fn run(self, client: &mut Client, output: &Output) -> Result<(), ClientError> {
        let (person, mailbox) = person_or_mailbox(self.who);
        let wanted = query(&GranteeQuery { person, mailbox })?;
        let way = path(&["mailboxes", &self.address, "access-list"]) + &wanted;
        let mailbox: Mailbox = client.call(Method::DELETE, &way).await?;
        output.result(&mailbox, show::access_list);
        Ok(())
    }
}

/// A national id has no `@`.
pub(super) fn person_or_mailbox(who: String) -> (Option<String>, Option<String>) {
    if who.contains('@') { (None, Some(who)) } else { (Some(who), None) }
}
