//! Damage, for tests: a record that is there and does not decode.

use std::marker::PhantomData;

use super::{Batch, DecodeError, Record, Store, StoreError, Table};

/// What damage leaves of a record.
struct Scratched<R>(PhantomData<R>);

impl<R: Record> Record for Scratched<R> {
    const TABLE: Table = R::TABLE;
    type Key = R::Key;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xFF, 0]);
    }

    fn decode(_bytes: &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::Malformed)
    }
}

/// Damages a record. Blocks until that is done.
pub(crate) fn damage<R: Record>(store: &Store, key: &R::Key) {
    let mut batch = Batch::new();
    batch.put(key, &Scratched::<R>(PhantomData));
    store.commit_blocking(batch).expect("a store in memory takes every batch");
    assert!(matches!(store.get::<R>(key), Err(StoreError::Record { .. })));
}
