//! Others' reports: any split of a message tells the same, and what is told is bounded, on one line each, and can be
//! written down and read again.

use caducee::audit::Trace;
use caducee::mail::report::{Sniffer, Told, What};

/// One input of the fuzzer: the first byte chooses the size of the pieces, the rest is a message. Line feeds alone become
/// CRLF where the first bit says so, so that seeds can be read.
pub fn check(data: &[u8]) {
    let Some((&choice, message)) = data.split_first() else { return };
    let message = if choice & 1 == 1 { with_crlf(message) } else { message.to_vec() };
    let whole = sniff(&message, message.len().max(1));
    for size in [1, 3, 64, 1 + usize::from(choice >> 1)] {
        assert_eq!(sniff(&message, size), whole, "in pieces of {size}");
    }
    let Some(told) = whole else { return };
    assert!((1..=8).contains(&told.about.len()));
    for id in told.about.iter().chain(&told.message_id) {
        assert!(id.len() <= 998 && id.starts_with('<') && id.ends_with('>'), "{id}");
        assert!(id.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{id}");
    }
    match &told.what {
        What::Delivery(statuses) => {
            assert!((1..=100).contains(&statuses.len()));
            for status in statuses {
                bounded(status.recipient.as_deref().unwrap_or_default(), 500);
                bounded(&status.action, 500);
                bounded(&status.text, 1_001);
            }
        }
        What::Disposition { recipient, disposition, error } => {
            [recipient.as_deref().unwrap_or_default(), disposition, error.as_deref().unwrap_or_default()]
                .iter()
                // A letter may be longer in lower case.
                .for_each(|text| bounded(text, 1_000));
        }
        What::Bounce { domain, recipient, status } => {
            bounded(domain, 1_000);
            bounded(recipient.as_deref().unwrap_or_default(), 500);
            bounded(status.as_deref().unwrap_or_default(), 9);
        }
    }
    for trace in told.traces("<abc@aura.example>", "r/1") {
        let written = serde_json::to_vec(&trace).expect("a trace has a JSON form");
        let read: Trace = serde_json::from_slice(&written).expect("and is read again");
        assert_eq!(read, trace);
    }
}

fn bounded(text: &str, most: usize) {
    assert!(text.len() <= most && !text.chars().any(char::is_control), "{} octets: {text:?}", text.len());
}

fn sniff(message: &[u8], size: usize) -> Option<Told> {
    let mut sniffer = Sniffer::default();
    message.chunks(size).for_each(|piece| sniffer.push(piece));
    sniffer.finish()
}

fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for &byte in message {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}
