//! What a start finds: heads and files are held against each other, and the open day's chain is taken up again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use super::block::{BlockKind, Hash};
use super::day::Day;
use super::forgetting;
use super::heads::{Head, Heads, Read, TRACES_FORMAT};
use super::home::Home;
use super::indexer::Indexer;
use super::keys::TraceKeys;
use super::open::{OpenBlock, open_seal};
use super::tree::GrowingTree;
use super::walk::{BlockHashes, Piece, Walk, read_up_to};
use super::writer::{OpenDay, Tip};
use super::{Damage, Torn, TraceError, TraceOpening, TraceOptions, Witnessed};
use crate::store::embedded::durable;

/// What a stream starts from.
pub(super) struct Started {
    pub(super) heads: Heads,
    /// Whether the disk had room for them.
    pub(super) are_written: bool,
    /// Bytes of the sealed days' files, of those that are there.
    pub(super) sizes: BTreeMap<Day, u64>,
    pub(super) open: Option<(OpenDay, Indexer)>,
    pub(super) opening: TraceOpening,
}

pub(super) fn start(
    home: &Home,
    keys: &TraceKeys,
    options: &TraceOptions,
    witnessed: Option<Witnessed<'_>>,
) -> Result<Started, TraceError> {
    home.remove_leavings()?;
    let mut opening = TraceOpening::default();
    let files = home.days()?;
    let (mut heads, format) = read_heads(home, keys, files.first().copied(), &mut opening)?;
    let written = heads.clone();
    if !opening.heads_rebuilt {
        // No file goes because of heads that somebody may have written.
        match forgetting::end(home, &heads) {
            Ok(strange) => opening.strange = strange,
            // It keeps no mail waiting: a verification tells of what is still there, and the next forgetting tries again.
            Err(error) => tracing::error!(%error, "what is left of traces that were forgotten is not removed"),
        }
    }
    let mut open = None;
    for day in unlisted(&heads, &files, &mut opening) {
        let is_newest = files.last() == Some(&day);
        // An append to a later day comes after the sync of this one.
        let witnessed = witnessed.filter(|_| is_newest && !opening.heads_rebuilt);
        match take_up(home, keys, options, &mut heads, (day, witnessed), &mut opening)? {
            Some(found) if is_newest => open = Some(found),
            Some((mut found, indexer)) => {
                opening.sealed_late.push(day);
                let head = found.seal(keys, heads.before(day))?;
                insert(&mut heads, head);
                keep_index(home, day, indexer, found.tip.length);
            }
            None => {}
        }
    }
    let mut are_written = true;
    if heads != written || format != Some(TRACES_FORMAT) {
        match heads.write(&home.path, keys) {
            // Where there are files they can be made again: the next append writes them first.
            Err(error) if error.is_full() && !files.is_empty() => {
                are_written = false;
                tracing::warn!(%error, "heads are not written");
            }
            outcome => outcome?,
        }
    }
    let sizes = sizes(home, &heads, &mut opening)?;
    Ok(Started { heads, are_written, sizes, open, opening })
}

/// The heads, and the format that the file has which says the same; none where it is to be written.
fn read_heads(
    home: &Home,
    keys: &TraceKeys,
    oldest: Option<Day>,
    opening: &mut TraceOpening,
) -> Result<(Heads, Option<u32>), TraceError> {
    let found = match Heads::read(&home.path, keys)? {
        Read::Whole(heads, format) => return Ok((heads, Some(format))),
        Read::Missing if oldest.is_none() => return Ok((Heads::begin(), None)),
        Read::Missing => None,
        Read::Altered(found) => {
            // A full disk does not keep the server from its start.
            if let Err(error) = home.keep_altered(&Heads::path(&home.path)) {
                tracing::error!(%error, "the heads that are not as they were written are not kept");
            }
            found
        }
    };
    opening.heads_rebuilt = true;
    let mut heads = found.unwrap_or_else(Heads::begin);
    // The genesis is signed by the oldest head only; where that is lost, the oldest file's first block names what it follows.
    let head = heads.days.first().map(|head| (head.day, head.before));
    let file = oldest.and_then(|day| Some((day, first_previous(&home.day(day))?)));
    if let Some((_, genesis)) = head.into_iter().chain(file).min_by_key(|(day, _)| *day) {
        heads.genesis = genesis;
    }
    Ok((heads, None))
}

/// What the first block of a file follows.
fn first_previous(path: &Path) -> Option<Hash> {
    let file = File::open(path).ok()?;
    let mut walk = Walk::new(&file, file.metadata().ok()?.len());
    let first = walk.step().ok()??;
    first.header.filter(|header| header.head.number == 0).map(|header| header.head.previous)
}

/// The days that have a file and no head: the open one, one whose head a crash kept from being written, or all of them where
/// the heads are lost. A file of an older day that whole heads do not name was put there by somebody: it is left alone.
fn unlisted(heads: &Heads, files: &BTreeSet<Day>, opening: &mut TraceOpening) -> Vec<Day> {
    let newest = heads.days.last().map(|head| head.day);
    let (mut days, mut strange): (Vec<Day>, Vec<Day>) = (Vec::new(), Vec::new());
    for day in files.iter().filter(|day| heads.find(**day).is_none()) {
        let is_newer = newest.is_none_or(|newest| *day > newest);
        if is_newer || opening.heads_rebuilt { days.push(*day) } else { strange.push(*day) }
    }
    opening.strange.append(&mut strange);
    days
}

/// Takes up a day's chain: notes its head if it is sealed, and gives it back if it is open.
fn take_up(
    home: &Home,
    keys: &TraceKeys,
    options: &TraceOptions,
    heads: &mut Heads,
    (day, witnessed): (Day, Option<Witnessed<'_>>),
    opening: &mut TraceOpening,
) -> Result<Option<(OpenDay, Indexer)>, TraceError> {
    let path = home.day(day);
    let begin = || (Indexer::new(&home.path, day, options.index_memory), Tip::begin(day, heads.before(day)));
    let (before, (mut indexer, tip)) = (opening.damaged.len(), begin());
    let mut found = follow(&path, keys, tip, None, &mut indexer, opening)?;
    let holes = opening.damaged[before..].iter().map(|damage| damage.from);
    if let Some(witnessed) = witnessed
        && let Some(torn) = torn_from(&path, keys, day, &witnessed, holes)?
    {
        opening.damaged.truncate(before);
        let tip;
        (indexer, tip) = begin();
        found = follow(&path, keys, tip, Some(torn), &mut indexer, opening)?;
    }
    settle(&path)?;
    if let Some(head) = found.seal {
        insert(heads, head);
        keep_index(home, day, indexer, found.whole);
        return Ok(None);
    }
    cut(home, day, found.whole, opening)?;
    if found.tip.blocks == 0 {
        fs::remove_file(&path).map_err(TraceError::io("remove", &path))?;
        return Ok(None);
    }
    let tip = Tip { length: found.whole, ..found.tip };
    Ok(Some((OpenDay::at(home, tip, found.tree)?, indexer)))
}

/// Where an append that nobody was told of begins to be torn, though blocks of it are whole behind: at the first hole behind what
/// is witnessed, if all that can be read from there on waits to be filed again.
fn torn_from(
    path: &Path,
    keys: &TraceKeys,
    day: Day,
    Witnessed { mark, waits }: &Witnessed<'_>,
    holes: impl Iterator<Item = u64>,
) -> Result<Option<u64>, TraceError> {
    let is_behind = |hole: u64| match day.cmp(&mark.day) {
        Ordering::Less => false,
        // The witnessed block itself was on disk, whole.
        Ordering::Equal => hole > mark.offset,
        Ordering::Greater => true,
    };
    let Some(torn) = holes.filter(|hole| is_behind(*hole)).min() else { return Ok(None) };
    let failed = || TraceError::io("read", path);
    let file = File::open(path).map_err(failed())?;
    let mut walk = Walk::new(&file, file.metadata().map_err(failed())?.len());
    while let Some(piece) = walk.step().map_err(failed())? {
        let Some((header, payload)) = piece.whole().filter(|_| piece.range.start >= torn) else { continue };
        let Some(block) = OpenBlock::open(keys, &header.head, payload) else { return Ok(None) };
        if !block.lines().all(|line| waits(line.at())) {
            return Ok(None);
        }
    }
    Ok(Some(torn))
}

/// What is found whole is taken to be on disk from now on: a process that was killed may have left it in the system's memory.
fn settle(path: &Path) -> Result<(), TraceError> {
    let synced = File::open(path).and_then(|file| file.sync_all()).and_then(|()| durable::sync_parent(path));
    synced.map_err(TraceError::io("sync", path))
}

/// Writes the index that the walk through a day has made, unless there is one.
fn keep_index(home: &Home, day: Day, mut indexer: Indexer, length: u64) {
    let path = home.index(day);
    if !path.exists()
        && let Err(error) = indexer.finish(&path, length)
    {
        tracing::warn!(%day, %error, "the index of a day's traces is not written; a search makes it again");
    }
}

fn insert(heads: &mut Heads, head: Head) {
    let at = heads.days.partition_point(|other| other.day < head.day);
    heads.days.insert(at, head);
}

/// What a walk through a day's file found.
struct Followed {
    tip: Tip,
    /// Over the hashes of the blocks.
    tree: GrowingTree,
    /// Where the last whole block ends.
    whole: u64,
    /// Its head, if its last whole block is a seal.
    seal: Option<Head>,
}

fn follow(
    path: &Path,
    keys: &TraceKeys,
    tip: Tip,
    torn: Option<u64>,
    indexer: &mut Indexer,
    opening: &mut TraceOpening,
) -> Result<Followed, TraceError> {
    let failed = || TraceError::io("read", path);
    let file = File::open(path).map_err(failed())?;
    let mut walk = Walk::new(&file, file.metadata().map_err(failed())?.len());
    let mut found = Followed { tip, tree: GrowingTree::default(), whole: 0, seal: None };
    let (mut hashes, mut damaged) = (BlockHashes::default(), Vec::new());
    while let Some(piece) = walk.step().map_err(failed())? {
        let Some((header, payload)) = piece.whole() else {
            damaged.push(piece);
            continue;
        };
        if torn.is_some_and(|torn| torn <= piece.range.start) {
            break;
        }
        // What is damaged before a whole block is damage; what is behind the last one was torn.
        for piece in damaged.drain(..) {
            hashes.of(&piece).for_each(|hash| found.tree.push(&hash));
            note_damage(&mut found.tip, &piece, indexer, opening).map_err(failed())?;
        }
        hashes.of(&piece).for_each(|hash| found.tree.push(&hash));
        found.whole = piece.range.end;
        if header.head.kind == BlockKind::Seal {
            found.seal = open_seal(keys, header, payload).map(|ends| Head::of(header, ends));
            continue;
        }
        found.seal = None;
        found.tip.follow(piece.range.start, header);
        match OpenBlock::open(keys, &header.head, payload) {
            Some(block) => {
                indexer.make_room().map_err(failed())?;
                indexer.add(piece.range.start, &block.terms());
            }
            None => note_damage(&mut found.tip, &piece, indexer, opening).map_err(failed())?,
        }
    }
    Ok(found)
}

fn note_damage(tip: &mut Tip, piece: &Piece, indexer: &mut Indexer, opening: &mut TraceOpening) -> std::io::Result<()> {
    let day = tip.day;
    if piece.may_hold_lines() {
        indexer.make_room()?;
        indexer.add_damaged(piece.range.start);
    }
    if let Some(header) = piece.header.as_ref().filter(|header| header.head.kind == BlockKind::Lines) {
        tip.follow(piece.range.start, header);
    }
    opening.damaged.push(Damage { day, from: piece.range.start, to: piece.range.end });
    Ok(())
}

/// Cuts what is behind the last whole block of the open day, and keeps a copy of it.
fn cut(home: &Home, day: Day, whole: u64, opening: &mut TraceOpening) -> Result<(), TraceError> {
    let path = home.day(day);
    let failed = || TraceError::io("cut", &path);
    let file = File::options().read(true).write(true).open(&path).map_err(failed())?;
    let bytes = file.metadata().map_err(failed())?.len().saturating_sub(whole);
    if bytes == 0 {
        return Ok(());
    }
    let path_aside = home.aside(day, whole);
    let mut torn = vec![0; bytes.min(MOST_ASIDE) as usize];
    let read = read_up_to(&file, &mut torn, whole).map_err(failed())?;
    let copy = || durable::write(&path_aside, &torn[..read]);
    let first = copy();
    file.set_len(whole).and_then(|()| file.sync_all()).map_err(failed())?;
    // A full disk is what tears: there may be room now. It does not keep the server from its start.
    let copied = first.or_else(|_| copy());
    if let Err(error) = &copied {
        tracing::warn!(%day, %error, "no copy is kept of what a crash left of an append");
    }
    opening.torn = Some(Torn { day, bytes, aside: copied.is_ok().then_some(path_aside) });
    Ok(())
}

/// Bytes of a torn tail that are kept.
const MOST_ASIDE: u64 = 64 * 1024 * 1024;

fn sizes(home: &Home, heads: &Heads, opening: &mut TraceOpening) -> Result<BTreeMap<Day, u64>, TraceError> {
    let mut sizes = BTreeMap::new();
    for head in heads.kept() {
        let path = home.day(head.day);
        match fs::metadata(&path) {
            Ok(metadata) => drop(sizes.insert(head.day, metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => opening.missing.push(head.day),
            Err(error) => return Err(TraceError::io("read", &path)(error)),
        }
    }
    Ok(sizes)
}
