//! Line ends of messages that come from files: every bare LF becomes CRLF, all else stays as it is.
//!
//! Mail is CRLF on the wire and in the store (RFC 5322 §2.3), LF in most files. The server does it for everything that is imported, and
//! `caducee import` does the same before it takes a message's digest, so that both speak of the same bytes.

use std::borrow::Cow;

/// Turns bare LF into CRLF, piece by piece; a CRLF parted between two pieces stays one.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// The next piece as the store wants it; borrowed where nothing had to change.
    pub fn piece<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(&last) = piece.last() else { return Cow::Borrowed(piece) };
        let mut whole = Vec::new();
        let mut copied = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            let cr_before = if at == 0 { self.after_cr } else { piece[at - 1] == b'\r' };
            if !cr_before {
                whole.extend_from_slice(&piece[copied..at]);
                whole.push(b'\r');
                copied = at;
            }
        }
        self.after_cr = last == b'\r';
        if copied == 0 && whole.is_empty() {
            return Cow::Borrowed(piece);
        }
        whole.extend_from_slice(&piece[copied..]);
        Cow::Owned(whole)
    }

    /// A whole message at once.
    pub fn whole(message: &[u8]) -> Cow<'_, [u8]> {
        Self::default().piece(message)
    }
}

/// The message with LF line ends, if that loses nothing: only where CR and LF never stand alone.
pub fn to_lf(message: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        if rest[at] != b'\r' || rest.get(at + 1) != Some(&b'\n') {
            return None;
        }
        lines.extend_from_slice(&rest[..at]);
        lines.push(b'\n');
        rest = &rest[at + 2..];
    }
    lines.extend_from_slice(rest);
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bare_lf_becomes_crlf_and_the_rest_stays() {
        assert_eq!(&*LineEnds::whole(b"\na\r\nb\nc\rd\n\n"), b"\r\na\r\nb\r\nc\rd\r\n\r\n");
        assert!(matches!(LineEnds::whole(b"a\r\nb\r\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn lf_line_ends_only_where_nothing_is_lost() {
        assert_eq!(to_lf(b"a\r\n\r\nb").as_deref(), Some(&b"a\n\nb"[..]));
        assert_eq!(to_lf(b"a\nb\r\n"), None);
        assert_eq!(to_lf(b"a\rb\r\n"), None);
        assert_eq!(to_lf(b"a\r"), None);
    }

    proptest! {
        #[test]
        fn pieces_and_the_whole_give_the_same(text in "[ab\r\n]{0,40}", cut in 0usize..40) {
            let text = text.as_bytes();
            let cut = cut.min(text.len());
            let mut ends = LineEnds::default();
            let mut pieces = ends.piece(&text[..cut]).into_owned();
            pieces.extend_from_slice(&ends.piece(&text[cut..]));
            prop_assert_eq!(&pieces, &*LineEnds::whole(text));
        }

        #[test]
        fn there_and_back_is_the_same(text in "[ab]{0,9}(\r\n[ab]{0,9}){0,9}") {
            let lf = to_lf(text.as_bytes()).unwrap();
            prop_assert_eq!(&*LineEnds::whole(&lf), text.as_bytes());
        }
    }
}
