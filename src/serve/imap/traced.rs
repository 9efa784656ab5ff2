//! What a session looks at, as traces tell it. (What it changes is traced by [`crate::mail`], in the commit that changes it.)
//!
//! A look changes nothing, so its trace has a commit of its own, and that must cost next to nothing: a list of flags or
//! envelopes writes none; a folder's opening is written once a session, and waited for; a command that reads messages, however
//! many, writes one, which is on its way before the first octet is and which nobody waits for. Should one come to nothing, those
//! behind it are waited for, and their commands refused, until one is kept again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::reply::Stop;
use super::session::Session;
use super::targets::Targets;
use crate::audit::{Action, Trace};
use crate::mail::{MailError, Selected};
use crate::store::{CommitError, Committed, FolderId, Uid};

/// Folders of a session whose opening is remembered; with more, they are traced anew.
const REMEMBERED: usize = 64;

/// A trace on its way.
type Writing = Pin<Box<dyn Future<Output = Result<Committed, CommitError>> + Send>>;

/// What of a session's looking was traced already.
#[derive(Default)]
pub(super) struct Looks {
    opened: Vec<FolderId>,
    /// The message that was read last, alone: its parts are one reading, in however many commands they are fetched.
    last_read: Option<(FolderId, Uid)>,
    /// The oldest trace whose fate is not known.
    under_way: Option<Writing>,
    /// One has come to nothing, and none was kept since.
    in_doubt: bool,
}

impl Looks {
    /// Whether a trace has come to nothing, as far as is known, and none was kept since.
    fn is_in_doubt(&mut self) -> bool {
        if let Some(writing) = &mut self.under_way
            && let Poll::Ready(written) = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            self.under_way = None;
            self.in_doubt |= written.is_err();
        }
        self.in_doubt
    }

    /// A trace is on its way. Its fate is looked at later, unless that of an older one is still open.
    fn follow(&mut self, writing: impl Future<Output = Result<Committed, CommitError>> + Send + 'static) {
        if self.under_way.is_none() {
            self.under_way = Some(Box::pin(writing));
        }
    }
}

impl Session {
    /// A folder is opened: written down before anything of it is told.
    pub(super) async fn trace_opening(&mut self, selected: &Selected) -> Result<(), Stop> {
        let folder = selected.folder();
        if self.looks.opened.contains(&folder) {
            return Ok(());
        }
        let trace = selected.trace(Action::Opened { folder: selected.kind() });
        self.services.room.traces().write([trace]).await.map_err(MailError::from)?;
        if self.looks.opened.len() >= REMEMBERED {
            self.looks.opened.clear();
        }
        self.looks.opened.push(folder);
        Ok(())
    }

    /// Messages of the open folder are read: those of these that were changed `since`.
    pub(super) async fn trace_reading(&mut self, targets: &Targets, since: Option<u64>) -> Result<(), Stop> {
        let read = self.entries(targets).filter(|(_, entry)| since.is_none_or(|since| entry.modseq > since));
        let (mut messages, mut last) = (0, None);
        read.for_each(|(_, entry)| (messages, last) = (messages + 1, Some(entry.uid)));
        let selected = self.selected()?;
        let alone = last.filter(|_| messages == 1).map(|uid| (selected.folder(), uid));
        let trace = selected.trace(Action::Read { folder: selected.kind(), messages });
        if messages == 0 || (alone.is_some() && alone == self.looks.last_read) {
            return Ok(());
        }
        self.trace_look(trace).await?;
        self.looks.last_read = alone;
        Ok(())
    }

    /// Messages of the open folder were searched for by what they say, and so many found.
    pub(super) async fn trace_search(&mut self, found: usize) -> Result<(), Stop> {
        let selected = self.selected()?;
        let messages = u32::try_from(found).unwrap_or(u32::MAX);
        let trace = selected.trace(Action::Searched { folder: selected.kind(), messages });
        self.trace_look(trace).await
    }

    async fn trace_look(&mut self, trace: Trace) -> Result<(), Stop> {
        let writing = self.services.room.traces().write([trace]);
        if self.looks.is_in_doubt() {
            writing.await.map_err(MailError::from)?;
            self.looks.in_doubt = false;
        } else {
            self.looks.follow(writing);
        }
        Ok(())
    }
}
