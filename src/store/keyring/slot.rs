//! A slot of a key file, and the file's header: 128 bytes each.
//!
//! ```text
//! header                                      slot (the number counts from 0)
//!   0  magic    "CADUKEYS"                      0  state       0 free (then all is 0), 1 living, 2 wiped
//!   8  format   1                               1  kind        of the owner: 1 mailbox, 2 the queue
//!  12  salt     the store's, 16 bytes           2  length      of the sealed key; 0 in a wiped slot
//!  28  zeros                                    3  zero
//! 124  crc      CRC32C of what is before        4  owner       account's number, or the moment of the queue's key
//!                                              12  generation  one more with each writing of the slot
//!                                              20  sealed key, then zeros
//!                                             124  crc         CRC32C of the salt, the slot's number, what is before
//! ```
//!
//! All numbers little-endian. A sector of a disk has 512 bytes or more and begins at a multiple of them: no slot lies in two.

use super::KeyOwner;
use crate::store::embedded::frame::Salt;
use crate::store::schema::AccountId;
use crate::store::seal::SealedKey;

/// Length of a slot, and of the header, in bytes.
pub(super) const SLOT: usize = 128;
/// The format of key files that this code writes, and the newest that it reads.
pub const KEYS_FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"CADUKEYS";
const OWNER_AT: usize = 4;
const GENERATION_AT: usize = 12;
const KEY_AT: usize = 20;
const CRC_AT: usize = SLOT - 4;

/// The bytes of a slot.
pub(super) type Bytes = [u8; SLOT];

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing yet.
    Free,
    /// A key.
    Living { owner: KeyOwner, key: SealedKey },
    /// Where a key was. Whose it was stays, so that no older copy of it is taken in again.
    Wiped { owner: KeyOwner },
}

/// A slot and how often it was written: of two whole copies the later one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) generation: u64,
    pub(super) slot: Slot,
}

impl Written {
    /// A slot that was never written.
    pub(super) const FREE: Written = Written { generation: 0, slot: Slot::Free };

    /// The slot's bytes. The key is one that a slot [`holds`].
    pub(super) fn encode(&self, number: u32, salt: &Salt) -> Bytes {
        let mut bytes = [0; SLOT];
        let (state, owner, key): (u8, _, &[u8]) = match &self.slot {
            Slot::Free => return bytes,
            Slot::Living { owner, key } => (1, owner, &key.0),
            Slot::Wiped { owner } => (2, owner, &[]),
        };
        let (kind, id) = match *owner {
            KeyOwner::Mailbox(account) => (1, account.0),
            KeyOwner::Transit(moment) => (2, moment),
        };
        bytes[..3].copy_from_slice(&[state, kind, key.len() as u8]);
        bytes[OWNER_AT..GENERATION_AT].copy_from_slice(&id.to_le_bytes());
        bytes[GENERATION_AT..KEY_AT].copy_from_slice(&self.generation.to_le_bytes());
        bytes[KEY_AT..KEY_AT + key.len()].copy_from_slice(key);
        let crc = slot_crc(&bytes, number, salt);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a slot; `None`: it is damaged, torn, or another's.
    pub(super) fn decode(bytes: &Bytes, number: u32, salt: &Salt) -> Option<Written> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(Written::FREE);
        }
        if slot_crc(bytes, number, salt) != word(bytes, CRC_AT) {
            return None;
        }
        let id = long(bytes, OWNER_AT);
        let owner = match bytes[1] {
            1 => KeyOwner::Mailbox(AccountId(id)),
            2 => KeyOwner::Transit(id),
            _ => return None,
        };
        let key = bytes[KEY_AT..CRC_AT].get(..usize::from(bytes[2]))?;
        let slot = match bytes[0] {
            1 => Slot::Living { owner, key: SealedKey(key.to_vec()) },
            2 => Slot::Wiped { owner },
            _ => return None,
        };
        Some(Written { generation: long(bytes, GENERATION_AT), slot })
    }
}

/// Whether a slot is long enough for a sealed key.
pub(super) fn holds(key: &SealedKey) -> bool {
    key.0.len() <= CRC_AT - KEY_AT
}

fn slot_crc(bytes: &Bytes, number: u32, salt: &Salt) -> u32 {
    let salted = crc32c::crc32c_append(crc32c::crc32c(salt), &number.to_le_bytes());
    crc32c::crc32c_append(salted, &bytes[..CRC_AT])
}

/// What a key file's first bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A header of this store's.
    Ours,
    /// No whole header: damaged or cut. The slots have checksums of their own.
    Damaged,
    /// A whole header of another store's.
    Foreign,
    /// A whole header of a newer format.
    Newer(u32),
}

/// The header of a store's key files.
pub(super) fn head(salt: &Salt) -> Bytes {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&KEYS_FORMAT.to_le_bytes());
    bytes[12..28].copy_from_slice(salt);
    let crc = crc32c::crc32c(&bytes[..CRC_AT]);
    bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a header.
pub(super) fn read_head(bytes: &Bytes, salt: &Salt) -> Head {
    if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..CRC_AT]) != word(bytes, CRC_AT) {
        return Head::Damaged;
    }
    match word(bytes, 8) {
        format if format > KEYS_FORMAT => Head::Newer(format),
        _ if bytes[12..28] != *salt => Head::Foreign,
        _ => Head::Ours,
    }
}

fn word(bytes: &Bytes, at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &Bytes, at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = [7; 16];

    fn samples() -> [Written; 4] {
        let key = SealedKey((1..=61).collect());
        let mailbox = KeyOwner::Mailbox(AccountId(0x0102_0304_0506_0708));
        [
            Written::FREE,
            Written { generation: 1, slot: Slot::Living { owner: mailbox, key: key.clone() } },
            Written { generation: u64::MAX, slot: Slot::Living { owner: KeyOwner::Transit(1_764_000_000), key } },
            Written { generation: 2, slot: Slot::Wiped { owner: mailbox } },
        ]
    }

    #[test]
    fn a_slot_comes_back_as_it_was_at_its_own_place_in_its_own_store_only() {
        for written in samples() {
            let bytes = written.encode(3, &SALT);
            assert_eq!(Written::decode(&bytes, 3, &SALT), Some(written.clone()));
            if written.slot != Slot::Free {
                assert_eq!(Written::decode(&bytes, 4, &SALT), None, "another slot's bytes");
                assert_eq!(Written::decode(&bytes, 3, &[8; 16]), None, "another store's bytes");
            }
        }
    }

    #[test]
    fn every_changed_bit_and_every_torn_writing_of_a_slot_shows() {
        let samples = samples().map(|written| written.encode(0, &SALT));
        for whole in &samples[1..] {
            for bit in 0..SLOT * 8 {
                let mut changed = *whole;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Written::decode(&changed, 0, &SALT), None, "bit {bit}");
            }
        }
        for (from, to) in [(0, 1), (1, 3), (3, 2)] {
            for cut in 0..=SLOT {
                let mut torn = samples[from];
                torn[..cut].copy_from_slice(&samples[to][..cut]);
                let read = Written::decode(&torn, 0, &SALT);
                let whole = [from, to].map(|each| torn == samples[each]);
                assert_eq!(read.is_some(), whole.contains(&true), "{from} to {to} at byte {cut}");
            }
        }
    }

    #[test]
    fn the_longest_key_that_a_slot_holds_comes_back_whole() {
        let key = |length| SealedKey(vec![1; length]);
        assert!(holds(&key(104)) && !holds(&key(105)));
        let written = Written { generation: 1, slot: Slot::Living { owner: KeyOwner::Transit(1), key: key(104) } };
        assert_eq!(Written::decode(&written.encode(0, &SALT), 0, &SALT), Some(written));
    }

    #[test]
    fn a_header_is_ours_anothers_newer_or_damaged() {
        let ours = head(&SALT);
        assert_eq!(read_head(&ours, &SALT), Head::Ours);
        assert_eq!(read_head(&head(&[8; 16]), &SALT), Head::Foreign);
        let mut newer = ours;
        newer[8] = 9;
        let crc = crc32c::crc32c(&newer[..CRC_AT]);
        newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read_head(&newer, &SALT), Head::Newer(9));
        for bit in 0..SLOT * 8 {
            let mut changed = ours;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_head(&changed, &SALT), Head::Damaged, "bit {bit}");
        }
    }
}
