//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE: folders from outside.

use super::reply::{Outcome, Reply};
use super::session::Session;
use crate::mail::FolderStatus;
use crate::wire::imap::command::FolderName;
use crate::wire::imap::list::{ListUseAttribute, StatusItem};
use crate::wire::imap::response::{self, Code, decimal};

impl Session {
    /// CREATE, RFC 3501 §6.3.3.
    pub(super) async fn create(&mut self, folder: &FolderName, uses: &[ListUseAttribute]) -> Outcome {
        if !uses.is_empty() {
            // RFC 6154 §3: the special folders are there already, one of each use.
            return Err(Reply::no(Some(Code::UseAttr), "Special uses belong to the folders that have them").into());
        }
        self.mailbox()?.create(folder.as_str()).await?;
        Ok(Reply::ok("Folder created"))
    }

    /// DELETE, RFC 3501 §6.3.4.
    pub(super) async fn delete(&mut self, folder: &FolderName) -> Outcome {
        self.mailbox()?.delete(folder.as_str()).await?;
        Ok(Reply::ok("Folder deleted"))
    }

    /// RENAME, RFC 3501 §6.3.5.
    pub(super) async fn rename(&mut self, from: &FolderName, to: &FolderName) -> Outcome {
        self.mailbox()?.rename(from.as_str(), to.as_str()).await?;
        Ok(Reply::ok("Folder renamed"))
    }

    /// SUBSCRIBE, RFC 3501 §6.3.6.
    pub(super) async fn subscribe(&mut self, folder: &FolderName) -> Outcome {
        self.mailbox()?.subscribe(folder.as_str()).await?;
        Ok(Reply::ok("Subscribed"))
    }

    /// UNSUBSCRIBE, RFC 3501 §6.3.7.
    pub(super) async fn unsubscribe(&mut self, folder: &FolderName) -> Outcome {
        self.mailbox()?.unsubscribe(folder.as_str()).await?;
        Ok(Reply::ok("Unsubscribed"))
    }

    /// STATUS, RFC 3501 §6.3.10.
    pub(super) fn status(&mut self, folder: &FolderName, items: &[StatusItem]) -> Outcome {
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore();
        }
        let status = self.mailbox()?.status(folder.as_str())?;
        self.tell_status(folder.as_str(), &status, items);
        Ok(Reply::ok("Told"))
    }

    /// Writes `* STATUS name (…)`.
    pub(super) fn tell_status(&mut self, name: &str, status: &FolderStatus, items: &[StatusItem]) {
        let most = self.services.options.max_message;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* STATUS ");
        response::folder(out, name);
        out.extend_from_slice(b" (");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(item.name().as_bytes());
            out.push(b' ');
            decimal(out, status_value(status, *item, most));
        }
        out.extend_from_slice(b")\r\n");
    }

    /// NAMESPACE, RFC 2342: one personal namespace, no others.
    pub(super) fn namespace(&mut self) -> Outcome {
        self.channel.out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
        Ok(Reply::ok("Told"))
    }
}

fn status_value(status: &FolderStatus, item: StatusItem, most: u64) -> u64 {
    match item {
        StatusItem::Messages => u64::from(status.messages),
        StatusItem::Recent => u64::from(status.recent),
        StatusItem::UidNext => u64::from(status.uid_next),
        StatusItem::UidValidity => u64::from(status.uid_validity),
        StatusItem::Unseen => u64::from(status.unseen),
        StatusItem::Size => status.bytes,
        StatusItem::HighestModSeq => status.highest_modseq,
        // RFC 7889 §3: the same for every folder.
        StatusItem::AppendLimit => most,
    }
}
