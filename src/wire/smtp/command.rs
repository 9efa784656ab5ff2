//! A command line becomes a typed command. No state, no effect: what may come when is [`super::receiver`]'s to say.
//!
//! RFC 5321 §4.1; RFC 3207 (STARTTLS), RFC 3030 (BDAT), RFC 4954 (AUTH).

use super::params::{Extensions, MailParams, ParamError, RcptParams};
use super::path::{self, ForwardPath, PathError, ReversePath};
use super::reply::Reply;
use crate::wire::sasl::Secret;

/// `MAIL FROM:<path> parameters`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    /// Who gets reports about this message.
    pub path: ReversePath,
    /// What follows the path.
    pub params: MailParams,
}

/// `RCPT TO:<path> parameters`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptTo {
    /// Who gets this message.
    pub path: ForwardPath,
    /// What follows the path.
    pub params: RcptParams,
}

/// A command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name` (RFC 5321 §4.1.1.1)
    Ehlo(String),
    /// `HELO name` (RFC 5321 §4.1.1.1)
    Helo(String),
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH mechanism [initial response]` (RFC 4954)
    Auth {
        /// In upper case.
        mechanism: String,
        /// Base64 as it came; `=` is an empty response.
        initial: Option<Secret>,
    },
    /// `MAIL` (RFC 5321 §4.1.1.2)
    Mail(MailFrom),
    /// `RCPT` (RFC 5321 §4.1.1.3)
    Rcpt(RcptTo),
    /// `DATA` (RFC 5321 §4.1.1.4)
    Data,
    /// `BDAT size [LAST]` (RFC 3030 §2)
    Bdat {
        /// Octets that follow.
        size: u64,
        /// Whether the message ends with them.
        last: bool,
    },
    /// `RSET` (RFC 5321 §4.1.1.5)
    Rset,
    /// `VRFY string` (RFC 5321 §4.1.1.6)
    Vrfy,
    /// `EXPN string` (RFC 5321 §4.1.1.7)
    Expn,
    /// `HELP [string]` (RFC 5321 §4.1.1.8)
    Help,
    /// `NOOP [string]` (RFC 5321 §4.1.1.9)
    Noop,
    /// `QUIT` (RFC 5321 §4.1.1.10)
    Quit,
}

/// The verbs that are understood. What is known of each stands in one table, [`super::receiver`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the verb of its name")]
pub enum Verb {
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Vrfy,
    Expn,
    Help,
    Noop,
    Quit,
}

impl Verb {
    /// The verb at the start of a line, in any case, up to the first space.
    pub fn of(line: &str) -> Option<Verb> {
        let word = line.split(' ').next().unwrap_or_default();
        NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, verb)| *verb)
    }

    /// The verb's name, in upper case.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }
}

const NAMES: &[(&str, Verb)] = &[
    ("EHLO", Verb::Ehlo),
    ("HELO", Verb::Helo),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("NOOP", Verb::Noop),
    ("QUIT", Verb::Quit),
];

/// Why a known verb's line was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command takes nothing after its verb, or other things than it was given.
    #[error("Syntax: {0}")]
    Syntax(&'static str),
    /// The sender's address is malformed.
    #[error("Bad sender address: {0}")]
    Sender(PathError),
    /// The recipient's address is malformed.
    #[error("Bad recipient address: {0}")]
    Recipient(PathError),
    /// A parameter is malformed, repeated or unknown.
    #[error("Bad parameter: {0}")]
    Param(ParamError),
}

impl CommandError {
    /// The reply that says so. RFC 5321 §4.2.4 for 501 and 555, RFC 3463 for the enhanced codes.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            CommandError::Syntax(_) => (501, (5, 5, 4)),
            CommandError::Sender(_) => (501, (5, 1, 7)),
            CommandError::Recipient(_) => (501, (5, 1, 3)),
            CommandError::Param(ParamError::Unknown(_)) => (555, (5, 5, 4)),
            CommandError::Param(_) => (501, (5, 5, 4)),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

impl Command {
    /// Reads a line, without its CRLF, whose verb is `verb`. `extensions`: what was announced beside the rest.
    ///
    /// # Errors
    /// When what follows the verb is not as its RFC says.
    pub fn parse(verb: Verb, line: &str, extensions: Extensions) -> Result<Command, CommandError> {
        let rest = line.get(verb.name().len()..).unwrap_or_default();
        match verb {
            Verb::Ehlo => greeting_name(rest, "EHLO name").map(Command::Ehlo),
            Verb::Helo => greeting_name(rest, "HELO name").map(Command::Helo),
            Verb::StartTls => alone(rest, Command::StartTls, "STARTTLS"),
            Verb::Auth => auth(rest),
            Verb::Mail => mail(rest, extensions),
            Verb::Rcpt => rcpt(rest),
            Verb::Data => alone(rest, Command::Data, "DATA"),
            Verb::Bdat => bdat(rest),
            Verb::Rset => alone(rest, Command::Rset, "RSET"),
            Verb::Quit => alone(rest, Command::Quit, "QUIT"),
            Verb::Vrfy => Ok(Command::Vrfy),
            Verb::Expn => Ok(Command::Expn),
            Verb::Help => Ok(Command::Help),
            Verb::Noop => Ok(Command::Noop),
        }
    }
}

/// Nothing may follow but spaces, which RFC 5321 §4.1.1 asks to tolerate.
fn alone(rest: &str, command: Command, usage: &'static str) -> Result<Command, CommandError> {
    if rest.trim_matches(' ').is_empty() { Ok(command) } else { Err(CommandError::Syntax(usage)) }
}

/// One word of printable ASCII that can stand in a `Received:` field as it is. Stricter would be of no use: the name is
/// never relied on (RFC 5321 §4.1.4), and real clients send underscores and names without a dot.
fn greeting_name(rest: &str, usage: &'static str) -> Result<String, CommandError> {
    let name = rest.trim_matches(' ');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if name.is_empty() || name.len() > path::MAX_DOMAIN || !name.bytes().all(allowed) {
        return Err(CommandError::Syntax(usage));
    }
    Ok(name.to_owned())
}

fn auth(rest: &str) -> Result<Command, CommandError> {
    const USAGE: &str = "AUTH mechanism [initial-response]";
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(CommandError::Syntax(USAGE));
    };
    let is_name = mechanism.len() <= 20 && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_name {
        return Err(CommandError::Syntax(USAGE));
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial: initial.map(Secret::new) })
}

fn mail(rest: &str, extensions: Extensions) -> Result<Command, CommandError> {
    let rest = after_word(rest, "FROM:").ok_or(CommandError::Syntax("MAIL FROM:<address> [parameters]"))?;
    let (path, rest) = path::reverse_path(rest).map_err(CommandError::Sender)?;
    let params = MailParams::parse(rest, extensions).map_err(CommandError::Param)?;
    Ok(Command::Mail(MailFrom { path, params }))
}

fn rcpt(rest: &str) -> Result<Command, CommandError> {
    let rest = after_word(rest, "TO:").ok_or(CommandError::Syntax("RCPT TO:<address> [parameters]"))?;
    let (path, rest) = path::forward_path(rest).map_err(CommandError::Recipient)?;
    let params = RcptParams::parse(rest).map_err(CommandError::Param)?;
    Ok(Command::Rcpt(RcptTo { path, params }))
}

/// What follows ` WORD`, in any case. A space after the colon is against RFC 5321 §4.1.1.2 but sent by some clients, and
/// leaves no doubt.
fn after_word<'a>(rest: &'a str, word: &str) -> Option<&'a str> {
    let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let (head, tail) = rest.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then(|| tail.trim_start_matches(' '))
}

fn bdat(rest: &str) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Syntax("BDAT size [LAST]");
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let (Some(size), last, None) = (words.next(), words.next(), words.next()) else { return Err(USAGE) };
    // RFC 3030 §2: `chunk-size = 1*DIGIT`. A size that does not fit in 63 bits is no size.
    let digits = size.len() <= 18 && size.bytes().all(|b| b.is_ascii_digit());
    let last = match last {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(USAGE),
    };
    let size = size.parse().ok().filter(|_| digits).ok_or(USAGE)?;
    Ok(Command::Bdat { size, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::smtp::params::BodyKind;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(Verb::of(line).expect("a known verb"), line, Extensions::default())
    }

    #[test]
    fn verbs_are_known_in_any_case() {
        assert_eq!(Verb::of("eHlO x"), Some(Verb::Ehlo));
        assert_eq!(Verb::of("MAIL FROM:<>"), Some(Verb::Mail));
        assert_eq!(Verb::of("MAILFROM:<>"), None);
        assert_eq!(Verb::of(""), None);
        assert_eq!(Verb::of("ETRN x"), None);
        assert_eq!(Verb::of("TURN"), None);
    }

    #[test]
    fn an_envelope_is_read() {
        let Ok(Command::Mail(mail)) = parse("mail from:<a@b.example> BODY=8BITMIME SIZE=12") else { panic!() };
        assert_eq!((mail.path.to_string().as_str(), mail.params.body), ("<a@b.example>", BodyKind::EightBitMime));
        let Ok(Command::Mail(mail)) = parse("MAIL FROM: <>") else { panic!() };
        assert_eq!(mail.path, ReversePath::Null);
        let Ok(Command::Rcpt(rcpt)) = parse("RCPT TO:<c@d.example> NOTIFY=NEVER") else { panic!() };
        assert_eq!(rcpt.path.to_string(), "<c@d.example>");
    }

    #[test]
    fn bdat_takes_a_size_and_perhaps_last() {
        assert_eq!(parse("BDAT 0 last"), Ok(Command::Bdat { size: 0, last: true }));
        assert_eq!(parse("BDAT 86000"), Ok(Command::Bdat { size: 86000, last: false }));
        for line in ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1 LAST LAST", "BDAT 9999999999999999999"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn each_error_has_its_code() {
        for (line, wanted) in [
            ("EHLO", "501 5.5.4"),
            ("EHLO a b", "501 5.5.4"),
            ("EHLO a(b)", "501 5.5.4"),
            ("DATA now", "501 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL TO:<a@b>", "501 5.5.4"),
            ("MAIL FROM:a@b", "501 5.1.7"),
            ("RCPT TO:<a b@c>", "501 5.1.3"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("MAIL FROM:<a@b> X=1", "555 5.5.4"),
            ("MAIL FROM:<a@b>SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4"),
            ("AUTH", "501 5.5.4"),
        ] {
            let reply = parse(line).expect_err(line).reply().to_string();
            assert!(reply.starts_with(wanted), "{line}: {reply}");
        }
    }
}
