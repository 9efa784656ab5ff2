//! What is held of people beside mailboxes' records: notices that wait, networks, the journal, the directory, mail on its way.

use super::{Held, PAGE};
use crate::accounts::notice::OutgoingNotice;
use crate::accounts::publication::Standing;
use crate::accounts::{Account, AccountError, JournalQuery, Registry};
use crate::mail::queue::Selection;
use crate::store::{JournalEntry, JournalKey, NoticePart, NoticeState, NoticeStateKey};

/// Messages of one mailbox on their way that are counted; beyond, there are more.
const MOST_ON_THEIR_WAY: usize = 1_000;

/// A line of the journal.
pub type Line = (JournalKey, JournalEntry);

/// What is held of a mailbox beside its record.
#[derive(Debug, Default)]
pub struct Beside {
    /// Networks that it was opened from, as digests that nobody can undo: the days of the last time, Unix seconds.
    pub networks: Vec<i64>,
    /// When its holder is to be told of new messages, Unix seconds.
    pub new_mail_due: Option<i64>,
    /// Notices that wait for the relay.
    pub notices: Vec<OutgoingNotice>,
    /// What happened in its life.
    pub journal: Vec<Line>,
    /// How it stands in the national directory.
    pub directory: Option<Standing>,
    /// Messages of its own that are on their way to others, 1,000 at most.
    pub on_their_way: usize,
}

impl Registry {
    /// Adds what is held beside the records of a person's mailboxes, and where other mailboxes name them.
    pub(super) fn look_beside(&self, person: &str, held: &mut Held) -> Result<(), AccountError> {
        for mailbox in &mut held.mailboxes {
            mailbox.beside = self.beside(&mailbox.account)?;
        }
        let Held { mailboxes, responsible_for, .. } = &mut *held;
        self.each_waiting_notice(|notice| {
            if let Some(mailbox) = mailboxes.iter_mut().find(|held| held.account.id == notice.account) {
                mailbox.beside.notices.push(notice);
            } else if let Some(held) = responsible_for.iter_mut().find(|held| held.account.id == notice.account) {
                held.notices.push(notice);
            }
        })?;
        self.look_through_the_journal(person, held)?;
        self.look_through_the_directory(person, held)
    }

    fn beside(&self, account: &Account) -> Result<Beside, AccountError> {
        let state = |part| -> Result<NoticeState, AccountError> {
            let read = self.store().get::<NoticeState>(&NoticeStateKey { part, account: account.id })?;
            Ok(read.map(|read| read.record).unwrap_or_default())
        };
        let sent = Selection { sender: Some(account.address.clone()), ..Selection::default() };
        let on_their_way = self.room().queue().list(&sent, None, MOST_ON_THEIR_WAY);
        Ok(Beside {
            networks: state(NoticePart::Places)?.places.iter().map(|place| place.seen_at).collect(),
            new_mail_due: state(NoticePart::Marks)?.new_mail.map(|mark| mark.due),
            directory: Some(self.publication_of(account)?),
            on_their_way: on_their_way.map_err(|_| AccountError::Busy)?.messages.len(),
            ..Beside::default()
        })
    }

    /// The lines of their mailboxes' lives, and of others' that they have made.
    fn look_through_the_journal(&self, person: &str, held: &mut Held) -> Result<(), AccountError> {
        let mut query = JournalQuery::default();
        loop {
            let lines = self.journal(&query, PAGE)?;
            let Some((last, _)) = lines.last() else { return Ok(()) };
            query.after = Some(*last);
            for line in lines {
                if let Some(mailbox) = held.mailboxes.iter_mut().find(|held| held.account.id == line.0.account) {
                    mailbox.beside.journal.push(line);
                } else if line.1.by == person {
                    held.acts.push(line);
                }
            }
        }
    }

    /// Mailboxes that are not theirs, and whose contact in the directory is theirs, or names them.
    fn look_through_the_directory(&self, person: &str, held: &mut Held) -> Result<(), AccountError> {
        let mut naming = Vec::new();
        self.each_publication(None, |id, state| {
            let places = state.published.iter().map(|image| &image.place).chain(&state.attempt);
            let mut named = places
                .map(|place| place.value.as_str())
                .chain(state.published.iter().filter_map(|image| image.responsible.as_deref()));
            if named.any(|id| id == person) {
                naming.push(id);
            }
            true
        })?;
        for id in naming.into_iter().filter(|id| held.mailboxes.iter().all(|held| held.account.id != *id)) {
            held.directory.extend(self.by_id(id)?);
        }
        Ok(())
    }
}
