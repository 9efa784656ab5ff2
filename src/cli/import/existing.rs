//! What a mailbox holds already, so that nothing is imported twice.

use std::collections::HashMap;

use crate::cli::client::{Client, ClientError, path, query};
use crate::serve::http::types::{MessageQuery, Messages};

/// How many messages are asked for at once.
const PAGE: u32 = 5000;

/// The digests of the folders' messages, asked for when a folder first matters, each with how many times it is there.
#[derive(Debug, Default)]
pub(super) struct Existing(HashMap<String, HashMap<String, u64>>);

impl Existing {
    /// Whether the folder holds the message, and that copy has not yet been set against another of the same bytes.
    ///
    /// # Errors
    /// The server's refusal; a folder that is not there is none.
    pub(super) async fn take(
        &mut self,
        client: &mut Client,
        address: &str,
        folder: &str,
        sha256: &str,
    ) -> Result<bool, ClientError> {
        if !self.0.contains_key(folder) {
            let digests = digests(client, address, folder).await?;
            self.0.insert(folder.to_owned(), digests);
        }
        let copies = self.0.get_mut(folder).and_then(|digests| digests.get_mut(sha256));
        Ok(match copies {
            Some(copies) if *copies > 0 => {
                *copies -= 1;
                true
            }
            _ => false,
        })
    }
}

async fn digests(client: &mut Client, address: &str, folder: &str) -> Result<HashMap<String, u64>, ClientError> {
    let mut digests = HashMap::new();
    let mut filter = MessageQuery { folder: Some(folder.to_owned()), after: None, limit: Some(PAGE) };
    loop {
        let way = path(&["mailboxes", address, "messages"]) + &query(&filter)?;
        let page: Messages = match client.get(&way).await {
            Err(ClientError::Refused(problem)) if problem.rule == "no-such-folder" => return Ok(digests),
            other => other?,
        };
        for sha256 in page.messages.into_iter().filter_map(|message| message.sha256) {
            *digests.entry(sha256).or_insert(0) += 1;
        }
        filter.after = page.next_after;
        if page.next_after.is_none() {
            return Ok(digests);
        }
    }
}
