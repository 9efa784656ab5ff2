//! The ring over its two files: damage in each way, and writings that a crash cut off anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::copies::NAMES;
use super::slot::SLOT;
use super::*;

const SALT: Salt = [5; 16];

/// A directory that goes away.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("caducee-keys-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, copy: usize) -> PathBuf {
        self.0.join(NAMES[copy])
    }

    fn bytes(&self, copy: usize) -> Vec<u8> {
        fs::read(self.file(copy)).unwrap()
    }

    fn open(&self) -> (Keyring, KeysFound) {
        Keyring::open(&self.0, &SALT, false).unwrap()
    }

    /// The files of a store that has these, and what they hold.
    fn with(owners: &[KeyOwner]) -> Self {
        let directory = Directory::new();
        let (ring, _) = Keyring::open(&directory.0, &SALT, true).unwrap();
        for owner in owners {
            ring.insert(*owner, &key_of(*owner)).unwrap();
        }
        directory
    }

    /// A slot that one file ends before is free there.
    fn is_the_same_twice(&self) -> bool {
        let mut files = [self.bytes(0), self.bytes(1)];
        let length = files[0].len().max(files[1].len());
        files.iter_mut().for_each(|bytes| bytes.resize(length, 0));
        files[0] == files[1]
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mailbox(number: u64) -> KeyOwner {
    KeyOwner::Mailbox(AccountId(number))
}

/// Some key that belongs to an owner alone, of the length that all have.
fn key_of(owner: KeyOwner) -> SealedKey {
    let seed = match owner {
        KeyOwner::Mailbox(account) => account.0,
        KeyOwner::Transit(moment) => moment + 100,
    };
    SealedKey((0..61).map(|at| (seed * 7 + at) as u8 | 1).collect())
}

fn holds(bytes: &[u8], key: &SealedKey) -> bool {
    bytes.windows(key.0.len()).any(|window| window == key.0)
}

/// The range of a slot in its file.
fn range(slot: usize) -> std::ops::Range<usize> {
    (slot + 1) * SLOT..(slot + 2) * SLOT
}

#[test]
fn keys_are_there_after_a_restart_in_two_files_that_only_their_owner_reads() {
    let owners = [mailbox(1), mailbox(2), KeyOwner::Transit(7)];
    let directory = Directory::with(&owners);
    let (ring, found) = directory.open();
    assert_eq!(found, KeysFound { living: 3, ..KeysFound::default() });
    assert_eq!(ring.owners(), owners);
    for owner in owners {
        assert_eq!(ring.sealed(owner), Some(key_of(owner)));
    }
    assert_eq!((ring.sealed(mailbox(3)), ring.is_wiped(mailbox(3))), (None, false));
    assert!(directory.is_the_same_twice());
    for copy in [0, 1] {
        assert_eq!(fs::metadata(directory.file(copy)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_wiped_key_is_in_no_byte_of_either_file_and_never_comes_back() {
    let directory = Directory::with(&[mailbox(1), mailbox(2)]);
    assert!(holds(&directory.bytes(0), &key_of(mailbox(1))) && holds(&directory.bytes(1), &key_of(mailbox(1))));
    let (ring, _) = directory.open();
    ring.wipe(&[mailbox(1), mailbox(9)]).unwrap();
    for ring in [ring, directory.open().0] {
        assert_eq!((ring.sealed(mailbox(1)), ring.is_wiped(mailbox(1))), (None, true));
        assert_eq!(ring.sealed(mailbox(2)), Some(key_of(mailbox(2))));
        let again = ring.insert(mailbox(1), &key_of(mailbox(1)));
        assert!(matches!(again, Err(StoreError::KeyTaken(owner)) if owner == mailbox(1)), "{again:?}");
        ring.wipe(&[mailbox(1)]).unwrap();
    }
    for copy in [0, 1] {
        assert!(!holds(&directory.bytes(copy), &key_of(mailbox(1))), "copy {copy}");
        assert!(holds(&directory.bytes(copy), &key_of(mailbox(2))));
    }
}

#[test]
fn nobody_gets_a_second_key() {
    let directory = Directory::with(&[mailbox(1)]);
    let (ring, _) = directory.open();
    assert!(matches!(ring.insert(mailbox(1), &key_of(mailbox(2))), Err(StoreError::KeyTaken(_))));
    assert_eq!(ring.sealed(mailbox(1)), Some(key_of(mailbox(1))));
    let too_long = SealedKey(vec![1; 200]);
    assert!(matches!(ring.insert(mailbox(2), &too_long), Err(StoreError::Seal(_))));
    assert_eq!(directory.bytes(0).len(), 2 * SLOT, "nothing was written");
}

#[test]
fn the_queues_slots_are_used_again_and_mailboxes_are_not() {
    let directory = Directory::with(&[KeyOwner::Transit(1), mailbox(1)]);
    for moment in 2..50 {
        let (ring, _) = directory.open();
        ring.insert(KeyOwner::Transit(moment), &key_of(KeyOwner::Transit(moment))).unwrap();
        ring.wipe(&[KeyOwner::Transit(moment - 1)]).unwrap();
        assert!(!holds(&directory.bytes(0), &key_of(KeyOwner::Transit(moment - 1))));
    }
    let (ring, _) = directory.open();
    assert_eq!(ring.owners(), [mailbox(1), KeyOwner::Transit(49)]);
    assert_eq!(directory.bytes(1).len(), 4 * SLOT, "three slots were enough");
    ring.wipe(&[mailbox(1)]).unwrap();
    ring.insert(mailbox(2), &key_of(mailbox(2))).unwrap();
    ring.insert(mailbox(3), &key_of(mailbox(3))).unwrap();
    assert!(ring.is_wiped(mailbox(1)));
    assert_eq!(directory.open().0.owners(), [mailbox(2), mailbox(3), KeyOwner::Transit(49)]);
}

#[test]
fn any_damage_to_one_file_costs_nothing_and_is_mended_from_the_other() {
    let owners = [mailbox(1), mailbox(2), mailbox(3)];
    let directory = Directory::with(&owners);
    directory.open().0.wipe(&[mailbox(2)]).unwrap();
    let whole = directory.bytes(0);
    let zeroed = |range: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[range].fill(0);
        bytes
    };
    let flipped = (0..whole.len()).step_by(3).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    });
    let cut = (0..whole.len()).step_by(7).map(|length| whole[..length].to_vec());
    let zeros = [zeroed(0..SLOT), zeroed(range(0)), zeroed(range(1)), zeroed(0..whole.len()), vec![0xA5; whole.len()]];
    for (number, damaged) in flipped.chain(cut).chain(zeros).enumerate() {
        let copy = number % 2;
        fs::write(directory.file(copy), &damaged).unwrap();
        let (found, fates) = inspect(&directory.0, &SALT).unwrap();
        assert!(found.differing > 0 && !found.is_sound(), "{number}");
        assert_eq!((fates.len(), directory.bytes(copy) == damaged), (3, true), "looked at, and left as it is");
        let (ring, mended) = directory.open();
        assert_eq!((&mended, ring.owners()), (&found, vec![mailbox(1), mailbox(3)]));
        assert!(ring.is_wiped(mailbox(2)) && mended.lost.is_empty());
        assert_eq!((directory.bytes(0) == whole, directory.bytes(1) == whole), (true, true), "{number}");
    }
    assert!(directory.open().1.is_sound());
}

#[test]
fn one_missing_file_is_made_again_and_two_are_refused() {
    let directory = Directory::with(&[mailbox(1)]);
    for copy in [0, 1] {
        fs::remove_file(directory.file(copy)).unwrap();
        assert_eq!(inspect(&directory.0, &SALT).unwrap().0.missing, [NAMES[copy]]);
        let (ring, found) = directory.open();
        assert_eq!((found.missing, ring.owners()), (vec![NAMES[copy]], vec![mailbox(1)]));
        assert!(directory.is_the_same_twice() && directory.open().1.is_sound());
    }
    for copy in [0, 1] {
        fs::remove_file(directory.file(copy)).unwrap();
    }
    let refused = Keyring::open(&directory.0, &SALT, false).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::KeysMissing(_)));
    assert!(
        !directory.file(0).exists() && !directory.file(1).exists(),
        "nothing is in the way of those that come back"
    );
}

#[test]
fn a_slot_that_is_damaged_in_both_files_costs_its_own_key_and_is_given_to_nobody() {
    let directory = Directory::with(&[mailbox(1), mailbox(2)]);
    for copy in [0, 1] {
        let mut bytes = directory.bytes(copy);
        bytes[range(0).start + 30 + copy] ^= 1;
        fs::write(directory.file(copy), bytes).unwrap();
    }
    let evidence = [directory.bytes(0), directory.bytes(1)];
    for _ in 0..2 {
        let (ring, found) = directory.open();
        assert_eq!((found.lost, ring.owners()), (vec![0], vec![mailbox(2)]));
        assert_eq!([directory.bytes(0), directory.bytes(1)], evidence, "it is left as it is, and told each time");
    }
    let (ring, _) = directory.open();
    ring.insert(mailbox(3), &key_of(mailbox(3))).unwrap();
    fs::remove_file(directory.file(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(directory.open().1.lost, [0], "it is not forgotten with a file");
    }
    assert_eq!(directory.open().0.owners(), [mailbox(2), mailbox(3)]);
}

/// What a crash leaves of a change: any beginning of its bytes in the first file, then all of it there and any beginning of
/// them in the second one.
fn crashes_of(directory: &Directory, change: impl FnOnce(&Keyring), then: impl Fn(&Keyring, bool)) {
    let before = directory.bytes(0);
    let (ring, _) = directory.open();
    change(&ring);
    drop(ring);
    let after = directory.bytes(0);
    let from = before.len().min(after.len());
    let changed = (0..from).find(|at| before[*at] != after[*at]).unwrap_or(from);
    let torn = |cut: usize| {
        let mut bytes = before.clone();
        bytes.resize(before.len().max(cut), 0);
        bytes[changed..cut].copy_from_slice(&after[changed..cut]);
        bytes
    };
    for cut in changed..=after.len() {
        for (copy, other) in [(0, &before), (1, &after)] {
            fs::write(directory.file(copy), torn(cut)).unwrap();
            fs::write(directory.file(1 - copy), other).unwrap();
            let (ring, found) = directory.open();
            assert!(found.lost.is_empty(), "a crash damages one file at most: byte {cut}");
            then(&ring, copy == 1 || torn(cut) == after);
            assert!(directory.is_the_same_twice(), "byte {cut} of file {copy}");
        }
    }
}

#[test]
fn a_key_whose_taking_in_was_cut_off_is_there_whole_or_not_at_all() {
    let directory = Directory::with(&[mailbox(1)]);
    let new = mailbox(2);
    crashes_of(
        &directory,
        |ring| ring.insert(new, &key_of(new)).unwrap(),
        |ring, must| {
            let read = ring.sealed(new);
            assert!(read.is_none() || read == Some(key_of(new)));
            assert!(read.is_some() || !must, "it was in one file, whole");
            assert_eq!(ring.sealed(mailbox(1)), Some(key_of(mailbox(1))));
        },
    );
}

#[test]
fn a_key_whose_wiping_was_cut_off_is_wiped_or_can_be() {
    let directory = Directory::with(&[mailbox(1), mailbox(2), mailbox(3)]);
    let gone = mailbox(2);
    crashes_of(
        &directory,
        |ring| ring.wipe(&[gone]).unwrap(),
        |ring, must| {
            assert!(ring.is_wiped(gone) || (!must && ring.sealed(gone) == Some(key_of(gone))));
            assert_eq!(ring.owners().len(), 2 + usize::from(!ring.is_wiped(gone)));
            ring.wipe(&[gone]).unwrap();
            assert!(!holds(&directory.bytes(0), &key_of(gone)) && !holds(&directory.bytes(1), &key_of(gone)));
        },
    );
}

#[test]
fn a_slot_that_changes_hands_has_the_old_owner_or_the_new_one() {
    let directory = Directory::with(&[mailbox(1), KeyOwner::Transit(1)]);
    directory.open().0.wipe(&[KeyOwner::Transit(1)]).unwrap();
    let new = mailbox(2);
    crashes_of(
        &directory,
        |ring| ring.insert(new, &key_of(new)).unwrap(),
        |ring, must| {
            assert!(ring.sealed(new) == Some(key_of(new)) || !must);
            assert_eq!((ring.sealed(KeyOwner::Transit(1)), ring.sealed(mailbox(1))), (None, Some(key_of(mailbox(1)))));
        },
    );
}

#[test]
fn files_of_another_store_and_of_a_newer_format_are_refused_and_left_as_they_are() {
    let directory = Directory::with(&[mailbox(1)]);
    let foreign = Keyring::open(&directory.0, &[6; 16], true).map(drop).unwrap_err();
    assert!(matches!(foreign, OpenError::ForeignKeys(path) if path == directory.file(0)));
    let mut newer = directory.bytes(1);
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..SLOT - 4]);
    newer[SLOT - 4..SLOT].copy_from_slice(&crc.to_le_bytes());
    fs::write(directory.file(1), &newer).unwrap();
    let refused = Keyring::open(&directory.0, &SALT, true).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Format { path, found: 2, known: 1 } if path == directory.file(1)));
    assert_eq!(directory.bytes(1), newer);
}

#[test]
fn after_a_failed_writing_nothing_is_said_to_be_there_until_the_next_start() {
    let directory = Directory::with(&[mailbox(1), mailbox(2)]);
    let (ring, _) = directory.open();
    // Files that cannot be written stand for a disk that fails.
    let read_only = |copy: usize| fs::File::open(directory.file(copy)).unwrap();
    ring.writer().files = Some((Copies::of([read_only(0), read_only(1)]), SALT));
    assert!(matches!(ring.insert(mailbox(3), &key_of(mailbox(3))), Err(StoreError::Io { .. })));
    assert_eq!(ring.sealed(mailbox(3)), None);
    assert!(matches!(ring.wipe(&[mailbox(1)]), Err(StoreError::Stopped)));
    assert_eq!(ring.sealed(mailbox(1)), None, "out of memory all the same");
    for _ in 0..2 {
        assert!(
            matches!(ring.wipe(&[mailbox(1)]), Err(StoreError::Stopped)),
            "it is not said to be done when asked again"
        );
        assert!(matches!(ring.wipe(&[]), Err(StoreError::Stopped)));
    }
    let (ring, _) = directory.open();
    assert_eq!(ring.owners(), [mailbox(1), mailbox(2)], "whoever must, wipes it now");
    ring.wipe(&[mailbox(1)]).unwrap();
}

#[test]
fn a_wiping_that_could_not_be_is_made_up_for_by_the_next_one() {
    let owners = [mailbox(1), mailbox(2), KeyOwner::Transit(3)];
    let directory = Directory::with(&owners);
    let (ring, _) = directory.open();
    let whole = ring.writer().files.take();
    // A device that is always full.
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    ring.writer().files = Some((Copies::of([full(), full()]), SALT));
    assert!(matches!(ring.wipe(&[mailbox(1), KeyOwner::Transit(3)]), Err(StoreError::Full)));
    assert!(matches!(ring.wipe(&[mailbox(1)]), Err(StoreError::Full)), "it is owed");
    for owner in [mailbox(1), KeyOwner::Transit(3)] {
        assert!(holds(&directory.bytes(0), &key_of(owner)) && ring.is_wiped(owner));
    }
    ring.writer().files = whole;
    ring.wipe(&[]).unwrap();
    for (copy, owner) in [(0, owners[0]), (1, owners[0]), (0, owners[2]), (1, owners[2])] {
        assert!(!holds(&directory.bytes(copy), &key_of(owner)), "{owner} in copy {copy}");
    }
    assert_eq!(directory.open().0.owners(), [mailbox(2)]);
    ring.insert(mailbox(4), &key_of(mailbox(4))).unwrap();
    assert_eq!(directory.bytes(0).len(), 4 * SLOT, "the queue's slot is free, once");
    ring.insert(mailbox(5), &key_of(mailbox(5))).unwrap();
    assert_eq!(directory.open().0.owners(), [mailbox(2), mailbox(4), mailbox(5)]);
}

#[test]
fn files_of_two_times_are_refused_and_nothing_of_either_is_written_over() {
    let directory = Directory::with(&[mailbox(1), mailbox(2)]);
    let newer = Directory::with(&[KeyOwner::Transit(9), mailbox(2)]);
    for copy in [0, 1] {
        let mixed = Directory::new();
        fs::copy(directory.file(copy), mixed.file(copy)).unwrap();
        fs::copy(newer.file(1 - copy), mixed.file(1 - copy)).unwrap();
        let before = [mixed.bytes(0), mixed.bytes(1)];
        for may_begin in [false, true] {
            let refused = Keyring::open(&mixed.0, &SALT, may_begin).map(drop).unwrap_err();
            assert!(matches!(&refused, OpenError::KeysContradict { slots, .. } if *slots == [0]), "{refused}");
        }
        let (found, _) = inspect(&mixed.0, &SALT).unwrap();
        assert_eq!((found.is_sound(), found.contradicting, found.lost), (false, vec![0], vec![]));
        assert_eq!([mixed.bytes(0), mixed.bytes(1)], before);
    }
}

#[test]
fn of_two_slots_of_one_owner_the_wiped_one_counts() {
    let written = |generation, slot| Written { generation, slot };
    let living = |generation| written(generation, Slot::Living { owner: mailbox(1), key: key_of(mailbox(1)) });
    let wiped = written(2, Slot::Wiped { owner: mailbox(1) });
    for slots in [[wiped.clone(), living(1)], [living(1), wiped.clone()], [living(3), wiped]] {
        let directory = Directory::new();
        let mut bytes = slot::head(&SALT).to_vec();
        (0..).zip(&slots).for_each(|(number, slot)| bytes.extend(slot.encode(number, &SALT)));
        [0, 1].into_iter().for_each(|copy| fs::write(directory.file(copy), &bytes).unwrap());
        assert!(directory.open().0.is_wiped(mailbox(1)), "{slots:?}");
    }
}

#[test]
fn files_that_were_cut_to_nothing_are_a_loss_and_no_new_ring() {
    let directory = Directory::with(&[mailbox(1)]);
    for (one, two) in [(Some(vec![]), Some(vec![])), (Some(vec![0; SLOT / 2]), None), (None, Some(vec![0; 4 * SLOT]))] {
        for (copy, content) in [one, two].into_iter().enumerate() {
            let _ = fs::remove_file(directory.file(copy));
            content.into_iter().for_each(|content| fs::write(directory.file(copy), content).unwrap());
        }
        let before = [0, 1].map(|copy| fs::read(directory.file(copy)).ok());
        let refused = Keyring::open(&directory.0, &SALT, false).map(drop).unwrap_err();
        assert!(matches!(refused, OpenError::KeysEmpty(_)), "{refused}");
        assert_eq!([0, 1].map(|copy| fs::read(directory.file(copy)).ok()), before);
    }
}

#[test]
fn two_damaged_headers_cost_nothing_while_the_slots_are_whole() {
    let directory = Directory::with(&[mailbox(1)]);
    for copy in [0, 1] {
        let mut bytes = directory.bytes(copy);
        bytes[3] ^= 1;
        fs::write(directory.file(copy), bytes).unwrap();
    }
    assert_eq!(directory.open().0.owners(), [mailbox(1)]);
    assert!(directory.open().1.is_sound());
}

#[test]
fn a_file_that_the_disk_refuses_is_moved_away_and_made_again() {
    for copy in [0, 1] {
        let directory = Directory::with(&[mailbox(1), mailbox(2)]);
        let whole = directory.bytes(copy);
        // What reads as nothing but errors.
        fs::remove_file(directory.file(copy)).unwrap();
        fs::create_dir(directory.file(copy)).unwrap();
        assert_eq!(inspect(&directory.0, &SALT).unwrap().0.missing, [NAMES[copy]]);
        let (ring, found) = directory.open();
        assert_eq!((found.missing, ring.owners()), (vec![NAMES[copy]], vec![mailbox(1), mailbox(2)]));
        assert_eq!(directory.bytes(copy), whole);
        assert!(directory.file(copy).with_extension("unreadable-1").is_dir() && directory.open().1.is_sound());
    }
}

#[test]
fn a_block_that_the_disk_refuses_costs_its_own_slots() {
    let bytes: Vec<u8> = (0..10_000u32).map(|at| at as u8).collect();
    let read = copies::read_by_blocks(bytes.len(), |at, block| {
        if at == 4096 {
            return Err(io::Error::other("a bad sector"));
        }
        block.copy_from_slice(&bytes[at as usize..][..block.len()]);
        Ok(())
    });
    assert_eq!((&read[..4096], &read[8192..]), (&bytes[..4096], &bytes[8192..]));
    let slots = read[4096..8192].as_chunks::<SLOT>().0;
    assert!(slots.iter().all(|slot| Written::decode(slot, 0, &SALT).is_none()));
}

#[test]
fn a_key_that_one_file_has_damaged_and_the_other_not_at_all_is_lost_and_not_written_over() {
    let directory = Directory::with(&[mailbox(1), mailbox(2)]);
    let cut = directory.bytes(0)[..range(1).start].to_vec();
    fs::write(directory.file(0), &cut).unwrap();
    let mut damaged = directory.bytes(1);
    damaged[range(1).start + 124] ^= 1;
    fs::write(directory.file(1), &damaged).unwrap();
    for _ in 0..2 {
        let (ring, found) = directory.open();
        assert_eq!((found.lost, ring.owners()), (vec![1], vec![mailbox(1)]));
        ring.insert(mailbox(3), &key_of(mailbox(3))).unwrap();
        assert_eq!(directory.bytes(1)[range(1)], damaged[range(1)], "the bytes are evidence, and nobody's place");
        ring.wipe(&[mailbox(3)]).unwrap();
        fs::write(directory.file(0), &cut).unwrap();
        fs::write(directory.file(1), &damaged).unwrap();
    }
}
