//! COPY and MOVE into another mailbox that its session may write to. The body stays where it is, once for all who show it;
//! what is sealed under one mailbox's key, its key and summary, is sealed anew under the other's.
//!
//! Both mailboxes change in one commit, under both locks: a message that moves is never in neither, and never in both.

use std::sync::Arc;

use crate::audit::Asker;
use crate::store::{Batch, CommitError, Committed, Uid};

use super::flags::{FlagBits, carry};
use super::mailbox::{ATTEMPTS, MailboxGuard, commit};
use super::messages::reseal_content;
use super::names::FolderName;
use super::operations::{Copied, RowReader, Transfer, rising, take_back};
use super::room::pause;
use super::selected::Selected;
use super::work::{NewRow, Work, messages};
use super::{MailError, Mailbox};

/// Messages that go across in one commit: each is opened and sealed anew, under both mailboxes' locks.
const ACROSS_AT_ONCE: usize = 500;

impl Selected {
    /// Copies messages to a folder of another mailbox. All are copied or none (RFC 3501 §6.4.7).
    ///
    /// # Errors
    /// As [`Selected::copy`]; [`MailError::Suspended`] and [`MailError::Closed`] may be said of either mailbox.
    pub async fn copy_across(&self, uids: &[Uid], to: &Arc<Mailbox>, dest: &str) -> Result<Copied, MailError> {
        self.transfer_across(uids, to, dest, Transfer::Copy).await
    }

    /// Moves messages to a folder of another mailbox (RFC 6851): in each commit they come there and go here.
    ///
    /// # Errors
    /// As [`Selected::copy_across`], and [`MailError::ReadOnly`].
    pub async fn move_across(&mut self, uids: &[Uid], to: &Arc<Mailbox>, dest: &str) -> Result<Copied, MailError> {
        self.writable()?;
        self.transfer_across(uids, to, dest, Transfer::Move).await
    }

    async fn transfer_across(
        &self,
        uids: &[Uid],
        to: &Arc<Mailbox>,
        dest: &str,
        how: Transfer,
    ) -> Result<Copied, MailError> {
        let from = &self.mailbox;
        if to.account() == from.account() {
            // One mailbox has one lock.
            return self.transfer(uids, dest, how).await;
        }
        let dest = FolderName::parse(dest)?;
        let mut done = Copied::default();
        for part in rising(uids).chunks(ACROSS_AT_ONCE) {
            let rows = RowReader::new(from.store(), self.folder());
            let outcome = transact_both(from, to, |source, target, batch| {
                let here = source.by_id(self.folder())?;
                let there = target.selectable(&dest)?;
                let ends = Ends { source, here, target, there };
                transfer(ends, &rows, part, how, &self.asker, batch)
            });
            match outcome.await {
                Ok((part, committed)) => {
                    done.uid_validity = part.uid_validity;
                    done.source.extend(part.source);
                    done.dest.extend(part.dest);
                    done.committed = committed.or(done.committed);
                }
                Err(error) => {
                    if how == Transfer::Copy {
                        take_back(to, &dest, &done.dest, &self.asker).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(done)
    }
}

/// The two ends of a transfer: the work on each mailbox, and the folder in it.
struct Ends<'a> {
    source: &'a mut Work,
    here: usize,
    target: &'a mut Work,
    there: usize,
}

fn transfer(
    ends: Ends<'_>,
    rows: &RowReader<'_>,
    uids: &[Uid],
    how: Transfer,
    asker: &Asker,
    batch: &mut Batch,
) -> Result<Copied, MailError> {
    let Ends { source, here, target, there } = ends;
    let (from, to) = (source.mailbox().clone(), target.mailbox().clone());
    let table = source.folder(here).record.keywords.clone();
    let mut done = Copied { uid_validity: target.folder(there).record.uid_validity, ..Copied::default() };
    for &uid in uids {
        let (Some(read), Some(content)) = (rows.message(uid)?, rows.content(uid)) else { continue };
        if !target.has_room_for(read.size) {
            return Err(MailError::OverQuota);
        }
        let content = match reseal_content(from.key(), to.key(), read.body, &content) {
            Ok(content) => content,
            Err(error) => {
                // A damaged record costs its message, which stays where it is, and not the command.
                tracing::error!(uid, body = %read.body, %error, "a message's key does not open; it is not copied");
                continue;
            }
        };
        match how {
            Transfer::Copy => {
                batch.retain_body(read.body, 1);
            }
            // The body goes along: as many messages show it as before.
            Transfer::Move => source.remove(here, uid, &read, batch),
        }
        let keywords = carry(read.keywords, &table, target.record_mut(there));
        let row = NewRow { flags: FlagBits { system: read.flags, keywords }, message: read.record, content };
        let new = target.add(there, row, batch)?;
        done.source.push(uid);
        done.dest.push(new);
    }
    if !done.source.is_empty() {
        let (folder, count) = (source.kind(here), messages(done.source.len()));
        source.note(asker, how.action(folder, target.kind(there), Some(target.address()), count), batch);
    }
    Ok(done)
}

/// As [`Mailbox::transact`], of two mailboxes in one commit.
async fn transact_both<T>(
    from: &Arc<Mailbox>,
    to: &Arc<Mailbox>,
    mut build: impl FnMut(&mut Work, &mut Work, &mut Batch) -> Result<T, MailError>,
) -> Result<(T, Option<Committed>), MailError> {
    for attempt in 0..ATTEMPTS {
        let guards = lock_both(from, to).await;
        from.usable()?;
        to.usable()?;
        let (mut source, mut target) = (Work::begin(from)?, Work::begin(to)?);
        let mut batch = Batch::new();
        let outcome = build(&mut source, &mut target, &mut batch)?;
        let announcements = vec![source.finish(&mut batch), target.finish(&mut batch)];
        if batch.is_empty() {
            return Ok((outcome, None));
        }
        match commit(from.store(), guards, batch, announcements).await {
            Ok(committed) => return Ok((outcome, Some(committed))),
            Err(CommitError::Conflict(_)) => pause(attempt).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(MailError::Busy)
}

/// By rising account number, as everybody who takes several locks.
async fn lock_both(one: &Arc<Mailbox>, other: &Arc<Mailbox>) -> Vec<MailboxGuard> {
    let (first, second) = if one.account() < other.account() { (one, other) } else { (other, one) };
    vec![first.lock().await, second.lock().await]
}
