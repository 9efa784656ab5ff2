//! The syncer: one `sync_data` for all groups written so far, then the index, then the answers. And the checkpointer.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::checkpoint;
use super::index::Replay;
use super::shared::Shared;
use super::writer::{Written, WrittenCommit};
use crate::store::engine::Haste;
use crate::store::error::{CommitError, StoreError};

/// Chunks are synced when so many bytes of them wait, though nobody waits for them yet: so the commit that will wait does
/// not pay for all of a large body at once.
const SYNC_CHUNKS: u64 = 8 * 1024 * 1024;

/// So long a commit that is due soon waits for others. It lies in the log meanwhile: what outlives the process outlives
/// the wait.
const COMPANY: Duration = Duration::from_millis(10);

/// Runs until the writer is gone.
pub(super) fn run(shared: &Arc<Shared>, written: &Receiver<Written>) {
    let mut unsynced = 0;
    while let Ok(first) = written.recv() {
        let groups = gather(first, written);
        let number = groups.len() as u64;
        let bytes: u64 = groups.iter().map(|group| group.bytes).sum();
        unsynced += bytes;
        let asked = groups.iter().any(|group| group.sync || !group.commits.is_empty());
        if shared.is_stopped() {
            groups.into_iter().for_each(fail);
        } else if asked || unsynced >= SYNC_CHUNKS {
            unsynced = 0;
            sync_and_apply(shared, groups, bytes);
        }
        shared.progress.done(number, bytes);
    }
}

/// All groups written by now; where none of their commits is due now, those that come while they wait.
fn gather(first: Written, written: &Receiver<Written>) -> Vec<Written> {
    let until = Instant::now() + COMPANY;
    let mut groups = vec![first];
    loop {
        groups.extend(written.try_iter());
        let bytes: u64 = groups.iter().map(|group| group.bytes).sum();
        let mut commits = groups.iter().flat_map(|group| &group.commits);
        let is_due = groups.iter().any(|group| group.sync) || commits.any(|commit| commit.haste == Haste::Now);
        let is_awaited = groups.iter().any(|group| !group.commits.is_empty());
        if is_due || !is_awaited || bytes >= SYNC_CHUNKS {
            return groups;
        }
        match written.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(group) => groups.push(group),
            Err(_) => return groups,
        }
    }
}

/// Makes groups durable, applies their commits to the index and answers their waiters.
fn sync_and_apply(shared: &Arc<Shared>, groups: Vec<Written>, bytes: u64) {
    let Some(last) = groups.last() else { return };
    let end = last.end;
    // All groups lie in one segment: the writer begins a new one only when there is nothing left to do here.
    if let Err(error) = last.file.sync_data() {
        shared.stop(&format!("a sync of the log failed: {error}"));
        return groups.into_iter().for_each(fail);
    }
    shared.synced.store(end.offset, Ordering::Release);
    if let Some(metrics) = shared.metrics.get() {
        metrics.log_syncs.inc();
        metrics.log_bytes.inc_by(bytes);
    }
    let mut commits = Vec::new();
    let mut replies = Vec::new();
    // What holds the chunks of adopted bodies lives until the index names them.
    let mut held = Vec::new();
    for WrittenCommit { indexed, reply, anchors, .. } in groups.into_iter().flat_map(|group| group.commits) {
        replies.push(reply);
        held.extend(anchors);
        commits.push(indexed);
    }
    if !commits.is_empty()
        && let Err(error) = shared.index.apply(&commits, end, Replay::No)
    {
        // On disk, but not to be seen before the next start has replayed it.
        shared.stop(&format!("the index could not be brought up to date: {error}"));
        return replies.into_iter().flatten().for_each(|reply| drop(reply.send(Err(CommitError::Unknown))));
    }
    for commit in &commits {
        shared.leave_in_flight(commit.sequence, commit.ops.iter().map(|(key, _)| key.as_slice()));
    }
    shared.applied.advance(end, bytes, shared.options.checkpoint_bytes);
    drop(held);
    for (commit, reply) in commits.iter().zip(replies) {
        if let Some(reply) = reply {
            let _ = reply.send(Ok(commit.sequence));
        }
    }
}

fn fail(group: Written) {
    for reply in group.commits.into_iter().filter_map(|commit| commit.reply) {
        let _ = reply.send(Err(CommitError::Unknown));
    }
}

/// Makes checkpoints until the store is closed, and one more then.
pub(super) fn run_checkpoints(shared: &Arc<Shared>) {
    let mut noted = None;
    loop {
        let due = shared.applied.wait_for_checkpoint(shared.options.checkpoint_every, shared.options.checkpoint_bytes);
        let position = shared.applied.position();
        if noted != Some(position) && !shared.is_stopped() {
            match checkpoint_now(shared) {
                Ok(()) => noted = Some(position),
                // The log is whole; the next start replays more of it.
                Err(error) => tracing::error!(%error, "a checkpoint failed"),
            }
        }
        if due.is_none() {
            return;
        }
    }
}

/// Makes the index durable and notes up to where.
pub(super) fn checkpoint_now(shared: &Shared) -> Result<(), StoreError> {
    let _alone = shared.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
    // Read before the flush: what is applied meanwhile is replayed once more, which changes nothing.
    let position = shared.applied.position();
    shared.index.flush().map_err(StoreError::io("make the index durable"))?;
    checkpoint::write(&shared.checkpoint, position).map_err(StoreError::io("note a checkpoint"))
}
