//! IMAP4rev1 (RFC 3501) as pure framing, parsing and writing.
