//! What a summary says about good, odd and broken mail.

use super::*;

fn read(message: &[u8]) -> Summary {
    let mut builder = SummaryBuilder::new(SummaryLimits::default());
    builder.push(message);
    let summary = builder.finish();
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Ok(&summary), "the stored form is read as it was");
    for step in [1, 2, 3, 7, 64] {
        let mut builder = SummaryBuilder::new(SummaryLimits::default());
        message.chunks(step).for_each(|piece| builder.push(piece));
        assert_eq!(builder.finish(), summary, "in pieces of {step}");
    }
    summary
}

fn body<'a>(message: &'a [u8], part: &Part) -> &'a [u8] {
    &message[part.body_start as usize..part.end as usize]
}

fn text(value: &Option<RawText>) -> &str {
    value.as_deref().map_or("-", |value| std::str::from_utf8(value).unwrap())
}

fn children(part: &Part) -> &[Part] {
    match &part.kind {
        PartKind::Multipart(children) => children,
        _ => &[],
    }
}

fn media(part: &Part) -> String {
    let (top, sub) = part.media_type();
    format!("{}/{}", String::from_utf8_lossy(top), String::from_utf8_lossy(sub)).to_lowercase()
}

const NESTED: &[u8] = b"From: =?utf-8?q?L=C3=A9a?= <lea@aura.mssante.example>\r\n\
To: a@b.example,\r\n\tb@c.example\r\nSubject: un\r\n  deux\r\nMessage-ID: <1@x>\r\n\
Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n\
preamble\r\n\
--=_outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n\
--inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nun\r\ndeux\r\n\
--inner\r\nContent-Type: text/html\r\n\r\n<p>un\r\n\
--inner--\r\n\
--=_outer\r\nContent-Type: message/rfc822\r\nContent-Description: transmis\r\n\r\n\
From: x@y.example\r\nSubject: dedans\r\n\r\nune ligne\r\nencore\r\n\
--=_outer\r\nContent-Type: application/zip; name*0*=utf-8''IHE%5F; name*1=XDM.zip\r\n\
Content-Disposition: attachment; filename=\"IHE_XDM.zip\"; size=4\r\nContent-Transfer-Encoding: base64\r\n\
Content-ID: <c1>\r\nContent-MD5: abc==\r\nContent-Language: fr, en (anglais)\r\nContent-Location: a/b\r\n\r\nAAAA\r\n\
--=_outer--\r\nepilogue\r\n";

#[test]
fn a_nested_message_has_its_envelope_and_every_part_its_place() {
    let summary = read(NESTED);
    let envelope = &summary.message.envelope;
    assert_eq!(text(&envelope.subject), "un  deux");
    assert_eq!(text(&envelope.to), "a@b.example,\tb@c.example");
    assert_eq!(envelope.senders(), envelope.froms());
    assert_eq!(envelope.froms()[0].mailbox.as_deref(), Some(&b"lea"[..]));
    let root = &summary.message.root;
    assert_eq!((summary.size, root.end), (NESTED.len() as u64, NESTED.len() as u64));
    let [alternative, message, zip] = children(root) else { panic!("{root:?}") };
    let [plain, html] = children(alternative) else { panic!("{alternative:?}") };
    assert_eq!((body(NESTED, plain), plain.lines), (&b"un\r\ndeux"[..], 2));
    assert_eq!((body(NESTED, html), html.lines), (&b"<p>un"[..], 1));
    let PartKind::Message(inner) = &message.kind else { panic!("{message:?}") };
    assert_eq!(text(&inner.envelope.subject), "dedans");
    assert_eq!(text(&message.content.description), "transmis");
    assert_eq!((body(NESTED, &inner.root), message.lines), (&b"une ligne\r\nencore"[..], 5));
    assert_eq!(body(NESTED, zip), b"AAAA");
    assert_eq!(zip.content.parameters[0], (b"name*0*".to_vec(), b"utf-8''IHE%5F".to_vec()));
    let disposition = zip.content.disposition.as_ref().unwrap();
    assert_eq!(disposition.1[0], (b"filename".to_vec(), b"IHE_XDM.zip".to_vec()));
    assert_eq!(zip.content.language, [b"fr".to_vec(), b"en".to_vec()]);
    assert_eq!((text(&zip.content.id), text(&zip.content.md5)), ("<c1>", "abc=="));
    assert_eq!((text(&zip.content.location), text(&zip.content.encoding)), ("a/b", "base64"));
}

#[test]
fn sections_are_numbered_as_imap_numbers_them() {
    let summary = read(NESTED);
    let octets =
        |path: &[u32], text| summary.section(path, text).map(|range| &NESTED[range.start as usize..range.end as usize]);
    assert_eq!(octets(&[], SectionText::Whole), Some(NESTED));
    assert!(octets(&[], SectionText::Header).unwrap().ends_with(b"\"=_outer\"\r\n\r\n"));
    assert!(octets(&[], SectionText::Text).unwrap().starts_with(b"preamble"));
    assert_eq!(octets(&[1, 1], SectionText::Whole), Some(&b"un\r\ndeux"[..]));
    assert_eq!(octets(&[1, 2], SectionText::Mime), Some(&b"Content-Type: text/html\r\n\r\n"[..]));
    assert_eq!(octets(&[2], SectionText::Header), Some(&b"From: x@y.example\r\nSubject: dedans\r\n\r\n"[..]));
    assert_eq!(octets(&[2], SectionText::Text), Some(&b"une ligne\r\nencore"[..]));
    assert_eq!(octets(&[2, 1], SectionText::Whole), Some(&b"une ligne\r\nencore"[..]));
    assert_eq!(octets(&[3], SectionText::Whole), Some(&b"AAAA"[..]));
    for path in [&[0][..], &[4], &[1, 3], &[3, 1], &[2, 2], &[1, 1, 1]] {
        assert_eq!(octets(path, SectionText::Whole), None, "{path:?}");
    }
    assert_eq!(octets(&[3], SectionText::Header), None);
    assert_eq!(octets(&[], SectionText::Mime), None);
    let simple = b"Subject: a\r\n\r\nbody";
    let summary = read(simple);
    assert_eq!(summary.section(&[1], SectionText::Whole), Some(14..18));
    assert_eq!(summary.section(&[1], SectionText::Mime), Some(0..14));
    assert_eq!(summary.section(&[1, 1], SectionText::Whole), None);
}

#[test]
fn a_digest_holds_messages_by_default() {
    let message = b"Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: un\n\nA\n--d\nContent-Type: text/plain\n\nB\n--d\nno header\n--d--\n";
    let summary = read(message);
    let [first, second, third] = children(&summary.message.root) else { panic!("{summary:?}") };
    let PartKind::Message(inner) = &first.kind else { panic!("{first:?}") };
    assert_eq!((text(&inner.envelope.subject), body(message, &inner.root)), ("un", &b"A"[..]));
    assert_eq!((media(second).as_str(), body(message, second)), ("text/plain", &b"B"[..]));
    let PartKind::Message(inner) = &third.kind else { panic!("{third:?}") };
    assert_eq!(body(message, &inner.root), b"no header");
}

#[test]
fn bare_line_feeds_and_a_missing_end_are_read() {
    let message =
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nun\n\n--b\n\ndeux\nreste";
    let summary = read(message);
    let [first, second] = children(&summary.message.root) else { panic!("{summary:?}") };
    assert_eq!((body(message, first), first.lines), (&b"un\n"[..], 1));
    assert_eq!((body(message, second), second.lines), (&b"deux\nreste"[..], 2));
}

#[test]
fn a_message_without_header_is_all_body() {
    let message = b"Bonjour,\r\n\r\nsans en-t\xEAte\r\n";
    let summary = read(message);
    assert_eq!(summary.message.root.header_range(), 0..0);
    assert_eq!((body(message, &summary.message.root), summary.message.root.lines), (&message[..], 3));
    assert_eq!(read(b"").message.root, Part::default());
}

#[test]
fn lines_without_a_colon_hide_no_field_behind_them() {
    let summary = read(b"Received: x\r\nno field at all\r\nFrom: a@b.example\r\n\r\nbody");
    assert_eq!(text(&summary.message.envelope.from), "a@b.example");
    let mbox = read(b"From someone Mon Jan  1\r\nSubject : spaced\r\n\r\nbody");
    assert_eq!(text(&mbox.message.envelope.subject), "spaced");
}

#[test]
fn a_header_that_never_ends_is_bounded() {
    let mut message = b"From: a@b.example\r\nSubject: ".to_vec();
    message.extend(vec![b'x'; 100_000]);
    for n in 0..5_000 {
        message.extend(format!("\r\n\tContinued{n}\r\nX-{n}: y").into_bytes());
    }
    let summary = read(&message);
    assert_eq!(summary.message.root.body_range(), message.len() as u64..message.len() as u64);
    assert!(summary.message.envelope.subject.as_ref().unwrap().len() <= SummaryLimits::default().field_bytes);
    assert_eq!(text(&summary.message.envelope.from), "a@b.example");
}

#[test]
fn kept_values_have_a_bound_in_all() {
    let mut message = b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for _ in 0..400 {
        message.extend(b"--b\r\nContent-Description: ");
        message.extend(vec![b'd'; 1_000]);
        message.extend(b"\r\n\r\nx\r\n");
    }
    assert!(read(&message).encode().len() < 60_000);
}

#[test]
fn beyond_the_limits_the_rest_is_one_opaque_part() {
    let limits = SummaryLimits { parts: 4, ..SummaryLimits::default() };
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for n in 0..50 {
        message.extend(format!("--b\r\n\r\npart {n}\r\n").into_bytes());
    }
    message.extend(b"--b--\r\n");
    let mut builder = SummaryBuilder::new(limits);
    builder.push(&message);
    let summary = builder.finish();
    let parts = children(&summary.message.root);
    assert_eq!(parts.len(), 4);
    assert_eq!(media(&parts[3]), "application/octet-stream");
    assert_eq!(parts[3].end, message.len() as u64);

    let mut deep = Vec::new();
    for n in 0..100 {
        deep.extend(format!("Content-Type: multipart/mixed; boundary=b{n}.\r\n\r\n--b{n}.\r\n").into_bytes());
    }
    let summary = read(&deep);
    let mut depth = 0;
    let mut part = &summary.message.root;
    while let [only] = children(part) {
        part = only;
        depth += 1;
    }
    assert!(depth <= SummaryLimits::default().depth, "{depth}");
    assert_eq!(media(part), "application/octet-stream");
}

#[test]
fn a_multipart_without_parts_is_shown_as_text() {
    for message in [
        &b"Content-Type: multipart/mixed\r\n\r\nno boundary named"[..],
        b"Content-Type: multipart/mixed; boundary=never\r\n\r\nnot used",
        b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\nx",
    ] {
        let summary = read(message);
        assert_eq!(
            (media(&summary.message.root).as_str(), &summary.message.root.kind),
            ("text/plain", &PartKind::Leaf)
        );
    }
}

#[test]
fn an_encoded_message_is_not_looked_into() {
    let summary = read(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbTogYQ==\r\n");
    assert_eq!(media(&summary.message.root), "application/octet-stream");
    assert_eq!(text(&summary.message.root.content.encoding), "base64");
}

#[test]
fn an_outer_boundary_closes_what_is_open_within() {
    let message = b"Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nA\r\n--out\r\nX: y\r\n--out\r\n\r\nB\r\n--out--";
    let summary = read(message);
    let [inner, cut, last] = children(&summary.message.root) else { panic!("{summary:?}") };
    assert_eq!(body(message, &children(inner)[0]), b"A");
    assert_eq!(cut.body_size(), 0, "a boundary within a header ends the part");
    assert_eq!(body(message, last), b"B");
}

#[test]
fn a_boundary_is_the_whole_boundary() {
    let message =
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n--ab\r\n--a \t\r\n\r\nB\r\n--a--x\r\n--a\r\n";
    let summary = read(message);
    let [first, second] = children(&summary.message.root) else { panic!("{summary:?}") };
    assert_eq!(body(message, first), b"--ab");
    assert_eq!(body(message, second), b"B");
}

fn show(address: &EnvelopeAddress) -> String {
    let field =
        |value: &Option<RawText>| value.as_ref().map_or("NIL".into(), |v| String::from_utf8_lossy(v).into_owned());
    [&address.name, &address.route, &address.mailbox, &address.host].map(field).join("|")
}

#[test]
fn address_lists_are_taken_apart_as_rfc_3501_asks() {
    let cases: &[(&str, &[&str])] = &[
        ("a@b.example", &["NIL|NIL|a|b.example"]),
        ("<a@b.example>", &["NIL|NIL|a|b.example"]),
        ("\"Martin, Dr\" <m@b>, x@y", &["Martin, Dr|NIL|m|b", "NIL|NIL|x|y"]),
        ("m@b (Jean (dit Jo) Martin)", &["Jean (dit Jo) Martin|NIL|m|b"]),
        ("=?utf-8?q?L=C3=A9a?= Martin <l@b>", &["=?utf-8?q?L=C3=A9a?= Martin|NIL|l|b"]),
        ("<@r1,@r2:a@b>", &["NIL|@r1,@r2|a|b"]),
        ("\"a b\"@c", &["NIL|NIL|a b|c"]),
        ("<\"a\\\"b\"@c>", &["NIL|NIL|a\"b|c"]),
        ("undisclosed-recipients:;", &["NIL|NIL|undisclosed-recipients|NIL", "NIL|NIL|NIL|NIL"]),
        (
            "Equipe: a@b, \"C\" <c@d>;, e@f",
            &["NIL|NIL|Equipe|NIL", "NIL|NIL|a|b", "C|NIL|c|d", "NIL|NIL|NIL|NIL", "NIL|NIL|e|f"],
        ),
        ("root", &["NIL|NIL|root|"]),
        (", ,", &[]),
        ("a @ b . example", &["NIL|NIL|a|b.example"]),
        ("Jean Martin jm@x.example, b@c", &["Jean Martin|NIL|jm|x.example", "NIL|NIL|b|c"]),
        ("Dr. Jean Martin <j@b>", &["Dr. Jean Martin|NIL|j|b"]),
        ("\"never closed <a@b>", &["NIL|NIL|never closed <a@b>|"]),
        ("", &[]),
    ];
    for (field, expected) in cases {
        let shown: Vec<String> = parse_address_list(field.as_bytes()).iter().map(show).collect();
        assert_eq!(shown, *expected, "{field}");
    }
}

#[test]
fn damaged_records_are_refused_and_never_panic() {
    let encoded = read(NESTED).encode();
    for cut in 0..encoded.len() {
        assert!(Summary::decode(&encoded[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..encoded.len() {
        for bit in 0..8 {
            let mut damaged = encoded.clone();
            damaged[at] ^= 1 << bit;
            let _ = Summary::decode(&damaged);
        }
    }
    assert_eq!(Summary::decode(&[9]), Err(SummaryDecodeError::Version(9)));
}
