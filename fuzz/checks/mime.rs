//! MIME summaries: any split of a message gives the same summary, every range lies within it, and the stored form is
//! read as it was written.

use caducee::mail::summary::{Part, PartKind, SectionText, Summary, SummaryBuilder, SummaryLimits};

/// One input of the fuzzer: the first byte chooses limits and the size of the pieces, the rest is a message.
pub fn check(data: &[u8]) {
    let Some((&choice, message)) = data.split_first() else { return };
    let limits = match choice & 3 {
        0 => SummaryLimits::default(),
        1 => SummaryLimits { depth: 3, parts: 4, field_bytes: 512, kept_bytes: 300, parameters: 2 },
        2 => SummaryLimits { depth: 1, parts: 1, field_bytes: 0, kept_bytes: 0, parameters: 0 },
        _ => SummaryLimits { depth: 100, parts: 10_000, ..SummaryLimits::default() },
    };
    let whole = read(message, message.len().max(1), limits);
    for size in [1, 2, 3, 5, 1 + usize::from(choice >> 2)] {
        assert_eq!(read(message, size, limits), whole, "in pieces of {size}");
    }
    assert_eq!(whole.size, message.len() as u64);
    let mut parts = 0;
    part_is_good(&whole.message.root, 0, whole.size, &mut parts, 0);
    assert!(parts <= limits.parts.max(1) * 2 + 1, "{parts} parts");
    assert_eq!(Summary::decode(&whole.encode()).as_ref(), Ok(&whole));
    let _ = Summary::decode(message);
    for path in [&[][..], &[1], &[2], &[1, 1], &[1, 2, 1]] {
        for text in [SectionText::Whole, SectionText::Header, SectionText::Text, SectionText::Mime] {
            if let Some(range) = whole.section(path, text) {
                assert!(range.start <= range.end && range.end <= whole.size);
            }
        }
    }
    let envelope = &whole.message.envelope;
    for list in [envelope.froms(), envelope.senders(), envelope.reply_tos(), envelope.tos(), envelope.ccs()] {
        assert!(list.iter().all(|address| address.host.is_none() || address.mailbox.is_some()));
    }
}

fn read(message: &[u8], size: usize, limits: SummaryLimits) -> Summary {
    let mut builder = SummaryBuilder::new(limits);
    message.chunks(size).for_each(|piece| builder.push(piece));
    builder.finish()
}

fn part_is_good(part: &Part, from: u64, to: u64, parts: &mut usize, depth: usize) {
    *parts += 1;
    assert!(depth <= 110, "too deep");
    assert!(from <= part.header_start && part.header_start <= part.body_start, "{part:?} from {from}");
    assert!(part.body_start <= part.end && part.end <= to, "{part:?} to {to}");
    assert!(u64::from(part.lines) <= part.body_size());
    match &part.kind {
        PartKind::Leaf => {}
        PartKind::Multipart(children) => {
            assert!(!children.is_empty(), "a multipart has a part");
            let mut from = part.body_start;
            for child in children {
                part_is_good(child, from, part.end, parts, depth + 1);
                from = child.end;
            }
        }
        PartKind::Message(inner) => {
            assert_eq!(inner.root.header_start, part.body_start);
            part_is_good(&inner.root, part.body_start, part.end, parts, depth + 1);
        }
    }
}
