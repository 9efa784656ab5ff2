//! The IMAP framer and parser: any split of the bytes gives the same events, bounds hold, nothing panics.

use caducee::wire::imap::command::FolderName;
use caducee::wire::imap::framer::{Framed, Framer, FramerLimits, Framing};
use caducee::wire::imap::{parse, utf7};

/// Small bounds, so that short inputs reach them.
const LIMITS: FramerLimits = FramerLimits { line: 200, literal: 60, literals: 4, message: 50, swallow: 400 };

/// An event without borrowed bytes; pieces of a message are joined.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Command(Framed),
    Line(Vec<u8>),
    Continue,
    Message(Framed, u64, bool),
    Bytes(Vec<u8>),
    End(bool),
    Refused(String),
    Overrun,
}

/// All events of `input`, fed in chunks whose sizes come from `sizes`, over and over.
fn events(input: &[u8], sizes: &[usize]) -> Vec<Seen> {
    let mut framer = Framer::new(LIMITS);
    let mut seen = Vec::new();
    let mut sizes = sizes.iter().cycle();
    let mut fed = 0;
    while fed < input.len() {
        let size = (*sizes.next().unwrap_or(&1)).clamp(1, input.len() - fed);
        let chunk = &input[fed..fed + size];
        fed += size;
        let mut at = 0;
        loop {
            let (used, event) = framer.step(&chunk[at..]);
            at += used;
            assert!(at <= chunk.len());
            let Some(event) = event else { break };
            if record(&mut framer, event, &mut seen) {
                return seen;
            }
        }
    }
    seen
}

/// Notes an event and answers the framer's questions; true when the connection is over.
fn record(framer: &mut Framer, event: Framing<'_>, seen: &mut Vec<Seen>) -> bool {
    match event {
        Framing::Command(framed) => {
            let literals: usize = framed.literals.iter().map(|range| range.len()).sum();
            assert!(framed.bytes.len() - literals <= LIMITS.line && literals <= LIMITS.literal);
            assert!(framed.literals.len() <= LIMITS.literals);
            if framed.bytes.ends_with(b"IDLE") {
                framer.expect_line();
            }
            seen.push(Seen::Command(framed));
        }
        Framing::Line(line) => seen.push(Seen::Line(line)),
        Framing::Continue => seen.push(Seen::Continue),
        Framing::Message { head, size, synchronising } => {
            if parse::append(&head).is_ok() && size <= LIMITS.message {
                assert_eq!(framer.accept_message(), synchronising);
            } else {
                framer.refuse_message();
            }
            seen.push(Seen::Message(head, size, synchronising));
        }
        Framing::Piece(piece) => match seen.last_mut() {
            Some(Seen::Bytes(bytes)) => bytes.extend_from_slice(piece),
            _ => seen.push(Seen::Bytes(piece.to_vec())),
        },
        Framing::MessageEnd { clean } => seen.push(Seen::End(clean)),
        Framing::Refused { tag, why } => seen.push(Seen::Refused(format!("{tag:?} {why}"))),
        Framing::Overrun => {
            seen.push(Seen::Overrun);
            return true;
        }
    }
    false
}

/// One input of the fuzzer; panics on a breach.
pub fn check(data: &[u8]) {
    let whole = events(data, &[data.len().max(1)]);
    assert_eq!(whole, events(data, &[1]), "byte by byte");
    assert_eq!(whole, events(data, &[3, 7, 2]), "in small pieces");
    let sizes: Vec<usize> = data.iter().map(|&byte| usize::from(byte % 31) + 1).collect();
    assert_eq!(whole, events(data, &sizes), "in pieces that the input chooses");
    for event in &whole {
        if let Seen::Command(framed) = event {
            // Debug output must never show a secret; here it is exercised for panics too.
            let _ = format!("{:?}", parse::command(framed));
        }
    }
    if let Ok(name) = utf7::decode(data) {
        assert_eq!(utf7::encode(&name).as_bytes(), data, "one name, one spelling");
        let _ = FolderName::new(&name);
    }
}
