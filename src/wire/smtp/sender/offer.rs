//! What a server announces in its answer to EHLO (RFC 5321 §4.1.1.1).

use crate::wire::smtp::reply::Reply;

/// The extensions that matter to a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtp_utf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// AUTH with the mechanism PLAIN (RFC 4954 §3).
    pub auth_plain: bool,
    /// SIZE (RFC 1870): the largest message in octets; 0 where none is said; `None` where SIZE is not offered.
    pub size: Option<u64>,
}

impl Offer {
    /// Reads the answer to EHLO; its first line is the greeting, the others are an extension each.
    pub(super) fn read(reply: &Reply) -> Self {
        let mut offer = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "STARTTLS" => offer.starttls = true,
                "PIPELINING" => offer.pipelining = true,
                "CHUNKING" => offer.chunking = true,
                "8BITMIME" => offer.eight_bit_mime = true,
                "SMTPUTF8" => offer.smtp_utf8 = true,
                "DSN" => offer.dsn = true,
                "AUTH" => offer.auth_plain = words.any(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN")),
                "SIZE" => offer.size = Some(words.next().and_then(|max| max.parse().ok()).unwrap_or(0)),
                _ => {}
            }
        }
        offer
    }
}
