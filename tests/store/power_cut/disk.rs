//! A disk that forgets: what stands on it for certain after a power cut, and what may or may not.
//!
//! For certain: what was written before a sync of the same file began that has ended, and the names that were made or changed
//! before a sync of their directory began that has ended. Whatever else was asked for may be there in any part: each page of a
//! write by itself, the changes of a directory's names up to any one of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::recording::{Call, Event};

const PAGE: u64 = 4096;

/// What of that which was not synced is on the disk.
#[derive(Clone, Copy, Debug)]
pub enum Luck {
    Nothing,
    Everything,
    /// Each page, and each directory's changes up to one of them, by dice.
    Dice(u64),
}

impl Luck {
    /// One of `0..=most`.
    fn of(&mut self, most: usize) -> usize {
        match self {
            Luck::Nothing => 0,
            Luck::Everything => most,
            Luck::Dice(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                (*state >> 20) as usize % (most + 1)
            }
        }
    }

    fn keeps(&mut self) -> bool {
        self.of(1) == 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

#[derive(Debug)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Debug, Default)]
struct File {
    /// As which it was made.
    path: PathBuf,
    synced: Vec<u8>,
    /// By the calls that made them; the calls of `ended` have come back.
    changes: Vec<(usize, Change)>,
    length: u64,
}

#[derive(Debug)]
enum Renaming {
    Appears(OsString, Entry),
    Vanishes(OsString),
    Moves(OsString, OsString),
}

type Names = BTreeMap<OsString, Entry>;

#[derive(Debug, Default)]
struct Directory {
    synced: Names,
    changes: Vec<(usize, Renaming)>,
    now: Names,
}

impl Renaming {
    fn apply(&self, names: &mut Names) {
        match self {
            Renaming::Appears(name, entry) => drop(names.insert(name.clone(), *entry)),
            Renaming::Vanishes(name) => drop(names.remove(name)),
            Renaming::Moves(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    File(usize),
    Directory(PathBuf),
    /// What the process says.
    Output,
    Elsewhere,
}

#[derive(Debug)]
struct Description {
    target: Target,
    position: u64,
    appends: bool,
}

/// What a call waits for to do at its end.
#[derive(Debug)]
enum AtEnd {
    Describes(Target, bool),
    Duplicates(usize),
    Seeks(usize),
    /// These calls' changes are on the disk.
    Syncs(Target, Vec<usize>),
    Nothing,
}

/// Which files and directories a broken disk does not sync.
pub type Deaf = fn(&Path) -> bool;

/// Everything below one directory, from which on the process is followed.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    files: Vec<File>,
    directories: BTreeMap<PathBuf, Directory>,
    descriptors: HashMap<i64, usize>,
    descriptions: Vec<Description>,
    under_way: HashMap<usize, AtEnd>,
    said: String,
    deaf: Deaf,
}

impl Disk {
    /// An empty directory that is on the disk.
    pub fn new(root: &Path) -> Self {
        let output = Description { target: Target::Output, position: 0, appends: true };
        Self {
            root: root.to_owned(),
            files: Vec::new(),
            directories: [(root.to_owned(), Directory::default())].into(),
            descriptors: [(1, 0)].into(),
            descriptions: vec![output],
            under_way: HashMap::new(),
            said: String::new(),
            deaf: |_| false,
        }
    }

    /// A broken one: syncs of these files and directories are answered and do nothing.
    pub fn deaf_to(self, deaf: Deaf) -> Self {
        Self { deaf, ..self }
    }

    /// What the process has said so far.
    pub fn said(&self) -> &str {
        &self.said
    }

    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::Begins(number, call) => {
                let at_end = self.begin(*number, call);
                self.under_way.insert(*number, at_end);
            }
            Event::Ends(number, answer) => {
                let at_end = self.under_way.remove(number).expect("it has begun");
                self.end(at_end, *answer);
            }
        }
    }

    fn begin(&mut self, number: usize, call: &Call) -> AtEnd {
        match call {
            Call::Open { path, create, truncate, append } => {
                return AtEnd::Describes(self.open(number, path, *create, *truncate), *append);
            }
            // At once: another thread may be given the number before this one has said that it is free.
            Call::Close { descriptor } => drop(self.descriptors.remove(descriptor)),
            Call::Duplicate { descriptor } => {
                return self.descriptors.get(descriptor).map_or(AtEnd::Nothing, |at| AtEnd::Duplicates(*at));
            }
            Call::Seek { descriptor } => {
                return self.descriptors.get(descriptor).map_or(AtEnd::Nothing, |at| AtEnd::Seeks(*at));
            }
            Call::Write { descriptor, bytes } => self.write(number, *descriptor, bytes),
            Call::WriteAt { descriptor, bytes, at } => self.write_at(number, *descriptor, bytes, *at),
            Call::SetLength { descriptor, length } => self.set_length(number, *descriptor, *length),
            Call::Sync { descriptor } => return self.sync(*descriptor),
            Call::Rename { from, to } => self.rename(number, from, to),
            Call::Unlink { path } => self.change_name(number, path, Renaming::Vanishes),
            Call::MakeDirectory { path } => {
                if self.parent(path).is_some() && !self.directories.contains_key(path) {
                    self.change_name(number, path, |name| Renaming::Appears(name, Entry::Directory));
                    self.directories.insert(path.clone(), Directory::default());
                }
            }
        }
        AtEnd::Nothing
    }

    fn end(&mut self, at_end: AtEnd, answer: i64) {
        if answer < 0 {
            return;
        }
        match at_end {
            AtEnd::Describes(target, appends) => {
                self.descriptors.insert(answer, self.descriptions.len());
                self.descriptions.push(Description { target, position: 0, appends });
            }
            AtEnd::Duplicates(description) => drop(self.descriptors.insert(answer, description)),
            AtEnd::Seeks(description) => self.descriptions[description].position = answer as u64,
            AtEnd::Syncs(Target::File(file), calls) => {
                let File { changes, synced, .. } = &mut self.files[file];
                settle(changes, &calls, |change| change.apply(synced));
            }
            AtEnd::Syncs(Target::Directory(path), calls) => {
                let Directory { changes, synced, .. } = self.directories.get_mut(&path).expect("it was opened");
                settle(changes, &calls, |change| change.apply(synced));
            }
            AtEnd::Syncs(..) | AtEnd::Nothing => {}
        }
    }

    fn parent(&mut self, path: &Path) -> Option<(&mut Directory, OsString)> {
        let name = path.file_name()?.to_owned();
        self.directories.get_mut(path.parent()?).map(|directory| (directory, name))
    }

    fn open(&mut self, number: usize, path: &Path, create: bool, truncate: bool) -> Target {
        if self.directories.contains_key(path) {
            return Target::Directory(path.to_owned());
        }
        let new = self.files.len();
        let Some((directory, name)) = self.parent(path) else { return Target::Elsewhere };
        match directory.now.get(&name) {
            Some(Entry::File(file)) => {
                let file = *file;
                if truncate {
                    self.files[file].change(number, Change::Length(0));
                }
                Target::File(file)
            }
            None if create => {
                let appears = Renaming::Appears(name, Entry::File(new));
                appears.apply(&mut directory.now);
                directory.changes.push((number, appears));
                self.files.push(File { path: path.to_owned(), ..File::default() });
                Target::File(new)
            }
            // The kernel refuses it.
            _ => Target::Elsewhere,
        }
    }

    fn write(&mut self, number: usize, descriptor: i64, bytes: &[u8]) {
        let Some(description) = self.descriptors.get(&descriptor).copied() else { return };
        let Description { target, position, appends } = &mut self.descriptions[description];
        match *target {
            Target::Output => self.said.push_str(&String::from_utf8_lossy(bytes)),
            Target::File(file) => {
                let file = &mut self.files[file];
                let at = if *appends { file.length } else { *position };
                *position = at + bytes.len() as u64;
                file.change(number, Change::Write { at, bytes: bytes.to_vec() });
            }
            _ => {}
        }
    }

    fn write_at(&mut self, number: usize, descriptor: i64, bytes: &[u8], at: u64) {
        if let Some(file) = self.file(descriptor) {
            file.change(number, Change::Write { at, bytes: bytes.to_vec() });
        }
    }

    fn set_length(&mut self, number: usize, descriptor: i64, length: u64) {
        if let Some(file) = self.file(descriptor) {
            file.change(number, Change::Length(length));
        }
    }

    fn file(&mut self, descriptor: i64) -> Option<&mut File> {
        match self.descriptions[*self.descriptors.get(&descriptor)?].target {
            Target::File(file) => Some(&mut self.files[file]),
            _ => None,
        }
    }

    fn sync(&mut self, descriptor: i64) -> AtEnd {
        let Some(description) = self.descriptors.get(&descriptor) else { return AtEnd::Nothing };
        let target = self.descriptions[*description].target.clone();
        let path = match &target {
            Target::File(file) => &self.files[*file].path,
            Target::Directory(path) => path,
            _ => return AtEnd::Nothing,
        };
        if (self.deaf)(path) {
            return AtEnd::Nothing;
        }
        let has_ended = |number: &usize| !self.under_way.contains_key(number);
        let calls: Vec<usize> = match &target {
            Target::File(file) => self.files[*file].changes.iter().map(|(number, _)| *number).collect(),
            Target::Directory(path) => self.directories[path].changes.iter().map(|(number, _)| *number).collect(),
            _ => Vec::new(),
        };
        AtEnd::Syncs(target, calls.into_iter().filter(has_ended).collect())
    }

    fn rename(&mut self, number: usize, from: &Path, to: &Path) {
        assert_eq!(from.parent(), to.parent(), "a move between directories is not modelled");
        let Some(name) = to.file_name().map(ToOwned::to_owned) else { return };
        self.change_name(number, from, |from| Renaming::Moves(from, name));
    }

    fn change_name(&mut self, number: usize, path: &Path, change: impl FnOnce(OsString) -> Renaming) {
        if let Some((directory, name)) = self.parent(path) {
            let change = change(name);
            change.apply(&mut directory.now);
            directory.changes.push((number, change));
        }
    }

    /// Makes in `place` what a power cut at this moment might leave of the root.
    pub fn cut(&self, place: &Path, mut luck: Luck) {
        self.leave(&self.root, place, &mut luck);
    }

    fn leave(&self, path: &Path, place: &Path, luck: &mut Luck) {
        fs::create_dir_all(place).unwrap();
        let directory = &self.directories[path];
        let mut names = directory.synced.clone();
        let kept = luck.of(directory.changes.len());
        directory.changes[..kept].iter().for_each(|(_, change)| change.apply(&mut names));
        for (name, entry) in names {
            match entry {
                Entry::Directory => self.leave(&path.join(&name), &place.join(&name), luck),
                Entry::File(file) => fs::write(place.join(name), self.files[file].left(luck)).unwrap(),
            }
        }
    }
}

/// The changes of these calls are on the disk.
fn settle<C>(changes: &mut Vec<(usize, C)>, calls: &[usize], mut apply: impl FnMut(&C)) {
    changes.retain(|(number, change)| {
        let is_synced = calls.binary_search(number).is_ok();
        if is_synced {
            apply(change);
        }
        !is_synced
    });
}

impl File {
    fn change(&mut self, number: usize, change: Change) {
        self.length = match &change {
            Change::Write { at, bytes } => self.length.max(at + bytes.len() as u64),
            Change::Length(length) => *length,
        };
        self.changes.push((number, change));
    }

    fn left(&self, luck: &mut Luck) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for (_, change) in &self.changes {
            change.apply_in_part(&mut bytes, luck);
        }
        bytes
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        self.apply_in_part(content, &mut Luck::Everything);
    }

    fn apply_in_part(&self, content: &mut Vec<u8>, luck: &mut Luck) {
        match self {
            Change::Length(length) => {
                if luck.keeps() {
                    content.resize(*length as usize, 0);
                }
            }
            Change::Write { at, bytes } => {
                let mut from = 0;
                while from < bytes.len() {
                    let place = at + from as u64;
                    let to = bytes.len().min(from + (PAGE - place % PAGE) as usize);
                    if luck.keeps() {
                        let place = place as usize;
                        content.resize(content.len().max(place + to - from), 0);
                        content[place..place + to - from].copy_from_slice(&bytes[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}
