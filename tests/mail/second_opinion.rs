//! Our MIME reader beside mail-parser, on generated and odd mail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caducee::mail::summary::{Part, PartKind, Summary, SummaryBuilder, SummaryLimits};
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};
use proptest::prelude::*;

fn read(message: &[u8]) -> Summary {
    let mut builder = SummaryBuilder::new(SummaryLimits::default());
    builder.push(message);
    builder.finish()
}

/// Leaves of our table, embedded messages opened, in order: media type and offsets of the body.
fn our_leaves(part: &Part, out: &mut Vec<(String, u64, u64)>) {
    match &part.kind {
        PartKind::Leaf => {
            let (top, sub) = part.media_type();
            let media = format!("{}/{}", String::from_utf8_lossy(top), String::from_utf8_lossy(sub)).to_lowercase();
            out.push((media, part.body_start, part.end));
        }
        PartKind::Multipart(children) => children.iter().for_each(|child| our_leaves(child, out)),
        PartKind::Message(inner) => our_leaves(&inner.root, out),
    }
}

fn their_leaves(message: &Message<'_>, part: &MessagePart<'_>, out: &mut Vec<(String, u64, u64)>) {
    match &part.body {
        PartType::Multipart(children) => {
            for child in children {
                their_leaves(message, &message.parts[*child as usize], out);
            }
        }
        PartType::Message(inner) => their_leaves(inner, &inner.parts[0], out),
        _ => {
            let media = part.content_type().map_or("text/plain".to_owned(), |kind| {
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("plain")).to_lowercase()
            });
            out.push((media, part.raw_body_offset().into(), part.raw_end_offset().into()));
        }
    }
}

fn compare(message: &[u8]) {
    let ours = read(message);
    let theirs = MessageParser::default().parse(message).expect("mail-parser reads it");
    let (mut our, mut their) = (Vec::new(), Vec::new());
    our_leaves(&ours.message.root, &mut our);
    their_leaves(&theirs, &theirs.parts[0], &mut their);
    let shown = String::from_utf8_lossy(message);
    assert_eq!(our.len(), their.len(), "ours {our:?}\ntheirs {their:?}\n{shown}");
    for (our, their) in our.iter().zip(&their) {
        assert_eq!(our.0, their.0, "{shown}");
        assert_eq!(our.1, their.1, "where the body begins: ours {our:?} theirs {their:?}\n{shown}");
        // mail-parser leaves the line end before a boundary to the part or to the boundary, as it comes.
        assert!(our.2.abs_diff(their.2) <= 2, "where it ends: ours {our:?} theirs {their:?}\n{shown}");
    }
    let addresses = |list: Option<&mail_parser::Address<'_>>| -> Vec<String> {
        list.into_iter().flat_map(|list| list.iter()).filter_map(|a| a.address().map(str::to_lowercase)).collect()
    };
    let envelope = &ours.message.envelope;
    for (ours, theirs) in
        [(envelope.froms(), theirs.from()), (envelope.tos(), theirs.to()), (envelope.ccs(), theirs.cc())]
    {
        let ours = ours.into_iter().filter_map(|a| Some((a.mailbox?, a.host.filter(|host| !host.is_empty())?)));
        let ours: Vec<String> = ours
            .map(|(mailbox, host)| format!("{}@{}", String::from_utf8_lossy(&mailbox), String::from_utf8_lossy(&host)))
            .map(|address| address.to_lowercase())
            .collect();
        assert_eq!(ours, addresses(theirs), "{shown}");
    }
}

/// A message tree, drawn by proptest.
#[derive(Clone, Debug)]
enum Tree {
    Text(String),
    Attachment(Vec<u8>),
    Multipart(&'static str, Vec<Tree>),
    Forwarded(Box<Tree>),
}

impl Tree {
    /// The leaves' media types and bodies, in order: what must be found again.
    fn leaves(&self, eol: &str, out: &mut Vec<(&'static str, String)>) {
        match self {
            Tree::Text(text) => out.push(("text/plain", format!("{text}{eol}encore{eol}"))),
            Tree::Attachment(bytes) => out.push(("application/zip", format!("{}{eol}", STANDARD.encode(bytes)))),
            Tree::Multipart(_, parts) => parts.iter().for_each(|part| part.leaves(eol, out)),
            Tree::Forwarded(inner) => inner.leaves(eol, out),
        }
    }

    /// mail-parser 0.11.9 loses parts, or panics, where an embedded message is anything but text.
    fn is_beyond_mail_parser(&self) -> bool {
        match self {
            Tree::Text(_) | Tree::Attachment(_) => false,
            Tree::Multipart(_, parts) => parts.iter().any(Tree::is_beyond_mail_parser),
            Tree::Forwarded(inner) => !matches!(**inner, Tree::Text(_)),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        "[a-zA-Zéè ,.\\-]{0,60}".prop_map(Tree::Text),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Tree::Attachment),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (
                prop_oneof![Just("mixed"), Just("alternative"), Just("related")],
                proptest::collection::vec(inner.clone(), 1..4)
            )
                .prop_map(|(kind, parts)| Tree::Multipart(kind, parts)),
            inner.prop_map(|tree| Tree::Forwarded(Box::new(tree))),
        ]
    })
}

fn write(tree: &Tree, number: &mut u32, eol: &str, out: &mut String) {
    match tree {
        Tree::Text(text) => {
            out.push_str(&format!("Content-Type: text/plain; charset=utf-8{eol}{eol}{text}{eol}encore{eol}"));
        }
        Tree::Attachment(bytes) => {
            let body = STANDARD.encode(bytes);
            out.push_str(&format!("Content-Type: application/zip;{eol}\tname=\"IHE_XDM.zip\"{eol}"));
            out.push_str(&format!("Content-Transfer-Encoding: base64{eol}{eol}{body}{eol}"));
        }
        Tree::Multipart(kind, parts) => {
            *number += 1;
            let boundary = format!("=_limite_{number}.");
            out.push_str(&format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"{eol}{eol}"));
            for part in parts {
                out.push_str(&format!("--{boundary}{eol}"));
                write(part, number, eol, out);
                out.push_str(eol);
            }
            out.push_str(&format!("--{boundary}--{eol}"));
        }
        Tree::Forwarded(inner) => {
            out.push_str(&format!("Content-Type: message/rfc822{eol}{eol}"));
            out.push_str(&format!("From: Zoé <zoe@b.example>{eol}Subject: transmis{eol}"));
            write(inner, number, eol, out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_messages_are_read_alike(tree in tree(), crlf in any::<bool>()) {
        let eol = if crlf { "\r\n" } else { "\n" };
        let mut message = format!(
            "From: \"Lefèvre, Zoé\" <zoe@a.example>{eol}To: a@b.example,{eol} Dr. Martin <m@c.example>{eol}Cc: x@y.example (commentaire){eol}Subject: essai{eol}"
        );
        write(&tree, &mut 0, eol, &mut message);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        tree.leaves(eol, &mut expected);
        our_leaves(&read(message.as_bytes()).message.root, &mut found);
        let found: Vec<_> = found.iter().map(|(media, from, to)| (media.as_str(), &message[*from as usize..*to as usize])).collect();
        prop_assert_eq!(found.len(), expected.len());
        for ((media, body), (expected_media, expected_body)) in found.iter().zip(&expected) {
            prop_assert_eq!(media, expected_media);
            // A line end of its own stands before each boundary, as `write` puts it.
            prop_assert!(*body == expected_body || expected_body.strip_suffix(eol) == Some(body), "{:?} {:?}", body, expected_body);
        }
        if !tree.is_beyond_mail_parser() {
            compare(message.as_bytes());
        }
    }
}

#[test]
fn odd_messages_are_read_alike() {
    for message in [
        "From: a@b.example\r\nTo: c@d.example\r\n\r\nsimple\r\n",
        "From: a@b.example\r\n\r\n",
        "Subject: no sender\r\nContent-Type: text/html\r\n\r\n<p>x</p>",
        "From: A <a@b.example>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nun\r\n--b\r\nContent-Type: text/html\r\n\r\ndeux\r\n--b--\r\nepilogue",
        "From: a@b.example\r\nContent-Type: MULTIPART/Mixed; boundary=\"a b\"\r\n\r\n--a b\r\n\r\nun\r\n--a b--",
        "From: \"a b\" <c@d.example>, e@f.example\r\nTo: G: h@i.example, j@k.example;\r\n\r\n",
    ] {
        compare(message.as_bytes());
    }
}
