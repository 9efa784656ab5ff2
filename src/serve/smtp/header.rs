//! Who a message's header says it is from (MSSanté §3: `From:`, and `Sender:` if present).
//!
//! Two readers look at these fields, mail-parser and our own (what IMAP's ENVELOPE shows). Where they do not see the same
//! domains, neither is believed: mail programs would not agree either, and that is how a name is forged.

use mail_parser::{HeaderValue, MessageParser};

use crate::mail::summary::{EnvelopeAddress, parse_address_list};
use crate::mail::trace_fields::{Field, fields};
use crate::mss::Address;
use crate::mss::admission::HeaderSenders;

/// Reads the senders out of a header section.
pub(in crate::serve) fn senders(header: &[u8]) -> HeaderSenders {
    let mut senders = HeaderSenders::default();
    for field in fields(header) {
        let (count, list) = if field.is("From") {
            (&mut senders.from_fields, &mut senders.from)
        } else if field.is("Sender") {
            (&mut senders.sender_fields, &mut senders.sender)
        } else {
            continue;
        };
        *count += 1;
        match addresses(&field) {
            Some(addresses) => list.extend(addresses),
            None => senders.unreadable = true,
        }
    }
    senders
}

/// The addresses of one field. `None`: something in it is no address, or can be read in two ways.
fn addresses(field: &Field<'_>) -> Option<Vec<Address>> {
    let addresses: Option<Vec<Address>> = parse_address_list(field.value).iter().map(address).collect();
    let addresses = addresses?;
    if angle_brackets(field.value)? > addresses.len() {
        return None;
    }
    let ours = addresses.iter().map(|address| address.domain().as_str().to_owned());
    (ours.collect::<Vec<_>>() == second_opinion(field.value)?).then_some(addresses)
}

/// How many pairs of angle brackets stand outside of quoted strings and comments (RFC 5322 §3.2.2, §3.2.4). With more than
/// one an address, programs differ in which they take. `None`: they do not pair.
fn angle_brackets(value: &[u8]) -> Option<usize> {
    let (mut pairs, mut open, mut quoted, mut comments, mut escaped) = (0, false, false, 0_usize, false);
    for &byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted || comments > 0 => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if !quoted => comments = comments.saturating_sub(1),
            _ if quoted || comments > 0 => {}
            b'<' if open => return None,
            b'<' => open = true,
            b'>' if !open => return None,
            b'>' => {
                open = false;
                pairs += 1;
            }
            _ => {}
        }
    }
    (!open).then_some(pairs)
}

/// A group (`host` is missing) names nobody who could be held to account.
fn address(envelope: &EnvelopeAddress) -> Option<Address> {
    let local = std::str::from_utf8(envelope.mailbox.as_deref()?).ok()?;
    let host = std::str::from_utf8(envelope.host.as_deref()?).ok()?;
    // Two of them without quotes are no address; with quotes they are one that nobody has.
    if local.contains('@') {
        return None;
    }
    let quoted = || format!("\"{}\"@{host}", local.replace('\\', "\\\\").replace('"', "\\\""));
    Address::parse(&format!("{local}@{host}")).or_else(|_| Address::parse(&quoted())).ok()
}

/// The domains that mail-parser sees, in lower case.
fn second_opinion(value: &[u8]) -> Option<Vec<String>> {
    let mut field = b"From:".to_vec();
    field.extend_from_slice(value);
    field.extend_from_slice(b"\r\n\r\n");
    let message = MessageParser::new().header_address("From").parse_headers(&field)?;
    let [header] = message.headers() else { return None };
    let HeaderValue::Address(mail_parser::Address::List(list)) = header.value() else { return None };
    let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.trim().to_ascii_lowercase());
    list.iter().map(|entry| entry.address().and_then(domain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(value: &str) -> HeaderSenders {
        senders(format!("Subject: x\r\nFrom: {value}\r\nTo: someone@else.example\r\n\r\n").as_bytes())
    }

    #[test]
    fn an_ordinary_sender_is_read() {
        for value in [
            "anne.roux@aura.example",
            "Anne Roux <anne.roux@aura.example>",
            "\"ROUX, Anne (Dr)\" <anne.roux@aura.example>",
            "=?utf-8?Q?H=C3=B4pital?= <anne.roux@AURA.example>",
            "Dr\r\n\tAnne Roux\r\n\t<anne.roux@aura.example>",
            "anne.roux@aura.example (Anne Roux)",
            "Hôpital <anne.roux@aura.example>",
            "\"x@evil.example\" <anne.roux@aura.example>",
            "\"Anne <x@evil.example>\" (<y@evil.example>) <anne.roux@aura.example>",
        ] {
            let senders = from(value);
            assert!(!senders.unreadable && senders.from_fields == 1, "{value}");
            let addresses: Vec<String> = senders.from.iter().map(|a| a.to_string()).collect();
            assert_eq!(addresses, ["anne.roux@aura.example"], "{value}");
        }
    }

    #[test]
    fn several_are_counted() {
        assert_eq!(from("a@x.example, b@y.example").from.len(), 2);
        let header = b"From: a@x.example\r\nFROM : b@y.example\r\nSender: c@z.example\r\n\r\n";
        let senders = senders(header);
        assert_eq!((senders.from_fields, senders.from.len()), (2, 2));
        assert_eq!((senders.sender_fields, senders.sender.len()), (1, 1));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_unreadable() {
        for value in [
            "Anne Roux",
            "Friends: a@x.example, b@y.example;",
            "undisclosed-recipients:;",
            "a@[192.0.2.1]",
            "<a@x.example",
            "a@x.example>",
            "<b@y.example> <c@z.example>",
            "a@x.example <b@y.example> <c@z.example>",
            "a@x.example@y.example",
            "=?utf-8?Q?a=40x.example?=",
            "\"a@x.example",
            "a@x_y.example",
        ] {
            let senders = from(value);
            assert!(senders.unreadable || senders.from.len() != 1, "{value}: {senders:?}");
        }
    }

    #[test]
    fn a_missing_or_empty_sender_is_no_sender() {
        assert_eq!(senders(b"Subject: x\r\n\r\n"), HeaderSenders::default());
        let empty = from("");
        assert!(empty.from_fields == 1 && empty.from.is_empty());
        assert_eq!(senders(b"\r\nFrom: a@x.example\r\n").from_fields, 0, "what follows the empty line is body");
    }
}
