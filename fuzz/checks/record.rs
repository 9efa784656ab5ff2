//! Records: a decoder takes any bytes without a panic, and what it reads it writes so that it is read again.

use std::fmt::Debug;

use caducee::store::{
    Account, AddressEntry, Body, Change, Content, Credential, Domain, Folder, Message, Meta, Record, Usage,
};

/// One input of the fuzzer: the bytes of a record of each table.
pub fn check(data: &[u8]) {
    same_again::<Meta>(data);
    same_again::<Domain>(data);
    same_again::<Account>(data);
    same_again::<AddressEntry>(data);
    same_again::<Credential>(data);
    same_again::<Usage>(data);
    same_again::<Folder>(data);
    same_again::<Message>(data);
    same_again::<Content>(data);
    same_again::<Body>(data);
    same_again::<Change>(data);
}

fn same_again<R: Record + PartialEq + Debug>(data: &[u8]) {
    let Ok(record) = R::decode(data) else { return };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(R::decode(&bytes).as_ref(), Ok(&record));
}
