//! Folder names, sets, dates, and what the writers write.

use caducee::wire::imap::command::{FolderName, Tag};
use caducee::wire::imap::response::{self, Code, Status};
use caducee::wire::imap::utf7::{self, Utf7Error};
use caducee::wire::imap::{date, parse, sequence};
use proptest::prelude::*;

#[test]
fn the_examples_of_rfc_3501_decode() {
    // RFC 3501 §5.1.3.
    assert_eq!(utf7::decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(), "~peter/mail/台北/日本語");
    assert_eq!(utf7::decode(b"&Jjo-!").unwrap(), "☺!");
    assert_eq!(utf7::decode(b"Tom &- Jerry").unwrap(), "Tom & Jerry");
    assert_eq!(utf7::encode("Éléments envoyés & co"), "&AMk-l&AOk-ments envoy&AOk-s &- co");
}

#[test]
fn each_bad_spelling_has_its_reason() {
    for (name, why) in [
        (&b"&Jjo!"[..], Utf7Error::Unfinished),
        (b"&U,BTFw-&ZeVnLIqe-", Utf7Error::Superfluous),
        (b"&AGE-", Utf7Error::Superfluous),
        (b"&Jg-", Utf7Error::NotUtf16),
        (b"&2D0-", Utf7Error::NotUtf16),
        (b"&Jjp-", Utf7Error::NotBase64),
        (b"&J/o-", Utf7Error::NotBase64),
        (b"\xc3\xa9", Utf7Error::NotAscii),
        (b"a\tb", Utf7Error::NotAscii),
    ] {
        assert_eq!(utf7::decode(name), Err(why), "{}", String::from_utf8_lossy(name));
    }
}

#[test]
fn only_inbox_is_without_case() {
    assert_eq!(FolderName::new("inBox").as_str(), "INBOX");
    assert_eq!(FolderName::new("inbox/Work").as_str(), "INBOX/Work");
    assert_eq!(FolderName::new("inboxes").as_str(), "inboxes");
    assert_eq!(FolderName::new("sent").as_str(), "sent");
}

#[test]
fn sets_resolve_to_rising_ranges() {
    let ranges = |set: &str, last| parse::sequence_set(set).unwrap().ranges(last);
    assert_eq!(ranges("2,4:7,9,12:*", 15), [2..=2, 4..=7, 9..=9, 12..=15]);
    assert_eq!(ranges("*:4,5:7", 10), [4..=10]);
    assert_eq!(ranges("3:1,2", 9), [1..=3]);
    assert_eq!(ranges("559:*", 300), [300..=559], "the ends of a range may be in either order");
    assert!(ranges("*", 0).is_empty());
    let mut out = Vec::new();
    sequence::write(&mut out, [1, 2, 3, 5, 7, 8, u32::MAX]);
    assert_eq!(String::from_utf8(out).unwrap(), "1:3,5,7:8,4294967295");
}

#[test]
fn dates_are_exact() {
    let written = |at| {
        let mut out = Vec::new();
        date::write_date_time(&mut out, at);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(0), "\" 1-Jan-1970 00:00:00 +0000\"");
    assert_eq!(written(951_827_696), "\"29-Feb-2000 12:34:56 +0000\"");
    assert_eq!(written(i64::MAX), "\"31-Dec-9999 23:59:59 +0000\"");
    assert_eq!(written(i64::MIN), "\" 1-Jan-0000 00:00:00 +0000\"");
}

#[test]
fn strings_are_quoted_where_they_may_be() {
    let written = |bytes: &[u8]| {
        let mut out = Vec::new();
        response::string(&mut out, bytes);
        out
    };
    assert_eq!(written(br#"a "b" \"#), br#""a \"b\" \\""#);
    assert_eq!(written(b""), b"\"\"");
    assert_eq!(written("é".as_bytes()), "{2}\r\né".as_bytes());
    assert_eq!(written(b"a\r\nb"), b"{4}\r\na\r\nb");
    assert_eq!(written(b"a\0"), b"{2}\r\na?", "no NUL goes out");
}

#[test]
fn status_lines_carry_their_codes() {
    let tag = Tag::new(b"A1").unwrap();
    let written = |code: Code| {
        let mut out = Vec::new();
        response::tagged(&mut out, &tag, Status::Ok, Some(&code), "Done\r\nx é");
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(Code::ReadWrite), "A1 OK [READ-WRITE] Done??x ?\r\n");
    assert_eq!(written(Code::AppendUid(38505, 3955)), "A1 OK [APPENDUID 38505 3955] Done??x ?\r\n");
    let copied = Code::CopyUid(38505, vec![304, 319, 320], vec![3956, 3957, 3958]);
    assert_eq!(written(copied), "A1 OK [COPYUID 38505 304,319:320 3956:3958] Done??x ?\r\n");
    assert_eq!(written(Code::BadCharset), "A1 OK [BADCHARSET (US-ASCII UTF-8)] Done??x ?\r\n");
}

proptest! {
    #[test]
    fn names_survive_the_wire(name in any::<String>()) {
        let sent = utf7::encode(&name);
        prop_assert!(sent.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(utf7::decode(sent.as_bytes()), Ok(name));
    }

    #[test]
    fn dates_survive_the_wire(at in 0i64..253_402_300_800) {
        let mut out = Vec::new();
        date::write_date_time(&mut out, at);
        let command = [b"a APPEND x ".as_slice(), &out, b" "].concat();
        let framed = caducee::wire::imap::framer::Framed { bytes: command, literals: vec![] };
        prop_assert_eq!(parse::append(&framed).unwrap().internal_date, Some(at));
    }
}
