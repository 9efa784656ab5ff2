//! `X-MSS-*` header fields (MSSanté §7): codes of the trust space, no content; traces hold them.

use crate::mail::trace_fields::{Field, fields};

/// Fields that are kept of one message, and characters of each value: the space has four of them, with short codes.
const MOST: usize = 20;
const LONGEST: usize = 200;

/// The names and values of a header section's `X-MSS-*` fields, for its trace.
pub(in crate::serve) fn mss_fields(header: &[u8]) -> Vec<(String, String)> {
    fields(header).filter(is_mss).take(MOST).map(|field| (text(field.name), text(field.value))).collect()
}

fn is_mss(field: &Field<'_>) -> bool {
    field.name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"X-MSS-"))
}

/// A field's name or value: unfolded, without control characters, cut.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let clean = text.trim().chars().filter(|c| !matches!(c, '\r' | '\n'));
    clean.map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conventions_fields_are_read_and_cut() {
        let header = "X-MSS-NIL: logiciel 1.0\r\nx-mss-mes:\r\n FIN\r\nX-MSSanté: no\r\nX-MSS\r\n\r\n";
        let wanted = [("X-MSS-NIL", "logiciel 1.0"), ("x-mss-mes", "FIN")];
        assert_eq!(mss_fields(header.as_bytes()), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let many = format!("X-MSS-A: {}\r\n", "é".repeat(1000)).repeat(100);
        let found = mss_fields(many.as_bytes());
        assert!(found.len() == MOST && found.iter().all(|(_, value)| value.chars().count() == LONGEST));
    }
}
