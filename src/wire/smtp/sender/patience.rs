//! What a sender waits for, and how long (RFC 5321 §4.5.3.2).

use std::fmt;
use std::time::Duration;

/// What an outstanding reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The connection: its greeting.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA: the permission to send.
    Data,
    /// The whole message.
    Message,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Awaited::Greeting => "the connection",
            Awaited::Ehlo => "EHLO",
            Awaited::StartTls => "STARTTLS",
            Awaited::Auth => "AUTH",
            Awaited::Mail => "MAIL",
            Awaited::Rcpt => "RCPT",
            Awaited::Data => "DATA",
            Awaited::Message => "the message",
            Awaited::Reset => "RSET",
            Awaited::Quit => "QUIT",
        })
    }
}

/// How long replies may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The greeting, and the answers to EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET and QUIT (§4.5.3.2.1 to .3).
    pub command: Duration,
    /// The answer to DATA (§4.5.3.2.4).
    pub data: Duration,
    /// The answer to the whole message (§4.5.3.2.6): too short, and messages are doubled.
    pub message: Duration,
}

impl Patience {
    /// For the reply to this.
    pub fn of(&self, awaited: Awaited) -> Duration {
        match awaited {
            Awaited::Data => self.data,
            Awaited::Message => self.message,
            _ => self.command,
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self { command: minutes(5), data: minutes(2), message: minutes(10) }
    }
}
