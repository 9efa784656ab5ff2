//! What the engine refuses by itself, each with its rule's name, its codes and what follows.
//!
//! The names are stable: they stand in replies, logs, counters and the operator's guide, beside those of
//! `mss::decision::Rule`.

use super::super::command::CommandError;
use super::super::content::Fault;
use super::super::reply::Reply;
use crate::wire::sasl::SaslError;

/// What a refusal means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    GoOn,
    /// It counts as an error of the peer; too many end the connection.
    Count,
    /// The connection ends.
    Close,
}

/// A refusal of the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule's stable name.
    pub rule: &'static str,
    /// What is answered. The engine adds `[rule …, ref …]` to it.
    pub reply: Reply,
    /// What follows.
    pub then: Then,
}

impl Refusal {
    fn new(rule: &'static str, code: u16, enhanced: (u8, u16, u16), text: &'static str, then: Then) -> Refusal {
        Refusal { rule, reply: Reply::new(code, enhanced, text), then }
    }

    /// RFC 3207 §4: `530 Must issue a STARTTLS command first`.
    pub(super) fn tls_required() -> Refusal {
        Refusal::new("tls-required", 530, (5, 7, 0), "Must issue a STARTTLS command first", Then::Count)
    }

    /// Bytes that follow STARTTLS in plain text would be read as if TLS had protected them (RFC 3207 §4.2; CVE-2011-0411).
    pub(super) fn plaintext_injection() -> Refusal {
        let text = "Commands sent in plain text behind STARTTLS are an attack";
        Refusal::new("plaintext-injection", 554, (5, 7, 0), text, Then::Close)
    }

    pub(super) fn tls_already() -> Refusal {
        Refusal::new("tls-already", 503, (5, 5, 1), "TLS is up already", Then::Count)
    }

    pub(super) fn unknown_command() -> Refusal {
        Refusal::new("unknown-command", 500, (5, 5, 1), "Command not known", Then::Count)
    }

    /// A browser made to speak to us (cross-protocol attacks): nothing that it says is meant for us.
    pub(super) fn other_protocol() -> Refusal {
        Refusal::new("other-protocol", 500, (5, 5, 1), "This is SMTP", Then::Close)
    }

    pub(super) fn not_offered() -> Refusal {
        Refusal::new("not-offered", 502, (5, 5, 1), "Not offered here", Then::Count)
    }

    /// RFC 4954 §6: `530 Authentication required`.
    pub(super) fn auth_required() -> Refusal {
        Refusal::new("auth-required", 530, (5, 7, 0), "Authentication required", Then::Count)
    }

    /// RFC 4954 §6: `538 Encryption required`, for clients that would send a password in plain text.
    pub(super) fn auth_needs_tls() -> Refusal {
        Refusal::new("auth-needs-tls", 538, (5, 7, 11), "Encryption required: say STARTTLS first", Then::Count)
    }

    /// RFC 4954 §4: after a login no other.
    pub(super) fn auth_already() -> Refusal {
        Refusal::new("auth-already", 503, (5, 5, 1), "Logged in already", Then::Count)
    }

    /// RFC 4954 §4: `504`.
    pub(super) fn unknown_mechanism() -> Refusal {
        Refusal::new("auth-mechanism", 504, (5, 5, 4), "This mechanism is not offered", Then::Count)
    }

    /// RFC 4954 §4: 501 for `*`; 501 5.5.2 for what is no base64, or not what the mechanism asks for.
    pub(super) fn bad_exchange(error: SaslError) -> Refusal {
        match error {
            SaslError::Cancelled => {
                Refusal::new("auth-cancelled", 501, (5, 7, 0), "Authentication cancelled", Then::Count)
            }
            SaslError::NotBase64 => Refusal::new("auth-syntax", 501, (5, 5, 2), "Response is not base64", Then::Count),
            SaslError::Malformed => {
                Refusal::new("auth-syntax", 501, (5, 5, 2), "Response breaks the mechanism's syntax", Then::Count)
            }
        }
    }

    /// RFC 4954 §4: `500` where a line of the exchange is too long (RFC 3463 X.5.6: exchange line too long).
    pub(super) fn long_exchange() -> Refusal {
        Refusal::new("auth-syntax", 500, (5, 5, 6), "Authentication exchange line is too long", Then::Count)
    }

    pub(super) fn bad_sequence(text: &'static str) -> Refusal {
        Refusal::new("bad-sequence", 503, (5, 5, 1), text, Then::Count)
    }

    /// RFC 5321 §3.3: `DATA` without a valid recipient.
    pub(super) fn no_recipients() -> Refusal {
        Refusal::new("no-recipients", 554, (5, 5, 1), "No valid recipients", Then::Count)
    }

    /// RFC 3030 §2: `DATA` and `BDAT` do not mix.
    pub(super) fn data_after_bdat() -> Refusal {
        Refusal::new("data-after-bdat", 503, (5, 5, 1), "DATA cannot follow BDAT in one transaction", Then::Count)
    }

    pub(super) fn syntax(error: &CommandError) -> Refusal {
        Refusal { rule: "bad-syntax", reply: error.reply(), then: Then::Count }
    }

    /// The size of a chunk cannot be known, so what follows cannot be told from commands.
    pub(super) fn bad_chunk() -> Refusal {
        let text = "Syntax: BDAT size [LAST]; what follows cannot be told from commands";
        Refusal::new("bad-syntax", 501, (5, 5, 4), text, Then::Close)
    }

    pub(super) fn bad_characters() -> Refusal {
        Refusal::new("bad-characters", 500, (5, 5, 2), "A command is printable text", Then::Count)
    }

    /// RFC 5321 §4.5.3.1.4
    pub(super) fn long_command() -> Refusal {
        Refusal::new("long-command", 500, (5, 5, 2), "Command line too long", Then::Count)
    }

    pub(super) fn endless_command() -> Refusal {
        Refusal::new("long-command", 500, (5, 5, 2), "Command line without an end", Then::Close)
    }

    /// RFC 5321 §2.3.8: lines end in CRLF, in commands too.
    pub(super) fn bad_line_end(fault: Fault) -> Refusal {
        let (rule, text) = match fault {
            Fault::BareCr => ("bare-cr", "A CR without LF in a command"),
            _ => ("bare-lf", "An LF without CR in a command"),
        };
        Refusal::new(rule, 500, (5, 5, 2), text, Then::Close)
    }

    /// RFC 6531 §3.5
    pub(super) fn utf8_address() -> Refusal {
        let text = "A non-ASCII address needs SMTPUTF8 in MAIL FROM";
        Refusal::new("smtputf8-required", 553, (5, 6, 7), text, Then::Count)
    }

    /// RFC 1870 §6.1
    pub(super) fn too_big() -> Refusal {
        Refusal::new("too-big", 552, (5, 3, 4), "Message too big", Then::GoOn)
    }

    /// A peer that goes on sending a message that is refused already.
    pub(super) fn endless_message() -> Refusal {
        Refusal::new("too-big", 552, (5, 3, 4), "Message far too big", Then::Close)
    }

    /// RFC 5321 §4.5.3.1.10
    pub(super) fn too_many_recipients() -> Refusal {
        Refusal::new("too-many-recipients", 452, (4, 5, 3), "Too many recipients in one transaction", Then::GoOn)
    }

    pub(super) fn too_many_errors() -> Refusal {
        Refusal::new("too-many-errors", 421, (4, 7, 0), "Too many errors", Then::Close)
    }

    /// RFC 5321 §4.5.3.2.7, RFC 3463 X.4.2
    pub(super) fn too_slow() -> Refusal {
        Refusal::new("too-slow", 421, (4, 4, 2), "Timeout", Then::Close)
    }

    pub(super) fn session_over() -> Refusal {
        Refusal::new(
            "session-over",
            421,
            (4, 3, 2),
            "This connection has served long enough, open another",
            Then::Close,
        )
    }

    /// RFC 5321 §3.8: a server that must shut down.
    pub(super) fn draining() -> Refusal {
        Refusal::new("draining", 421, (4, 3, 2), "Going down, try again later", Then::Close)
    }

    pub(super) fn content(fault: Fault) -> Refusal {
        let (rule, code, enhanced, text) = match fault {
            Fault::BareCr => ("bare-cr", 554, (5, 6, 0), "A CR without LF in the message"),
            Fault::BareLf => ("bare-lf", 554, (5, 6, 0), "An LF without CR in the message"),
            Fault::Nul => ("nul", 554, (5, 6, 0), "A NUL in the message"),
            // RFC 6152 §3: the client did not declare it; RFC 3463 X.6.1: media not supported.
            Fault::EightBitBody => ("eight-bit", 554, (5, 6, 1), "8-bit data needs BODY=8BITMIME in MAIL FROM"),
            Fault::EightBitHeader => {
                ("eight-bit-header", 554, (5, 6, 7), "A non-ASCII header needs SMTPUTF8 or BODY=8BITMIME in MAIL FROM")
            }
            Fault::LongLine => ("long-line", 554, (5, 6, 0), "A line of the message is too long"),
            Fault::LongHeader => ("long-header", 552, (5, 3, 4), "The message's header section is too long"),
            Fault::TooBig => return Refusal::too_big(),
        };
        let then = if fault.breaks_framing() { Then::Close } else { Then::Count };
        Refusal::new(rule, code, enhanced, text, then)
    }
}
