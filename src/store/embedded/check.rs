//! `store check`, offline: reads every frame of the log, holds bodies and index against it, counts folders again, holds the
//! key files against each other and against the accounts.
//!
//! Nothing is mended here. A torn tail is cut, and commits that the index has not are replayed, by the next start; damage
//! is named, and a copy of it is set aside.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::frame::{BODY_PREFIX, FRAME_HEADER, Header, read_body_prefix};
use super::home::Home;
use super::index::{Index, LoggedValue, Position};
use super::keys::unreadable;
use super::replay::{Damage, FENCE_NOT_REACHED, indexed_commit, is_older_than, set_aside, synced_after, walk_error};
use super::segment::{self, Bodies, Piece, SEGMENT_FORMAT, SEGMENT_HEADER, SegmentHead, Segments, Walk};
use super::{INSPECTION_CACHE, checkpoint};
use crate::store::error::{OpenError, StoreError};
use crate::store::keyring::{self, KeyFate, KeyOwner, KeysFound};
use crate::store::schema::{
    AccountId, AccountState, Body, BodyId, Folder, FolderId, FolderKey, Key, KeyInRecord, Message, MessageKey, Place,
    QueueMessage, Record, Table, Uid, flags, probe,
};

/// Rows of the index read in one step.
const PAGE: usize = 1000;
/// Findings of one kind that are listed; beyond it they are only counted.
const LISTED: usize = 1000;

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Segments that a compaction has emptied, of these.
    pub emptied: u64,
    /// Commits in the log, those that were moved included.
    pub commits: u64,
    /// Chunks of bodies in the log, living or not.
    pub chunks: u64,
    /// Bodies in the index.
    pub bodies: u64,
    /// Records in the index, by table.
    pub records: BTreeMap<&'static str, u64>,
    /// Damaged pieces of the log; a copy of each lies in the store's `aside` directory.
    pub damaged: Vec<Damage>,
    /// Bytes of a torn tail: never acknowledged, the next start cuts them.
    pub torn: u64,
    /// Commits that the index has not yet: the next start replays them.
    pub behind: u64,
    /// Why the index cannot be used at all; the next start rebuilds it from the log.
    pub index_unusable: Option<String>,
    /// Bodies with a chunk that cannot be read.
    pub unreadable: Vec<UnreadableBody>,
    /// Records whose bytes do not decode, or that differ from the log.
    pub bad_records: Vec<BadRecord>,
    /// Folders whose counters are not what their messages say.
    pub miscounted: Vec<Miscounted>,
    /// The key files, held against each other.
    pub keys: KeysFound,
    /// Mailboxes that are not closed and whose key is in neither: nothing in them can be read.
    pub keyless: Vec<AccountId>,
    /// Mailboxes that are not closed by their record, though their key was destroyed: an older record has come back.
    pub revived: Vec<AccountId>,
    /// Messages that wait and cannot be opened, by the moment of the queue's key that they need, which is lost.
    pub unopenable: BTreeMap<u64, u64>,
    /// Findings beyond the first thousand of each kind.
    pub not_listed: u64,
}

/// A body that cannot be read whole.
#[derive(Debug, Serialize)]
pub struct UnreadableBody {
    /// Its number.
    pub body: BodyId,
    /// Its first unreadable chunk.
    pub chunk: u32,
    /// What is wrong with it.
    pub reason: &'static str,
    /// The messages that show it.
    pub messages: Vec<(FolderId, Uid)>,
}

/// A record that is not as it should be.
#[derive(Debug, Serialize)]
pub struct BadRecord {
    /// Its table.
    pub table: &'static str,
    /// Its key, in hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A folder with wrong counters.
#[derive(Debug, Serialize)]
pub struct Miscounted {
    /// The folder.
    pub folder: FolderId,
    /// Messages, unseen messages and bytes by its record.
    pub recorded: (u64, u64, u64),
    /// The same, counted.
    pub counted: (u64, u64, u64),
    /// A message has a UID that the folder would give again.
    pub uid_beyond_next: bool,
}

impl CheckReport {
    /// Nothing is lost or wrong. A torn tail and commits to be replayed are the traces of a crash, and no fault.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
            && self.index_unusable.is_none()
            && self.unreadable.is_empty()
            && self.bad_records.is_empty()
            && self.miscounted.is_empty()
            && self.keys.is_sound()
            && self.keyless.is_empty()
            && self.revived.is_empty()
            && self.unopenable.is_empty()
    }

    fn list<T>(&mut self, pick: impl FnOnce(&mut Self) -> &mut Vec<T>, finding: T) {
        let list = pick(self);
        if list.len() < LISTED {
            list.push(finding);
        } else {
            self.not_listed += 1;
        }
    }
}

/// Checks a store that no process has open. `progress` is told how many bytes of how many are read. Reads all of the log;
/// memory: some 50 bytes for each record that the log ever wrote. Run it as the user that the server runs as.
///
/// # Errors
/// [`OpenError`]: in use, no store, a newer format, or a file that cannot be read at all.
pub fn check(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, OpenError> {
    let home = Home::open_existing(path)?;
    let segments = Arc::new(Segments::new(home.log()));
    let mut checker = Checker {
        home: &home,
        segments: &segments,
        report: CheckReport::default(),
        log: HashMap::new(),
        end: 0,
        fence: 0,
        accounts: BTreeMap::new(),
        queued: HashMap::new(),
    };
    let index = Index::open(&home.index(), INSPECTION_CACHE, segments.clone());
    let applied = match &index {
        Ok(index) => index.applied().map_err(|error| checker.index_error(&error))?,
        Err(_) => Position::default(),
    };
    checker.read_log(applied, progress)?;
    let fates = checker.check_key_files()?;
    checker.check_keys_of_accounts(&fates);
    checker.check_keys_of_queued(&fates);
    let noted = checkpoint::read(&home.checkpoint()).unwrap_or_default();
    match index {
        Ok(_) if is_older_than(applied, checker.fence) => {
            checker.report.index_unusable = Some("it is older than the last compaction of the log".into());
        }
        Ok(_) if applied.sequence < noted.sequence => {
            checker.report.index_unusable =
                Some("it lacks commits that were in it when it was last made durable".into());
        }
        Ok(index) => {
            checker.check_index(&index, applied).map_err(|error| checker.index_error(&error))?;
        }
        Err(reason) => checker.report.index_unusable = Some(reason),
    }
    Ok(checker.report)
}

/// What the log says of a key last.
struct Logged {
    version: u64,
    deleted: bool,
    /// The index has it.
    met: bool,
}

struct Checker<'a> {
    home: &'a Home,
    segments: &'a Segments,
    report: CheckReport,
    /// By a hash of the key: two keys that share one are too rare to matter in a report.
    log: HashMap<u64, Logged>,
    /// The last commit in the log.
    end: u64,
    /// The commit that it must reach, as emptied segments say.
    fence: u64,
    accounts: BTreeMap<AccountId, AccountState>,
    /// Which of the queue's keys each message that waits needs, by its record's key.
    queued: HashMap<Vec<u8>, u64>,
}

impl Checker<'_> {
    fn index_error(&self, error: &StoreError) -> OpenError {
        OpenError::Index { path: self.home.index(), reason: error.to_string() }
    }

    fn read_log(&mut self, applied: Position, progress: &mut dyn FnMut(u64, u64)) -> Result<(), OpenError> {
        let numbers = segment::list(&self.home.log())?;
        let length = |number: &u32| std::fs::metadata(self.segments.path(*number)).map_or(0, |metadata| metadata.len());
        let total = numbers.iter().map(length).sum();
        let mut expected = numbers.first().copied().unwrap_or(1);
        for &number in &numbers {
            if number != expected {
                self.damage(expected, 0, 0, "segments are missing before the next one");
            }
            expected = number + 1;
            self.read_segment(number, applied, Some(&number) == numbers.last())?;
            self.report.segments += 1;
            self.report.bytes += length(&number);
            progress(self.report.bytes, total);
        }
        if self.end < self.fence {
            self.damage(numbers.last().copied().unwrap_or(0), 0, 0, FENCE_NOT_REACHED);
        }
        Ok(())
    }

    fn read_segment(&mut self, number: u32, applied: Position, last: bool) -> Result<(), OpenError> {
        let path = self.segments.path(number);
        let file = self.segments.file(number).map_err(OpenError::io("open", &path))?;
        let salt = self.home.salt;
        match segment::read_head(&file, number, &salt).map_err(OpenError::io("read", &path))? {
            SegmentHead::Whole { emptied, sequence, fence } => {
                self.report.emptied += u64::from(emptied);
                (self.end, self.fence) = (self.end.max(sequence), self.fence.max(fence));
            }
            SegmentHead::Damaged => self.damage(number, 0, SEGMENT_HEADER, "the segment's header is damaged"),
            SegmentHead::Newer(found) => return Err(OpenError::Format { path, found, known: SEGMENT_FORMAT }),
        }
        let known = if number == applied.segment { applied.offset } else { 0 };
        let mut walk =
            Walk::new(&*file, &salt, SEGMENT_HEADER, Bodies::Verify).map_err(OpenError::io("read", &path))?;
        while let Some(piece) = walk.step().map_err(|error| walk_error(&path, error))? {
            match piece {
                Piece::Body { .. } => self.report.chunks += 1,
                Piece::Commit { offset, header, payload } => self.commit(number, offset, &header, &payload, applied),
                Piece::Damaged { from, to, resumed } => {
                    let synced = !last || from < known || (resumed && synced_after(&file, &salt, to, from));
                    if !synced {
                        let length = file.metadata().map_err(OpenError::io("read", &path))?.len();
                        self.report.torn = length - u64::from(from);
                        break;
                    }
                    self.damage(number, from, to, "bytes that are no whole frame");
                }
            }
        }
        if last && file.metadata().is_ok_and(|metadata| metadata.len() < u64::from(known)) {
            self.damage(number, 0, 0, "the log ends before what was known to be on disk");
        }
        Ok(())
    }

    fn commit(&mut self, number: u32, offset: u32, header: &Header, payload: &[u8], applied: Position) {
        self.report.commits += 1;
        self.end = self.end.max(header.sequence);
        let Some(commit) = indexed_commit(number, offset, header, payload) else {
            let end = offset + header.frame_length() as u32;
            return self.damage(number, offset, end, "a commit that does not read");
        };
        for (key, value) in &commit.ops {
            self.note_account(key, value.as_ref());
            self.note_queued(key, value.as_ref());
        }
        if commit.sequence > applied.sequence {
            self.report.behind += 1;
            return;
        }
        for (key, value) in commit.ops {
            let logged = Logged { version: commit.version, deleted: value.is_none(), met: false };
            self.log.insert(hash(&key), logged);
        }
    }

    fn damage(&mut self, number: u32, from: u32, to: u32, reason: &'static str) {
        let damage = Damage { path: self.segments.path(number), from, to, reason };
        if let Err(error) = set_aside(&self.home.aside(), &damage) {
            tracing::error!(%error, "the damaged piece could not be copied aside");
        }
        self.report.list(|report| &mut report.damaged, damage);
    }

    fn check_index(&mut self, index: &Index, applied: Position) -> Result<(), StoreError> {
        let mut unreadable = BTreeMap::new();
        let mut counts = BTreeMap::<FolderId, Counted>::new();
        let mut folders = Vec::new();
        let mut shown = Vec::new();
        for table in Table::ALL {
            let mut from = Bound::Included(vec![table as u8]);
            loop {
                // By keys: a list would leave out the records that do not read.
                let page = index.keys((from, Bound::Excluded(vec![table as u8 + 1])), PAGE)?;
                for key in &page {
                    *self.report.records.entry(table.name()).or_default() += 1;
                    let raw = match index.get(key) {
                        Ok(Some(raw)) => raw,
                        Ok(None) => continue,
                        Err(StoreError::Record { .. }) => {
                            self.lost_record(table, key);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    self.check_record(table, key, &raw.value, raw.version, applied);
                    match table {
                        Table::Body => self.check_body(&key[1..], &raw.value, &mut unreadable),
                        Table::Message => count_message(&key[1..], &raw.value, &mut counts, &mut shown),
                        Table::Folder => {
                            folders.extend(FolderKey::decode(&key[1..]).zip(Folder::decode(&raw.value).ok()))
                        }
                        _ => {}
                    }
                }
                let Some(last) = page.last() else { break };
                from = Bound::Excluded(last.clone());
            }
        }
        self.check_missing();
        self.check_folders(&folders, &counts);
        // Bodies come after messages in the order of tables, so who shows an unreadable one is found here.
        for (body, (chunk, reason)) in unreadable {
            let messages = shown.iter().filter(|(shown, ..)| *shown == body).map(|(_, at)| *at).collect();
            self.report.list(|report| &mut report.unreadable, UnreadableBody { body, chunk, reason, messages });
        }
        Ok(())
    }

    /// Whose keys there are. In a store of an older format mailboxes' keys are in the records, and no ring is looked at.
    fn check_key_files(&mut self) -> Result<HashMap<KeyOwner, KeyFate>, OpenError> {
        if !self.home.has_ring() {
            return Ok(HashMap::new());
        }
        let (found, fates) = keyring::inspect(&self.home.path, &self.home.salt)?;
        self.report.keys = found;
        Ok(fates)
    }

    /// What the log says of accounts, whatever the index has: a backup has none.
    fn note_account(&mut self, key: &[u8], value: Option<&LoggedValue>) {
        let Some(id) = key.strip_prefix(&[Table::Account as u8]).and_then(AccountId::decode) else { return };
        match value.map(|value| KeyInRecord::decode(&value.bytes)) {
            Some(Ok(record)) => drop(self.accounts.insert(id, record.state)),
            Some(Err(_)) => {}
            None => drop(self.accounts.remove(&id)),
        }
    }

    /// What the log says of messages that wait, as of accounts.
    fn note_queued(&mut self, key: &[u8], value: Option<&LoggedValue>) {
        if key.first() != Some(&(Table::QueueMessage as u8)) {
            return;
        }
        match value.map(|value| QueueMessage::decode(&value.bytes)) {
            Some(Ok(message)) => drop(self.queued.insert(key.to_vec(), message.transit_key)),
            Some(Err(_)) => {}
            None => drop(self.queued.remove(key)),
        }
    }

    /// Each names the queue's key that it is sealed under, or 0: the operator's own, which is no ring's.
    fn check_keys_of_queued(&mut self, fates: &HashMap<KeyOwner, KeyFate>) {
        if !self.home.has_ring() {
            return;
        }
        let is_there = |moment: u64| fates.get(&KeyOwner::Transit(moment)) == Some(&KeyFate::Living);
        for moment in self.queued.values().filter(|moment| **moment != 0 && !is_there(**moment)) {
            *self.report.unopenable.entry(*moment).or_default() += 1;
        }
    }

    fn check_keys_of_accounts(&mut self, fates: &HashMap<KeyOwner, KeyFate>) {
        if !self.home.has_ring() {
            return;
        }
        let living = self.accounts.iter().filter(|(_, state)| **state != AccountState::Closed).map(|(id, _)| *id);
        let (lost, wiped) = unreadable(living, |owner| fates.get(&owner).copied());
        lost.into_iter().for_each(|account| self.report.list(|report| &mut report.keyless, account));
        wiped.into_iter().for_each(|account| self.report.list(|report| &mut report.revived, account));
    }

    fn check_record(&mut self, table: Table, key: &[u8], value: &[u8], version: u64, applied: Position) {
        if probe(table, value).is_err() {
            self.bad_record(table, key, "it does not decode");
        }
        if version > applied.sequence {
            return self.bad_record(table, key, "it is newer than what the index says it holds");
        }
        match self.log.get_mut(&hash(key)) {
            Some(logged) => {
                logged.met = true;
                if logged.deleted {
                    self.bad_record(table, key, "the log says that it was deleted");
                } else if logged.version != version {
                    self.bad_record(table, key, "the log has another version of it");
                }
            }
            None => self.bad_record(table, key, "the log does not have it (any more)"),
        }
    }

    /// A record that lies in the log, as the index says, and is not there.
    fn lost_record(&mut self, table: Table, key: &[u8]) {
        if let Some(logged) = self.log.get_mut(&hash(key)) {
            logged.met = true;
        }
        self.bad_record(table, key, "its place in the log does not hold it");
    }

    fn check_missing(&mut self) {
        let missing = self.log.values().filter(|logged| !logged.deleted && !logged.met).count();
        for _ in 0..missing {
            let record = BadRecord { table: "?", key: String::new(), reason: "the log has it and the index has not" };
            self.report.list(|report| &mut report.bad_records, record);
        }
    }

    fn bad_record(&mut self, table: Table, key: &[u8], reason: &'static str) {
        let key = key[1..].iter().map(|byte| format!("{byte:02x}")).collect();
        self.report.list(|report| &mut report.bad_records, BadRecord { table: table.name(), key, reason });
    }

    fn check_body(&mut self, key: &[u8], value: &[u8], unreadable: &mut BTreeMap<BodyId, (u32, &'static str)>) {
        let (Some(id), Ok(body)) = (BodyId::decode(key), Body::decode(value)) else { return };
        self.report.bodies += 1;
        for (number, place) in body.places.iter().enumerate() {
            if let Some(reason) = self.chunk_problem(id, number as u32, *place) {
                unreadable.insert(id, (number as u32, reason));
                return;
            }
        }
    }

    /// The walk has verified every whole frame, so a chunk is readable if a frame of its begins at its place, outside of
    /// all damage.
    fn chunk_problem(&self, body: BodyId, index: u32, place: Place) -> Option<&'static str> {
        let Ok(file) = self.segments.file(place.segment) else { return Some("its segment is missing") };
        let path = self.segments.path(place.segment);
        let hit = |damage: &Damage| damage.path == path && (damage.from..damage.to).contains(&place.offset);
        if self.report.damaged.iter().any(hit) {
            return Some("it is damaged");
        }
        let mut head = [0; FRAME_HEADER + BODY_PREFIX];
        if file.read_exact_at(&mut head, u64::from(place.offset)).is_err() {
            return Some("the segment ends before it");
        }
        let (header, prefix) = head.split_first_chunk::<FRAME_HEADER>().expect("the head is longer than a header");
        let ours = read_body_prefix(prefix).is_some_and(|(id, number, _)| (id, number) == (body, index));
        let whole = Header::decode(header, &self.home.salt).is_ok() && ours;
        (!whole).then_some("another frame lies there")
    }

    fn check_folders(&mut self, folders: &[(FolderKey, Folder)], counts: &BTreeMap<FolderId, Counted>) {
        for (key, folder) in folders {
            let counted = counts.get(&key.folder).copied().unwrap_or_default();
            let recorded = (u64::from(folder.messages), u64::from(folder.unseen), folder.bytes);
            let uid_beyond_next = counted.highest_uid >= folder.uid_next.max(1);
            let counted = (counted.messages, counted.unseen, counted.bytes);
            if recorded != counted || uid_beyond_next {
                let finding = Miscounted { folder: key.folder, recorded, counted, uid_beyond_next };
                self.report.list(|report| &mut report.miscounted, finding);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    messages: u64,
    unseen: u64,
    bytes: u64,
    highest_uid: Uid,
}

fn count_message(
    key: &[u8],
    value: &[u8],
    counts: &mut BTreeMap<FolderId, Counted>,
    shown: &mut Vec<(BodyId, (FolderId, Uid))>,
) {
    let (Some(key), Ok(message)) = (MessageKey::decode(key), Message::decode(value)) else { return };
    let counted = counts.entry(key.folder).or_default();
    counted.messages += 1;
    counted.unseen += u64::from(message.flags & flags::SEEN == 0);
    counted.bytes += message.size;
    counted.highest_uid = counted.highest_uid.max(key.uid);
    shown.push((message.body, (key.folder, key.uid)));
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
