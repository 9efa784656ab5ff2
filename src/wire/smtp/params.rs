//! What `MAIL` and `RCPT` carry after the path: SIZE, BODY, SMTPUTF8, and the DSN parameters.
//!
//! RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3461 (DSN; xtext), RFC 6533 §3 (utf-8 addresses in
//! ORCPT); of submission RFC 4954 §5 (AUTH) and RFC 4865 (FUTURERELEASE). A parameter given twice is an error, and so is
//! one that was never announced (RFC 5321 §4.1.1.11): what a door announces beside the rest is [`Extensions`]'s to say.

use std::fmt::{self, Write as _};

/// What the client says about the message's bytes. RFC 6152 §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// `BODY=7BIT`, and the default.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`: octets above 127 may occur.
    EightBitMime,
}

/// How much of the message a failure report gives back. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// `RET=FULL`
    Full,
    /// `RET=HDRS`
    Headers,
}

/// What a door announces beside what every door does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `AUTH` (RFC 4954): `MAIL` may carry `AUTH=`.
    pub auth: bool,
    /// `FUTURERELEASE` (RFC 4865): `MAIL` may carry `HOLDFOR=` or `HOLDUNTIL=`.
    pub future_release: bool,
}

/// How long the sender wants a message held back. RFC 4865 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `HOLDFOR=`: so many seconds.
    For(u64),
    /// `HOLDUNTIL=`: up to this moment, Unix seconds.
    Until(i64),
}

/// The parameters of `MAIL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParams {
    /// Octets the message will have, as the client declares it. RFC 1870 §4.
    pub size: Option<u64>,
    /// 7BIT or 8BITMIME.
    pub body: BodyKind,
    /// Addresses and header fields may be in UTF-8.
    pub smtp_utf8: bool,
    /// How much a failure report gives back.
    pub ret: Option<Return>,
    /// The sender's own identifier of this transaction, decoded. RFC 3461 §4.4.
    pub envelope_id: Option<String>,
    /// Not to be sent before. RFC 4865 §5.
    pub hold: Option<Hold>,
}

/// When the sender wants a report about one recipient. RFC 3461 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// `NOTIFY=NEVER`
    Never,
    /// Any of SUCCESS, FAILURE, DELAY; at least one.
    On {
        /// Report a delivery.
        success: bool,
        /// Report a failure.
        failure: bool,
        /// Report a delay.
        delay: bool,
    },
}

/// `ORCPT`: the recipient as the first sender wrote it. RFC 3461 §4.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// `rfc822`, `utf-8`, …, in lower case.
    pub address_type: String,
    /// The address, decoded.
    pub address: String,
}

/// The parameters of `RCPT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParams {
    /// When to report; absent means FAILURE and perhaps DELAY.
    pub notify: Option<Notify>,
    /// The recipient as the first sender wrote it.
    pub original: Option<OriginalRecipient>,
}

/// Why parameters were not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Not `KEY` or `KEY=value`, or a value that its key does not allow.
    #[error("the value of {0} is malformed")]
    Malformed(String),
    /// The same parameter twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// A parameter that this server did not announce.
    #[error("{0} is not known here")]
    Unknown(String),
}

impl MailParams {
    /// Reads what follows the path in `MAIL FROM:<…>`.
    ///
    /// # Errors
    /// Names the first parameter that is wrong.
    pub fn parse(text: &str, extensions: Extensions) -> Result<MailParams, ParamError> {
        let mut params = MailParams::default();
        let mut seen = Seen::default();
        for param in words(text)? {
            let malformed = || ParamError::Malformed(param.key.clone());
            seen.once(&param)?;
            match (param.key.as_str(), param.value) {
                ("SIZE", Some(value)) => params.size = Some(size(value).ok_or_else(malformed)?),
                ("BODY", Some(value)) => params.body = body(value).ok_or_else(malformed)?,
                ("SMTPUTF8", None) => params.smtp_utf8 = true,
                ("RET", Some(value)) => params.ret = Some(ret(value).ok_or_else(malformed)?),
                ("ENVID", Some(value)) => params.envelope_id = Some(envelope_id(value).ok_or_else(malformed)?),
                // RFC 4954 §5: who gave us the message is not told on; nobody here would believe it of a client.
                ("AUTH", Some(value)) if extensions.auth => drop(decode_xtext(value).ok_or_else(malformed)?),
                // RFC 4865 §5: one of the two, not both.
                ("HOLDFOR" | "HOLDUNTIL", Some(_)) if extensions.future_release && params.hold.is_some() => {
                    return Err(ParamError::Twice(param.key));
                }
                ("HOLDFOR", Some(value)) if extensions.future_release => {
                    params.hold = Some(hold_for(value).ok_or_else(malformed)?);
                }
                ("HOLDUNTIL", Some(value)) if extensions.future_release => {
                    params.hold = Some(hold_until(value).ok_or_else(malformed)?);
                }
                ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(malformed()),
                ("AUTH", None) if extensions.auth => return Err(malformed()),
                ("HOLDFOR" | "HOLDUNTIL", None) if extensions.future_release => return Err(malformed()),
                _ => return Err(ParamError::Unknown(param.key)),
            }
        }
        Ok(params)
    }
}

impl RcptParams {
    /// Reads what follows the path in `RCPT TO:<…>`.
    ///
    /// # Errors
    /// Names the first parameter that is wrong.
    pub fn parse(text: &str) -> Result<RcptParams, ParamError> {
        let mut params = RcptParams::default();
        let mut seen = Seen::default();
        for param in words(text)? {
            let malformed = || ParamError::Malformed(param.key.clone());
            seen.once(&param)?;
            match (param.key.as_str(), param.value) {
                ("NOTIFY", Some(value)) => params.notify = Some(notify(value).ok_or_else(malformed)?),
                ("ORCPT", Some(value)) => params.original = Some(original(value).ok_or_else(malformed)?),
                ("NOTIFY" | "ORCPT", None) => return Err(malformed()),
                _ => return Err(ParamError::Unknown(param.key)),
            }
        }
        Ok(params)
    }
}

struct Param<'a> {
    /// In upper case.
    key: String,
    value: Option<&'a str>,
}

#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn once(&mut self, param: &Param<'_>) -> Result<(), ParamError> {
        if self.0.contains(&param.key) {
            return Err(ParamError::Twice(param.key.clone()));
        }
        self.0.push(param.key.clone());
        Ok(())
    }
}

/// RFC 5321 §4.1.2: `esmtp-param = esmtp-keyword ["=" esmtp-value]`, separated by spaces.
fn words(text: &str) -> Result<Vec<Param<'_>>, ParamError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(ParamError::Malformed("the address".to_owned()));
    }
    text.split(' ').filter(|word| !word.is_empty()).map(word).collect()
}

fn word(word: &str) -> Result<Param<'_>, ParamError> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word, None),
    };
    let well_formed = key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && value.is_none_or(|v| !v.is_empty() && v.chars().all(|c| c > ' ' && c != '\u{7f}'));
    let key: String = key.chars().take(32).collect::<String>().to_ascii_uppercase();
    if well_formed { Ok(Param { key, value }) } else { Err(ParamError::Malformed(key)) }
}

/// RFC 1870 §4: `1*20DIGIT`. More than fits in 64 bits is as good as the largest.
fn size(value: &str) -> Option<u64> {
    let digits = value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Option<BodyKind> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(BodyKind::SevenBit),
        "8BITMIME" => Some(BodyKind::EightBitMime),
        _ => None,
    }
}

fn ret(value: &str) -> Option<Return> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full),
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

/// RFC 4865 §5: `future-release-interval = 1*9DIGIT`, in seconds.
fn hold_for(value: &str) -> Option<Hold> {
    let digits = (1..=9).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| digits).map(Hold::For)
}

/// RFC 4865 §5: a date-time of RFC 3339 §5.6.
fn hold_until(value: &str) -> Option<Hold> {
    let shape = (20..=35).contains(&value.len()) && value.as_bytes().get(10).is_some_and(|b| b"Tt".contains(b));
    let at: jiff::Timestamp = value.parse().ok().filter(|_| shape)?;
    Some(Hold::Until(at.as_second()))
}

/// RFC 3461 §4.4: xtext of printable characters, at most 100 of them.
fn envelope_id(value: &str) -> Option<String> {
    let decoded = decode_xtext(value)?;
    let printable = decoded.bytes().all(|b| (0x20..0x7f).contains(&b));
    (printable && decoded.len() <= 100).then_some(decoded)
}

fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for event in value.split(',') {
        let wanted = match event.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut success,
            "FAILURE" => &mut failure,
            "DELAY" => &mut delay,
            _ => return None,
        };
        *wanted = true;
    }
    Some(Notify::On { success, failure, delay })
}

/// RFC 3461 §4.2: characters of an `ORCPT` value. One that grows beyond by being written in ASCII is left out: it is a wish.
pub(super) const LONGEST_ORCPT: usize = 500;

/// RFC 3461 §4.2: `addr-type ";" xtext`.
fn original(value: &str) -> Option<OriginalRecipient> {
    let (address_type, address) = value.split_once(';')?;
    let is_atom = !address_type.is_empty() && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_atom || value.len() > LONGEST_ORCPT {
        return None;
    }
    let address_type = address_type.to_ascii_lowercase();
    let address = if address_type == "utf-8" { decode_utf8_xtext(address)? } else { decode_xtext(address)? };
    let clean = !address.is_empty() && !address.chars().any(char::is_control);
    clean.then_some(OriginalRecipient { address_type, address })
}

/// RFC 3461 §4: `+XX` (upper-case hexadecimal) stands for a byte; other characters from `!` to `~` but `=` for themselves.
/// Decoded bytes must be UTF-8.
pub fn decode_xtext(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => decoded.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 6533 §3 `utf-8-addr-xtext` and `utf-8-addr-unitext`: `\x{HEX}` stands for a character; UTF-8 stands for itself.
fn decode_utf8_xtext(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(&rest[..at]);
        let (point, after) = rest[at..].strip_prefix("\\x{")?.split_once('}')?;
        let plausible = (2..=6).contains(&point.len()) && point.bytes().all(|b| hex(b).is_some());
        decoded.push(char::from_u32(u32::from_str_radix(point, 16).ok().filter(|_| plausible)?)?);
        rest = after;
    }
    decoded.push_str(rest);
    let no_reserved = !rest.contains(['+', '=']) || !text.is_ascii();
    no_reserved.then_some(decoded)
}

/// As it stands behind `ORCPT=`: xtext, or for an address of type `utf-8` RFC 6533's form in ASCII, which every server reads.
impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.address_type)?;
        if self.address_type != "utf-8" {
            return f.write_str(&encode_xtext(&self.address));
        }
        self.address.chars().try_for_each(|c| match c {
            // RFC 6533 §3 QCHAR: what is printable but the three that begin something.
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => f.write_char(c),
            _ => write!(f, "\\x{{{:02X}}}", u32::from(c)),
        })
    }
}

/// Writes text as xtext (RFC 3461 §4).
pub fn encode_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' => out.push_str(&format!("+{byte:02X}")),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("+{byte:02X}")),
        }
    }
    out
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Notify::On { success, failure, delay } = *self else { return f.write_str("NEVER") };
        let events = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let named: Vec<&str> = events.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        f.write_str(&named.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_mail_are_read_in_any_case_and_order() {
        let params =
            MailParams::parse(" body=8bitmime SIZE=1234  smtputf8 RET=hdrs ENVID=QQ+2B314", Extensions::default())
                .unwrap();
        let wanted = MailParams {
            size: Some(1234),
            body: BodyKind::EightBitMime,
            smtp_utf8: true,
            ret: Some(Return::Headers),
            envelope_id: Some("QQ+314".to_owned()),
            hold: None,
        };
        assert_eq!(params, wanted);
        assert_eq!(MailParams::parse("", Extensions::default()).unwrap(), MailParams::default());
        assert_eq!(
            MailParams::parse(" SIZE=99999999999999999999", Extensions::default()).unwrap().size,
            Some(u64::MAX)
        );
    }

    #[test]
    fn wrong_parameters_of_mail_are_refused() {
        for text in [
            "SIZE=1",
            " SIZE",
            " SIZE=",
            " SIZE=-1",
            " SIZE=1a",
            " SIZE=111111111111111111111",
            " BODY=9BIT",
            " BODY",
            " BODY=BINARYMIME",
            " SMTPUTF8=1",
            " RET=ALL",
            " ENVID=a+2",
            " ENVID=+0A",
            " ENVID=a=b",
            " =1",
            " -A=1",
        ] {
            assert!(
                matches!(MailParams::parse(text, Extensions::default()), Err(ParamError::Malformed(_))),
                "{text:?}"
            );
        }
        assert_eq!(
            MailParams::parse(" SIZE=1 size=2", Extensions::default()),
            Err(ParamError::Twice("SIZE".to_owned()))
        );
        assert_eq!(MailParams::parse(" AUTH=<>", Extensions::default()), Err(ParamError::Unknown("AUTH".to_owned())));
    }

    #[test]
    fn the_parameters_of_rcpt_are_read() {
        let params = RcptParams::parse(" NOTIFY=success,DELAY ORCPT=rfc822;anne+2Broux@a.example").unwrap();
        assert_eq!(params.notify, Some(Notify::On { success: true, failure: false, delay: true }));
        let original = params.original.unwrap();
        assert_eq!((original.address_type.as_str(), original.address.as_str()), ("rfc822", "anne+roux@a.example"));
        assert_eq!(RcptParams::parse(" NOTIFY=never").unwrap().notify, Some(Notify::Never));
        let utf8 = RcptParams::parse(r" ORCPT=utf-8;j\x{E9}r\x{F4}me@a.example").unwrap().original.unwrap();
        assert_eq!(utf8.address, "jérôme@a.example");
    }

    #[test]
    fn wrong_parameters_of_rcpt_are_refused() {
        for text in [
            " NOTIFY=NEVER,SUCCESS",
            " NOTIFY=",
            " NOTIFY",
            " NOTIFY=,",
            " NOTIFY=MAYBE",
            " ORCPT=a@b",
            " ORCPT=;a",
            " ORCPT=rfc822;",
            " ORCPT=rfc822;a+0D+0Ab",
            " ORCPT=rfc822;a+zz",
            " ORCPT=utf-8;\\x{D800}",
            " ORCPT=utf-8;\\x{0A}",
            " ORCPT=utf-8;a+b",
        ] {
            assert!(RcptParams::parse(text).is_err(), "{text:?}");
        }
        assert!(RcptParams::parse(&format!(" ORCPT=rfc822;{}", "a".repeat(500))).is_err());
    }

    #[test]
    fn an_original_recipient_goes_there_and_back_in_the_form_of_its_type() {
        for (address_type, address, written) in [
            ("rfc822", "anne+roux@a.example", "rfc822;anne+2Broux@a.example"),
            ("x-local", "bureau 12\\", "x-local;bureau+2012\\"),
            ("utf-8", "Ren\u{e9}@a.example", r"utf-8;Ren\x{E9}@a.example"),
            ("utf-8", "a+b=c\\d e@a.example", r"utf-8;a\x{2B}b\x{3D}c\x{5C}d\x{20}e@a.example"),
            ("utf-8", "\u{10FFFF}@a.example", r"utf-8;\x{10FFFF}@a.example"),
        ] {
            let original = OriginalRecipient { address_type: address_type.into(), address: address.into() };
            assert_eq!(original.to_string(), written);
            assert_eq!(RcptParams::parse(&format!(" ORCPT={written}")).unwrap().original, Some(original));
        }
    }

    #[test]
    fn xtext_goes_there_and_back() {
        for text in ["", "plain", "a+b=c d", "é"] {
            assert_eq!(decode_xtext(&encode_xtext(text)).as_deref(), Some(text));
        }
        assert_eq!(encode_xtext("a+b=c d"), "a+2Bb+3Dc+20d");
    }

    #[test]
    fn what_is_not_announced_is_not_known() {
        let all = Extensions { auth: true, future_release: true };
        for param in ["AUTH=<>", "AUTH=a+40b.example", "HOLDFOR=60", "HOLDUNTIL=2026-11-25T16:00:00Z"] {
            let text = format!(" {param}");
            assert!(MailParams::parse(&text, all).is_ok(), "{param}");
            let unknown = MailParams::parse(&text, Extensions::default());
            assert!(matches!(unknown, Err(ParamError::Unknown(_))), "{param}: {unknown:?}");
        }
    }

    #[test]
    fn a_message_is_held_for_a_time_or_until_one() {
        let all = Extensions { auth: true, future_release: true };
        let hold = |text: &str| MailParams::parse(text, all).map(|params| params.hold);
        assert_eq!(hold(" HOLDFOR=86400"), Ok(Some(Hold::For(86_400))));
        assert_eq!(hold(" holduntil=1970-01-01T00:01:00Z"), Ok(Some(Hold::Until(60))));
        assert_eq!(hold(" HOLDUNTIL=1970-01-01T01:01:00+01:00"), Ok(Some(Hold::Until(60))));
        for bad in ["HOLDFOR", "HOLDFOR=1234567890", "HOLDFOR=-1", "HOLDUNTIL=tomorrow", "HOLDUNTIL=2026-11-25", "AUTH"]
        {
            assert!(matches!(hold(&format!(" {bad}")), Err(ParamError::Malformed(_))), "{bad}");
        }
        assert!(matches!(hold(" HOLDFOR=1 HOLDUNTIL=2026-11-25T16:00:00Z"), Err(ParamError::Twice(_))));
    }
}
