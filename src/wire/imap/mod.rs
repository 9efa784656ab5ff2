//! IMAP4rev1 (RFC 3501) as pure framing, parsing and writing.
//!
//! Two rules hold here. First, the stream is split into lines and literals under bounds ([`framer`]), and only a
//! *complete* command is parsed ([`parse`]): the bytes of a literal can never be read as a command. Second, an APPEND's
//! message is never part of a command: the framer hands its bytes on in pieces.
//!
//! ```text
//! bytes ─▶ framer::Framer ─▶ Framed (text + literals) ─▶ parse::command ─▶ command::Command ─▶ serve/imap
//!                     └────▶ pieces of an APPEND's message ─▶ a sink
//! serve/imap ─▶ response::* (status lines, strings) ─▶ bytes
//! ```
//!
//! | file | subject |
//! |---|---|
//! | [`framer`] | lines and literals, RFC 3501 §4.3 and RFC 7888 |
//! | [`command`] | the typed commands |
//! | [`parse`], [`cursor`] | a framed command → a typed one |
//! | [`fetch`], [`search`], [`list`], [`acl`] | the commands with a language of their own |
//! | [`sequence`], [`flag`], [`date`], [`utf7`] | the small grammars |
//! | [`response`] | what the server writes |

pub mod acl;
pub mod command;
pub mod cursor;
pub mod date;
pub mod fetch;
pub mod flag;
pub mod framer;
pub mod list;
pub mod parse;
pub mod response;
pub mod search;
pub mod sequence;
pub mod utf7;
