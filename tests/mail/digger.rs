//! Somebody with the whole disk and the master key, who digs.
//!
//! The digger trusts no structure but the chunks of bodies. Whatever in any file could be a sealed key (61 bytes that begin as
//! one, raw or in base64) is tried: under the master key for every account and every key of the queue, then under every key
//! that this opened, for every body whose chunks lie in the log. Whatever opens a chunk has read it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A sealed key: format, nonce, key, tag.
const SEALED: usize = 1 + 12 + 32 + 16;
/// Account numbers that are tried; 0 is the operator's own.
const ACCOUNTS: u64 = 12;

type Key = [u8; 32];

/// A chunk of a body as it lies in the log.
struct Chunk {
    body: u64,
    index: u32,
    last: u8,
    sealed: Vec<u8>,
}

/// What was dug out.
pub struct Dug {
    /// What could be read of bodies, whoever's they are.
    plain: Vec<Vec<u8>>,
    /// How many chunks of bodies lie in the log, readable or not.
    pub chunks: usize,
}

impl Dug {
    pub fn has(&self, text: &str) -> bool {
        self.plain.iter().any(|plain| plain.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

/// Digs in all files of a directory. `moments` are those of all keys that the queue ever had.
pub fn dig(directory: &Path, master: Key, moments: &[u64]) -> Dug {
    let mut files = Vec::new();
    read_all(directory, &mut files);
    let candidates = candidates(&files);
    let chunks: Vec<Chunk> = files.iter().flat_map(|bytes| chunks(bytes)).collect();
    let bodies: HashSet<u64> = chunks.iter().map(|chunk| chunk.body).collect();

    let accounts = (0..ACCOUNTS).map(|account| aad(b"mailbox key", account));
    let owners: Vec<_> = accounts.chain(moments.iter().map(|moment| aad(b"transit key", *moment))).collect();
    let keys: HashSet<Key> = opened(&[master], &candidates, &owners).into_iter().map(|(_, key)| key).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let places: Vec<_> = bodies.iter().map(|body| aad(b"body key", *body)).collect();
    let mut body_keys: HashMap<Vec<u8>, HashSet<Key>> = HashMap::new();
    for (place, key) in opened(&keys, &candidates, &places) {
        body_keys.entry(place).or_default().insert(key);
    }
    let read = |chunk: &Chunk| body_keys.get(&aad(b"body key", chunk.body))?.iter().find_map(|key| chunk.open(key));
    Dug { plain: chunks.iter().filter_map(read).collect(), chunks: chunks.len() }
}

fn read_all(directory: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else {
            files.push(fs::read(path).unwrap());
        }
    }
}

/// Whatever may be a sealed key.
fn candidates(files: &[Vec<u8>]) -> Vec<[u8; SEALED]> {
    let mut found = HashSet::new();
    for bytes in files {
        found.extend(bytes.windows(SEALED).filter(|window| window[0] == 1).map(sealed));
        let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        for text in bytes.split(|byte| !is_text(byte)).filter(|text| text.len() >= SEALED.div_ceil(3) * 4) {
            let decoded = STANDARD.decode(text).unwrap_or_default();
            found.extend((decoded.len() == SEALED && decoded[0] == 1).then(|| sealed(&decoded)));
        }
    }
    found.into_iter().collect()
}

fn sealed(bytes: &[u8]) -> [u8; SEALED] {
    bytes.try_into().unwrap()
}

fn aad(label: &[u8], id: u64) -> Vec<u8> {
    [label, &id.to_be_bytes()].concat()
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap())
}

/// Every key that one of the keys opens, with the additional data that it opens with.
fn opened(keys: &[Key], candidates: &[[u8; SEALED]], aads: &[Vec<u8>]) -> Vec<(Vec<u8>, Key)> {
    let mut found = Vec::new();
    for cipher in keys.iter().map(cipher) {
        for candidate in candidates {
            for aad in aads {
                let mut bytes = candidate[13..].to_vec();
                let nonce = Nonce::try_assume_unique_for_key(&candidate[1..13]).unwrap();
                if let Ok(plain) = cipher.open_in_place(nonce, Aad::from(aad), &mut bytes) {
                    found.push((aad.clone(), Key::try_from(&*plain).unwrap()));
                }
            }
        }
    }
    found
}

/// The chunks of bodies in a file, at every offset at which a frame may begin.
fn chunks(bytes: &[u8]) -> Vec<Chunk> {
    let starts = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&[0xCA, 0xD0, 0xCE, 0xE5]));
    let chunk = |at: usize| {
        let frame = &bytes[at..];
        let word = |at: usize| Some(u32::from_le_bytes(frame.get(at..at + 4)?.try_into().ok()?));
        let payload = frame.get(32..32 + word(8)? as usize).filter(|payload| frame[5] == 1 && payload.len() >= 32)?;
        let body = u64::from_le_bytes(payload[..8].try_into().ok()?);
        Some(Chunk { body, index: word(40)?, last: payload[12], sealed: payload[16..].to_vec() })
    };
    starts.filter_map(chunk).collect()
}

impl Chunk {
    fn open(&self, key: &Key) -> Option<Vec<u8>> {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&self.index.to_be_bytes());
        let aad = [&self.body.to_be_bytes()[..], &self.index.to_be_bytes(), &[self.last]].concat();
        let mut bytes = self.sealed.clone();
        let opened = cipher(key).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut bytes);
        opened.ok().map(|plain| plain.to_vec())
    }
}
