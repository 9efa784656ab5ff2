//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE: folders from outside.

use std::sync::Arc;

use super::place::Namespace;
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::mail::{FolderStatus, INBOX, Mailbox};
use crate::mss::Right;
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
        let place = self.place(folder)?;
        place.may_be_made()?;
        place.said(place.mailbox.create(place.folder()?).await)?;
        Ok(Reply::ok("Folder created"))
    }

    /// DELETE, RFC 3501 §6.3.4.
    pub(super) async fn delete(&mut self, folder: &FolderName) -> Outcome {
        let place = self.place(folder)?;
        place.needs(Right::Write)?;
        place.said(place.mailbox.delete(place.folder()?, self.user()?.asker()).await)?;
        Ok(Reply::ok("Folder deleted"))
    }

    /// RENAME, RFC 3501 §6.3.5.
    pub(super) async fn rename(&mut self, from: &FolderName, to: &FolderName) -> Outcome {
        let (from, to) = (self.place(from)?, self.place(to)?);
        from.needs(Right::Write)?;
        to.may_be_made()?;
        if from.mailbox.account() != to.mailbox.account() {
            return Err(
                Reply::no(Some(Code::Cannot), "A folder does not go to another mailbox; move its messages").into()
            );
        }
        from.said(from.mailbox.rename(from.folder()?, to.folder()?).await)?;
        Ok(Reply::ok("Folder renamed"))
    }

    /// SUBSCRIBE, RFC 3501 §6.3.6. Whoever shares a mailbox keeps subscriptions of their own, in their own mailbox.
    pub(super) async fn subscribe(&mut self, folder: &FolderName) -> Outcome {
        let place = self.place(folder)?;
        let own = self.own_subscriptions()?;
        if place.root.is_some() {
            place.said(place.mailbox.check_selectable(place.folder()?))?;
            own.subscribe_elsewhere(&place.whole_name()).await?;
        } else {
            own.subscribe(place.folder()?).await?;
        }
        Ok(Reply::ok("Subscribed"))
    }

    /// UNSUBSCRIBE, RFC 3501 §6.3.7; also from a mailbox that is no longer opened to the user (RFC 4314 §4).
    pub(super) async fn unsubscribe(&mut self, folder: &FolderName) -> Outcome {
        let name = self.foreign_place(folder.as_str())?.map_or_else(|| folder.to_string(), |place| place.whole_name());
        self.own_subscriptions()?.unsubscribe(&name).await?;
        Ok(Reply::ok("Unsubscribed"))
    }

    /// The mailbox where the session's subscriptions are kept: whoever may only read it leaves them as they are.
    fn own_subscriptions(&self) -> Result<Arc<Mailbox>, Stop> {
        let own = self.place(&FolderName::new(INBOX))?;
        own.needs(Right::Write)?;
        Ok(own.mailbox)
    }

    /// STATUS, RFC 3501 §6.3.10.
    pub(super) fn status(&mut self, folder: &FolderName, items: &[StatusItem]) -> Outcome {
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore();
        }
        let place = self.place(folder)?;
        let status = place.said(place.mailbox.status(place.folder()?))?;
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

    /// NAMESPACE, RFC 2342: the personal one, and those of other mailboxes that have something in them for the user.
    pub(super) fn namespace(&mut self) -> Outcome {
        let opened = self.opened_to_me()?;
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\"))");
        for namespace in Namespace::ALL {
            if opened.iter().any(|other| Namespace::of(other.kind) == namespace) {
                out.extend_from_slice(format!(" ((\"{}/\" \"/\"))", namespace.name()).as_bytes());
            } else {
                out.extend_from_slice(b" NIL");
            }
        }
        out.extend_from_slice(b"\r\n");
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
