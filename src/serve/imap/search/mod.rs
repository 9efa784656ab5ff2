//! SEARCH, RFC 3501 §6.4.4, in three steps of rising cost: the shared list answers what it can; summaries are read only
//! for messages it cannot decide; bytes only for those that their summary cannot decide either. Answers are three-valued
//! (yes, no, not known yet), so that `OR SEEN TEXT x` reads no message that is seen.

mod decode;
mod plan;
mod scan;

use std::sync::Arc;

use tokio::task::JoinSet;

use self::plan::{Facts, Plan};
use super::reply::{Outcome, Reply, Stop};
use super::session::Session;
use crate::mail::{BodyReader, Entry, MailError, Selected, StoredMessage};
use crate::wire::imap::command::{Numbers, Tag};
use crate::wire::imap::response::decimal;
use crate::wire::imap::search::{SearchCommand, SearchKey, SearchResults};
use crate::wire::imap::sequence;

/// Messages looked at in one go.
const BATCH: usize = 512;
/// Messages of one session that are scanned at the same time.
const SCANS: usize = 4;

/// A message that matches.
#[derive(Debug, Clone, Copy)]
struct Hit {
    number: u32,
    modseq: u64,
}

impl Session {
    /// SEARCH and UID SEARCH.
    pub(super) async fn search(&mut self, tag: &Tag, command: &SearchCommand) -> Outcome {
        let with_modseq = command.keys.iter().any(|key| key.any(&|key| matches!(key, SearchKey::ModSeq(_))));
        if with_modseq {
            self.enable_condstore();
        }
        let selected = self.selected()?;
        let plan = Arc::new(Plan::new(&command.keys, selected)?);
        let mut hits = Vec::new();
        let mut from = 1;
        loop {
            let batch: Vec<(u32, Entry)> =
                (from..).map_while(|seq| Some((seq, *selected.entry(seq)?))).take(BATCH).collect();
            let Some((last, _)) = batch.last() else { break };
            from = last + 1;
            let matches = search_batch(selected, &plan, &batch).await?;
            hits.extend(batch.iter().zip(matches).filter(|(_, matches)| *matches).map(|((seq, entry), _)| Hit {
                number: if command.numbers == Numbers::Uid { entry.uid } else { *seq },
                modseq: entry.modseq,
            }));
        }
        if looks_inside(&command.keys) {
            self.trace_search(hits.len()).await?;
        }
        match &command.results {
            None => self.tell_search(&hits, with_modseq).await?,
            Some(results) => self.tell_esearch(tag, command.numbers, results, &hits, with_modseq),
        }
        Ok(Reply::ok("Searched"))
    }

    /// `* SEARCH n n n`, RFC 3501 §7.2.5, with `(MODSEQ n)`, RFC 7162 §3.1.5.
    async fn tell_search(&mut self, hits: &[Hit], with_modseq: bool) -> Result<(), Stop> {
        self.channel.out.extend_from_slice(b"* SEARCH");
        for hit in hits {
            self.channel.out.push(b' ');
            decimal(&mut self.channel.out, u64::from(hit.number));
            self.channel.flush_if_full().await?;
        }
        let highest = hits.iter().map(|hit| hit.modseq).max();
        if let Some(highest) = highest.filter(|_| with_modseq) {
            self.channel.out.extend_from_slice(b" (MODSEQ ");
            decimal(&mut self.channel.out, highest);
            self.channel.out.push(b')');
        }
        self.channel.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// `* ESEARCH …`, RFC 4731 §3.
    fn tell_esearch(&mut self, tag: &Tag, numbers: Numbers, wanted: &SearchResults, hits: &[Hit], with_modseq: bool) {
        let out = &mut self.channel.out;
        out.extend_from_slice(b"* ESEARCH (TAG \"");
        out.extend_from_slice(tag.as_str().as_bytes());
        out.extend_from_slice(if numbers == Numbers::Uid { b"\") UID" } else { b"\")" });
        let mut put = |name: &str, number: u64| {
            out.extend_from_slice(name.as_bytes());
            decimal(out, number);
        };
        if let (Some(first), Some(last)) = (hits.first(), hits.last()) {
            if wanted.min {
                put(" MIN ", u64::from(first.number));
            }
            if wanted.max {
                put(" MAX ", u64::from(last.number));
            }
        }
        if wanted.count {
            put(" COUNT ", hits.len() as u64);
        }
        if with_modseq && let Some(modseq) = esearch_modseq(wanted, hits) {
            put(" MODSEQ ", modseq);
        }
        if wanted.all && !hits.is_empty() {
            out.extend_from_slice(b" ALL ");
            sequence::write(out, hits.iter().map(|hit| hit.number));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a search asks for what messages say. One by flags, numbers, dates and sizes alone is how programs keep their lists.
fn looks_inside(keys: &[SearchKey]) -> bool {
    let asks = |key: &SearchKey| matches!(key, SearchKey::Header(..) | SearchKey::Body(_) | SearchKey::Text(_));
    keys.iter().any(|key| key.any(&asks))
}

/// RFC 7162 §3.1.10: of the messages that are told of, or of all when ALL or COUNT is.
fn esearch_modseq(wanted: &SearchResults, hits: &[Hit]) -> Option<u64> {
    if wanted.all || wanted.count {
        return hits.iter().map(|hit| hit.modseq).max();
    }
    let min = hits.first().filter(|_| wanted.min);
    let max = hits.last().filter(|_| wanted.max);
    min.into_iter().chain(max).map(|hit| hit.modseq).max()
}

/// Which messages of a batch match.
async fn search_batch(selected: &Selected, plan: &Arc<Plan>, batch: &[(u32, Entry)]) -> Result<Vec<bool>, Stop> {
    let facts = |at: usize| {
        let (seq, entry) = batch[at];
        Facts { seq, entry, recent: selected.is_recent(entry.uid), message: None, found: None }
    };
    let mut verdicts: Vec<Option<bool>> = (0..batch.len()).map(|at| plan.decide(&facts(at))).collect();
    let open: Vec<usize> = (0..batch.len()).filter(|at| verdicts[*at].is_none()).collect();
    if !open.is_empty() {
        let messages = selected.summaries(open.iter().map(|at| batch[*at].1.uid).collect()).await?;
        let mut scans = JoinSet::new();
        // Rising like `open`; messages that are gone are left out, and match nothing.
        for message in messages {
            let Ok(place) = open.binary_search_by_key(&message.uid, |at| batch[*at].1.uid) else { continue };
            let at = open[place];
            verdicts[at] = plan.decide(&Facts { message: Some(&message), ..facts(at) });
            if verdicts[at].is_some() {
                continue;
            }
            if scans.len() >= SCANS {
                finish_scan(&mut scans, &mut verdicts).await?;
            }
            match selected.body(message.uid).await {
                Ok(body) => {
                    let facts = facts(at);
                    scans.spawn(scan_one(at, plan.clone(), facts.seq, facts.entry, facts.recent, message, body));
                }
                Err(error) => unreadable(message.uid, error)?,
            }
        }
        while !scans.is_empty() {
            finish_scan(&mut scans, &mut verdicts).await?;
        }
    }
    Ok(verdicts.into_iter().map(|verdict| verdict == Some(true)).collect())
}

/// Reads a message and decides it.
async fn scan_one(
    at: usize,
    plan: Arc<Plan>,
    seq: u32,
    entry: Entry,
    recent: bool,
    message: StoredMessage,
    body: BodyReader,
) -> (usize, u32, Result<bool, MailError>) {
    let found = scan::scan(body, &message.summary, plan.needles()).await;
    let verdict = found.map(|found| {
        let facts = Facts { seq, entry, recent, message: Some(&message), found: Some(&found) };
        plan.decide(&facts) == Some(true)
    });
    (at, message.uid, verdict)
}

async fn finish_scan(
    scans: &mut JoinSet<(usize, u32, Result<bool, MailError>)>,
    verdicts: &mut [Option<bool>],
) -> Result<(), Stop> {
    match scans.join_next().await {
        Some(Ok((at, _, Ok(verdict)))) => verdicts[at] = Some(verdict),
        Some(Ok((_, uid, Err(error)))) => unreadable(uid, error)?,
        Some(Err(error)) => tracing::error!(%error, "a search did not end well"),
        None => {}
    }
    Ok(())
}

/// A message that cannot be read matches nothing, and costs the others nothing.
fn unreadable(uid: u32, error: MailError) -> Result<(), Stop> {
    match error {
        MailError::MessageGone => Ok(()),
        MailError::Store(_) | MailError::Sealed(_) => {
            tracing::error!(uid, %error, "a message cannot be read");
            Ok(())
        }
        other => Err(other.into()),
    }
}
