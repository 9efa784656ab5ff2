//! Whatever comes, in whatever pieces: the same conversation.

use proptest::prelude::*;

use crate::conversation::{Cut, converse, converse_as, submission};

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: [&[u8]; 52] = [
        b"EHLO a\r\n",
        b"HELO b\r\n",
        b"STARTTLS\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<>\r\n",
        b"MAIL FROM:<a@b> BODY=8BITMIME\r\n",
        b"MAIL FROM:<a@b> SMTPUTF8 SIZE=10\r\n",
        b"MAIL FROM:<full@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"RCPT TO:<refuse@d>\r\n",
        b"DATA\r\n",
        b"BDAT 4\r\n",
        b"BDAT 9 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT 0\r\n",
        b"BDAT 3000\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"VRFY a\r\n",
        b"A: b\r\n",
        b"X-Refuse: 1\r\n",
        b"\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"..\r\n",
        b".",
        b"\r",
        b"\n",
        b"\0",
        b"\xe9",
        b"\xc3\xa9",
        b"text",
        b"Unlucky\r\n",
        b"\n.\n",
        b"\r.\r",
        b"01234567890123456789012345678901234567890123456789",
        b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        b"MAIL FROM:<\xc3\xa9@b> SMTPUTF8\r\n",
        b"GET / HTTP/1.1\r\n",
        b"HELP\r\n",
        b"EXPN\r\n",
        b"BDAT x\r\n",
        b"MAIL FROM:<close@b>\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH EXTERNAL =\r\n",
        b"AGEAYg==\r\n",
        b"AHJlZnVzZQBi\r\n",
        b"*\r\n",
        b"MAIL FROM:<a@b> HOLDFOR=60 AUTH=<>\r\n",
    ];
    prop_oneof![
        12 => prop::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1..200_usize).prop_map(|count| b"line of text\r\n".repeat(count)),
    ]
}

/// A beginning that gets somewhere, then anything.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop_oneof![
        Just(&b""[..]),
        Just(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"[..]),
        Just(&b"EHLO a\r\nMAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n\r\n"[..]),
        Just(&b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 8\r\nA: b\r\n\r\n"[..]),
    ];
    (begin, prop::collection::vec(fragment(), 0..30)).prop_map(|(begin, rest)| [begin.to_vec(), rest.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(wire in wire(), seed in any::<u64>(), size in 1..50_usize) {
        let segments: [&[u8]; 2] = [b"EHLO a\r\nSTARTTLS\r\n", &wire];
        let whole = converse(&segments, &mut Cut::whole());
        prop_assert_eq!(&converse(&segments, &mut Cut::every(1)), &whole);
        prop_assert_eq!(&converse(&segments, &mut Cut::every(size)), &whole);
        prop_assert_eq!(&converse(&segments, &mut Cut::random(seed)), &whole);
    }

    #[test]
    fn pieces_make_no_difference_in_plain_text(wire in wire(), seed in any::<u64>()) {
        let whole = converse(&[&wire], &mut Cut::whole());
        prop_assert_eq!(&converse(&[&wire], &mut Cut::every(1)), &whole);
        prop_assert_eq!(&converse(&[&wire], &mut Cut::random(seed)), &whole);
    }

    #[test]
    fn pieces_make_no_difference_to_those_who_send(wire in wire(), seed in any::<u64>()) {
        let login = [b"EHLO a\r\nAUTH PLAIN AGEAYg==\r\n", wire.as_slice()].concat();
        for behind in [&wire, &login] {
            let segments: [&[u8]; 2] = [b"EHLO a\r\nSTARTTLS\r\n", behind];
            let whole = converse_as(&submission(), &segments, &mut Cut::whole());
            prop_assert_eq!(&converse_as(&submission(), &segments, &mut Cut::every(1)), &whole);
            prop_assert_eq!(&converse_as(&submission(), &segments, &mut Cut::random(seed)), &whole);
        }
    }

    #[test]
    fn a_body_arrives_as_it_was_sent(lines in prop::collection::vec("[ -~]{0,40}", 0..30), seed in any::<u64>()) {
        let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String = body.split_inclusive('\n').map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() }).collect();
        let wire = format!("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nA: b\r\n\r\n{stuffed}.\r\n");
        let transcript = converse(&[b"EHLO a\r\nSTARTTLS\r\n", wire.as_bytes()], &mut Cut::random(seed));
        prop_assert_eq!(&transcript.messages, &[("A: b\\r\\n\\r\\n".to_owned(), body.as_bytes().escape_ascii().to_string())]);
    }
}
