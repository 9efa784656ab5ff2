//! `caducee directory`: publication in the national directory, and looking people up there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;

use super::client::{Client, ClientError, ServerArguments, path, query};
use super::directory_lookup::{self, Search};
use super::output::{Exit, Output, pairs, table, tick};
use crate::serve::http::directory::types::{
    DirectoryDifference, DirectoryImage, DirectoryMailbox, DirectoryQuery, DirectoryStatus, DirectoryTask,
    DirectoryTasks, DirectoryVerified, PendingMailbox, PendingMailboxes, PublishOrder, Queued, VerifyOrder,
};

/// How many mailboxes are asked for at once.
const PAGE: u32 = 1000;

/// Publication in the national directory, and looking people up there
#[derive(Args, Debug)]
pub(super) struct DirectoryCommand {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tells how publication stands; exit code 1 if something needs a look
    Status,
    /// Lists the mailboxes that wait
    Pending,
    /// Lists what the directory refuses, in its own words
    Tasks,
    /// Shows how one mailbox stands: what the directory should show, and shows
    Show {
        /// The mailbox
        address: String,
    },
    /// Has a mailbox looked at again now, whatever the directory said before
    Publish {
        /// The mailbox
        #[arg(required_unless_present = "tasks", conflicts_with = "tasks")]
        address: Option<String>,
        /// All that the directory refuses
        #[arg(long)]
        tasks: bool,
    },
    /// Ends a pause: the key is read again, and what is due is tried
    Resume,
    /// Looks people and structures up; exit code 1 if nobody is found
    Search(Search),
    /// Shows how the copy of the directory's extraction stands; exit code 1 if there is none, or something was wrong
    Copy {
        /// Asks its source for a new one first
        #[arg(long)]
        refresh: bool,
    },
    /// Reads what the directory shows of our domains and lists differences; exit code 1 if any is left that does not wait already
    Verify {
        /// Reads an extraction in place of the directory, a file that the server can read; without one, the copy that it holds
        #[arg(long, value_name = "FILE", num_args = 0..=1)]
        extraction: Option<Option<PathBuf>>,
        /// Puts what is wrong and ours in the outbox; not the mailboxes that only the rules in force take away
        #[arg(long)]
        mend: bool,
        /// These too, of which there are so many
        #[arg(long, value_name = "N", requires = "mend")]
        confirm: Option<u64>,
    },
}

impl DirectoryCommand {
    pub(super) fn run(self) -> ExitCode {
        let verb = self.verb;
        self.server.run(async |client, output| verb.run(client, output).await)
    }
}

impl Verb {
    async fn run(self, client: &mut Client, output: &Output) -> Result<Exit, ClientError> {
        match self {
            Self::Status => {
                let status: DirectoryStatus = client.get(&path(&["directory"])).await?;
                output.result(&status, overview);
                Ok(if status.alarms.is_empty() { Exit::Done } else { Exit::Failed })
            }
            Self::Pending => {
                let pending = all_pending(client).await?;
                output.result(&PendingMailboxes { pending, next_after: None }, |found| waiting(&found.pending));
                Ok(Exit::Done)
            }
            Self::Tasks => {
                let tasks = all_tasks(client).await?;
                output.result(&DirectoryTasks { tasks, next_after: None }, |found| refused(&found.tasks));
                Ok(Exit::Done)
            }
            Self::Show { address } => {
                let mailbox: DirectoryMailbox = client.get(&path(&["directory", "mailboxes", &address])).await?;
                output.result(&mailbox, details);
                Ok(Exit::Done)
            }
            Self::Publish { address, tasks } => {
                let order = PublishOrder { address, tasks };
                let queued: Queued = client.send(Method::POST, &path(&["directory", "publish"]), &order).await?;
                output.result(&queued, |queued| format!("{} put in the outbox.", mailboxes(queued.queued)));
                Ok(Exit::Done)
            }
            Self::Resume => {
                let resumed = client.send(Method::POST, &path(&["directory", "resume"]), &()).await;
                let status: DirectoryStatus = resumed?;
                output.result(&status, |_| "The key is read again, and what is due is tried.".into());
                Ok(Exit::Done)
            }
            Self::Search(search) => search.run(client, output).await,
            Self::Copy { refresh } => directory_lookup::copy(client, output, refresh).await,
            Self::Verify { extraction, mend, confirm } => verify(client, output, extraction, (mend, confirm)).await,
        }
    }
}

async fn verify(
    client: &mut Client,
    output: &Output,
    extraction: Option<Option<PathBuf>>,
    (mend, confirm): (bool, Option<u64>),
) -> Result<Exit, ClientError> {
    let copy = matches!(extraction, Some(None));
    // The server has another working directory.
    let file = extraction.flatten().map(|file| std::path::absolute(&file).unwrap_or(file));
    let extraction = file.map(|file| file.to_string_lossy().into_owned());
    let order = VerifyOrder { mend, confirm, extraction, copy };
    let verified: DirectoryVerified = client.send(Method::POST, &path(&["directory", "verify"]), &order).await?;
    output.result(&verified, differences);
    let is_settled = |difference: &DirectoryDifference| difference.mended || difference.waits;
    Ok(if verified.differences.iter().all(is_settled) { Exit::Done } else { Exit::Failed })
}

async fn all_pending(client: &mut Client) -> Result<Vec<PendingMailbox>, ClientError> {
    let (mut found, mut fields) = (Vec::new(), DirectoryQuery { after: None, limit: Some(PAGE) });
    loop {
        let page: PendingMailboxes = client.get(&(path(&["directory", "pending"]) + &query(&fields)?)).await?;
        found.extend(page.pending);
        match page.next_after {
            Some(after) => fields.after = Some(after),
            None => return Ok(found),
        }
    }
}

async fn all_tasks(client: &mut Client) -> Result<Vec<DirectoryTask>, ClientError> {
    let (mut found, mut fields) = (Vec::new(), DirectoryQuery { after: None, limit: Some(PAGE) });
    loop {
        let page: DirectoryTasks = client.get(&(path(&["directory", "tasks"]) + &query(&fields)?)).await?;
        found.extend(page.tasks);
        match page.next_after {
            Some(after) => fields.after = Some(after),
            None => return Ok(found),
        }
    }
}

fn mailboxes(count: u64) -> String {
    if count == 1 { "1 mailbox".into() } else { format!("{count} mailboxes") }
}

fn overview(status: &DirectoryStatus) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    pairs([
        ("activity", status.activity.clone()),
        ("until", text(&status.until)),
        ("because", text(&status.words)),
        ("published", status.published.to_string()),
        ("waiting", status.waiting.to_string()),
        ("tasks", status.tasks.to_string()),
        ("longest wait since", text(&status.oldest_at)),
        ("alarms", status.alarms.join(", ")),
    ])
}

fn waiting(pending: &[PendingMailbox]) -> String {
    if pending.is_empty() {
        return "Nothing waits for the directory.".into();
    }
    let row = |one: &PendingMailbox| {
        let next = one.next_try_at.clone().unwrap_or_default();
        [one.address.clone(), one.since.clone(), one.cause.clone(), one.tries.to_string(), next, one.words.clone()]
    };
    table(["mailbox", "since", "why", "tries", "next try", "last words"], pending.iter().map(row))
}

fn refused(tasks: &[DirectoryTask]) -> String {
    if tasks.is_empty() {
        return "The directory refuses nothing.".into();
    }
    let row = |task: &DirectoryTask| {
        let DirectoryTask { address, since, refused_at, status, words } = task;
        [address.clone(), since.clone(), refused_at.clone(), status.to_string(), words.clone()]
    };
    table(["mailbox", "since", "refused", "status", "the directory's words"], tasks.iter().map(row))
}

fn details(mailbox: &DirectoryMailbox) -> String {
    let task = mailbox.task.as_ref().map(|task| format!("{} {}", task.status, task.words)).unwrap_or_default();
    let head = pairs([
        ("mailbox", mailbox.address.clone()),
        ("published", mailbox.published_at.clone().unwrap_or_default()),
        ("refused", task),
    ]);
    let images = [("should show", &mailbox.wanted), ("shows", &mailbox.published)];
    let images = table(
        ["the directory", "resource", "identifier", "red list", "zero paper", "description", "service", "responsible"],
        images.into_iter().map(|(name, image)| image_row(name, image.as_ref())),
    );
    let pending = if mailbox.pending.is_empty() { String::new() } else { format!("\n\n{}", waiting(&mailbox.pending)) };
    format!("{head}\n\n{images}{pending}")
}

fn image_row(name: &str, image: Option<&DirectoryImage>) -> [String; 8] {
    let Some(image) = image else {
        let mut nothing = <[String; 8]>::default();
        (nothing[0], nothing[1]) = (name.to_owned(), "nothing".to_owned());
        return nothing;
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        name.to_owned(),
        image.resource.clone(),
        image.identifier.clone(),
        tick(image.red_list),
        tick(image.zero_paper),
        text(&image.description),
        text(&image.service),
        text(&image.responsible),
    ]
}

fn differences(verified: &DirectoryVerified) -> String {
    let DirectoryVerified { wanted, shown, differences } = verified;
    let head = format!("The directory shows {} of our domains, and should show {wanted}.", mailboxes(*shown));
    if differences.is_empty() {
        return head + "\nNothing differs.";
    }
    let row = |one: &DirectoryDifference| {
        let shown_at = one.shown_at.clone().unwrap_or_default();
        let state = if one.mended {
            "put in the outbox"
        } else if one.waits {
            "waits already"
        } else if one.withheld {
            "by the rules in force only"
        } else {
            ""
        };
        [one.address.clone(), one.discord.clone(), one.fields.join(", "), shown_at, state.to_owned()]
    };
    let rows = table(["mailbox", "what", "differs in", "shown at", ""], differences.iter().map(row));
    let withheld = differences.iter().filter(|one| one.withheld && !one.mended).count();
    let hint = match withheld {
        0 => String::new(),
        _ => format!(
            "\n\nThe rules in force (publish_from, test_mailboxes) take {withheld} away, and nothing else does: they stay, \
             until `caducee directory verify --mend --confirm {withheld}`."
        ),
    };
    format!("{head}\n\n{rows}{hint}")
}
