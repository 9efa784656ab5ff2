//! SMTP as state machines: bytes in, actions out. No sockets, no tasks, no clock.
//!
//! Two engines share one vocabulary:
//!
//! * [`receiver`] is the server's side of a connection. It takes bytes, answers to its questions and the passing of time,
//!   and returns steps: ask this, here is a piece of the message, start TLS, close.
//! * [`sender`] is the client's side.
//!
//! The vocabulary: [`reply`] (codes and texts, written and read), [`command`] (a line becomes a typed command),
//! [`path`] (mailboxes as the envelope writes them), [`params`] (what `MAIL` and `RCPT` carry after the path),
//! [`content`] (what a message may consist of: CRLF lines, no NUL, 8-bit only when declared).
//!
//! Three rules hold everywhere in here:
//!
//! 1. A line ends in CRLF and nothing else. A lone CR or LF, in a command or in a message, ends the connection; so no two
//!    servers can disagree about where a message stops (SMTP smuggling).
//! 2. Nothing is buffered that has no bound: a command line has its limit, a message passes through in the pieces it came in.
//! 3. The same bytes give the same result in whatever pieces they arrive.

pub mod command;
pub mod content;
pub mod params;
pub mod path;
pub mod receiver;
pub mod reply;
pub mod sender;
