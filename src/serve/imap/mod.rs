//! The IMAP door.
