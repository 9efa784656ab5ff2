//! What a commit takes and what it gives back.

use super::body::StagedBody;
use super::schema::{BodyId, Record, Table, Version, raw_key};

/// What must hold for a commit to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key has no record.
    Absent,
    /// The record was last written by this commit.
    Version(Version),
}

/// A change of one raw key.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

impl Op {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        match self {
            Op::Put { value, .. } => Some(value),
            Op::Delete { .. } => None,
        }
    }
}

/// A set of changes that become durable together or not at all.
///
/// Order counts where one key is written twice: the last one stands.
#[derive(Default, Debug)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) expectations: Vec<(Vec<u8>, Expect)>,
    pub(super) adopted: Vec<(StagedBody, u64)>,
    pub(super) references: Vec<(BodyId, i64)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Writes a record, whatever was there.
    pub fn put<R: Record>(&mut self, key: &R::Key, record: &R) -> &mut Self {
        let mut value = Vec::with_capacity(64);
        record.encode(&mut value);
        self.ops.push(Op::Put { key: raw_key::<R>(key), value });
        self
    }

    /// Writes a record where there is none yet.
    pub fn insert<R: Record>(&mut self, key: &R::Key, record: &R) -> &mut Self {
        self.expect::<R>(key, Expect::Absent).put(key, record)
    }

    /// Writes a record over the version that was read.
    pub fn update<R: Record>(&mut self, key: &R::Key, read: Version, record: &R) -> &mut Self {
        self.expect::<R>(key, Expect::Version(read)).put(key, record)
    }

    /// Deletes a record, if it is there.
    pub fn delete<R: Record>(&mut self, key: &R::Key) -> &mut Self {
        self.ops.push(Op::Delete { key: raw_key::<R>(key) });
        self
    }

    /// The commit is made only if this holds at that moment.
    pub fn expect<R: Record>(&mut self, key: &R::Key, expect: Expect) -> &mut Self {
        self.expectations.push((raw_key::<R>(key), expect));
        self
    }

    /// Takes a staged body into the store; `references` is the number of messages in this batch that show it. The store
    /// writes its [`super::Body`] record.
    pub fn adopt(&mut self, body: StagedBody, references: u64) -> &mut Self {
        self.adopted.push((body, references));
        self
    }

    /// `count` more messages show a body (COPY). If the body is gone meanwhile the commit is a conflict.
    pub fn retain_body(&mut self, body: BodyId, count: u32) -> &mut Self {
        self.references.push((body, i64::from(count)));
        self
    }

    /// `count` messages show a body no longer (EXPUNGE). When none is left the body's record is deleted. A body that is
    /// not there (a damaged record) is no hindrance.
    pub fn release_body(&mut self, body: BodyId, count: u32) -> &mut Self {
        self.references.push((body, -i64::from(count)));
        self
    }

    /// Adds everything of another batch behind what is here: both are made, or neither.
    pub fn merge(&mut self, other: Batch) -> &mut Self {
        self.ops.extend(other.ops);
        self.expectations.extend(other.expectations);
        self.adopted.extend(other.adopted);
        self.references.extend(other.references);
        self
    }

    /// Nothing in it: committing it costs nothing and proves nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.expectations.is_empty() && self.adopted.is_empty() && self.references.is_empty()
    }

    /// About how many bytes of records the batch holds: to cut large work into several commits.
    #[must_use]
    pub fn size(&self) -> usize {
        let op = |op: &Op| match op {
            Op::Put { key, value } => key.len() + value.len() + 8,
            Op::Delete { key } => key.len() + 4,
        };
        self.ops.iter().map(op).sum()
    }
}

/// The proof that a commit is on disk. Only the store makes one; positive answers are made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    sequence: u64,
}

impl Committed {
    pub(super) fn new(sequence: u64) -> Self {
        Committed { sequence }
    }

    /// The commit's place in the order of all commits.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.sequence
    }

    /// The version that every record written by this commit now has.
    #[must_use]
    pub fn version(self) -> Version {
        Version(self.sequence)
    }
}

/// A record with the version that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// For [`Batch::update`] and [`Batch::expect`].
    pub version: Version,
    /// The record.
    pub record: R,
}

impl<R> std::ops::Deref for Versioned<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.record
    }
}

/// The table of a raw key; keys in batches are made by [`raw_key`], so it always has one.
pub(super) fn table_of(key: &[u8]) -> Table {
    key.first().copied().and_then(Table::from_byte).unwrap_or(Table::Meta)
}
