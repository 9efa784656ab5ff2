//! `caducee follow`: a message's way.

use std::process::ExitCode;

use clap::Args;

use super::client::{ServerArguments, path, query};
use super::output::{Exit, table};
use super::trace_line::{Line, line, time};
use crate::serve::http::types::{FollowQuery, Followed, ShownTrace};

/// Shows what happened to a message: accepted, tried, delivered, reported
#[derive(Args, Debug)]
pub(super) struct Follow {
    #[command(flatten)]
    server: ServerArguments,
    /// The message's Message-ID, with or without its angle brackets
    message_id: String,
}

impl Follow {
    pub(super) fn run(self) -> ExitCode {
        let wanted = FollowQuery { message_id: self.message_id };
        self.server.run(async |client, output| {
            let followed: Followed = client.get(&(path(&["follow"]) + &query(&wanted)?)).await?;
            output.result(&followed, listing);
            if followed.more {
                output.note("There are more: `caducee traces search --message-id … --oldest-first --from …` goes on.");
            }
            for stretch in &followed.unreadable {
                output.note(&format!("caducee: cannot be read, and may hold further steps: {stretch}"));
            }
            Ok(if followed.unreadable.is_empty() { Exit::Done } else { Exit::Partly })
        })
    }
}

fn listing(followed: &Followed) -> String {
    let row = |trace: &ShownTrace| {
        let Line { what, who, detail } = line(trace);
        [time(&trace.at), what, who, detail, trace.reference.clone()]
    };
    table(["time (UTC)", "what", "whom", "detail", "reference"], followed.events.iter().map(row))
}
