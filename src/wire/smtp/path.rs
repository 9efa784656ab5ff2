//! Mailboxes as the SMTP envelope writes them: `<local@domain>`, `<>`, `<postmaster>`.
//!
//! RFC 5321 §4.1.2 for the grammar, RFC 6531 §3.3 for UTF-8 in it.

use std::fmt;

/// The longest local part in octets. RFC 5321 §4.5.3.1.1.
pub const MAX_LOCAL: usize = 64;
/// The longest domain in octets. RFC 5321 §4.5.3.1.2.
pub const MAX_DOMAIN: usize = 255;
/// The longest path in octets, brackets included. RFC 5321 §4.5.3.1.3.
pub const MAX_PATH: usize = 256;

/// A mailbox of the envelope. The local part is kept without quotes and escapes; [`fmt::Display`] puts them back where
/// they are needed, so two spellings of one mailbox are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: String,
    domain: String,
}

impl Mailbox {
    /// The local part, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain as it was written, or an address literal with its brackets.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether the mailbox can be named without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// Reads `local@domain`, without brackets around it.
    ///
    /// # Errors
    /// When it does not follow the grammar or exceeds a limit.
    pub fn parse(text: &str) -> Result<Mailbox, PathError> {
        let (local, rest) = local_part(text)?;
        let domain = rest.strip_prefix('@').ok_or(PathError::NoDomain)?;
        check_domain(domain)?;
        Ok(Mailbox { local, domain: domain.to_owned() })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_local(&self.local, f)?;
        write!(f, "@{}", self.domain)
    }
}

fn write_local(local: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_dot_string(local) {
        return f.write_str(local);
    }
    f.write_str("\"")?;
    for c in local.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

/// What `MAIL FROM:` names: a mailbox, or nobody (`<>`, the sender of reports; RFC 5321 §4.5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`
    Null,
    /// `<local@domain>`
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// What `RCPT TO:` names: a mailbox, or the postmaster without a domain (RFC 5321 §4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>`, in any case.
    Postmaster,
    /// `<local@domain>`
    Mailbox(Mailbox),
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<postmaster>"),
            ForwardPath::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Why a path was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `<` at its start, or no `>` at its end.
    #[error("the address must stand in angle brackets")]
    NoBrackets,
    /// The local part does not follow the grammar.
    #[error("the local part is malformed")]
    Local,
    /// There is no `@`.
    #[error("the domain is missing")]
    NoDomain,
    /// The domain does not follow the grammar.
    #[error("the domain is malformed")]
    Domain,
    /// Beyond a limit of RFC 5321 §4.5.3.1.
    #[error("the address is too long")]
    TooLong,
}

/// Reads a reverse path off the front of `text`; gives it and what follows.
///
/// # Errors
/// When it does not follow the grammar or exceeds a limit.
pub fn reverse_path(text: &str) -> Result<(ReversePath, &str), PathError> {
    let (inner, rest) = bracketed(text)?;
    if inner.is_empty() {
        return Ok((ReversePath::Null, rest));
    }
    Ok((ReversePath::Mailbox(Mailbox::parse(without_route(inner)?)?), rest))
}

/// Reads a forward path off the front of `text`; gives it and what follows.
///
/// # Errors
/// When it does not follow the grammar or exceeds a limit.
pub fn forward_path(text: &str) -> Result<(ForwardPath, &str), PathError> {
    let (inner, rest) = bracketed(text)?;
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok((ForwardPath::Postmaster, rest));
    }
    Ok((ForwardPath::Mailbox(Mailbox::parse(without_route(inner)?)?), rest))
}

/// `<inner>rest`; a `>` inside of a quoted string does not count.
fn bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let text = text.strip_prefix('<').ok_or(PathError::NoBrackets)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let within_limit = at + 2 <= MAX_PATH;
                return if within_limit { Ok((&text[..at], &text[at + 1..])) } else { Err(PathError::TooLong) };
            }
            _ => {}
        }
    }
    Err(PathError::NoBrackets)
}

/// Drops a source route `@a,@b:`. RFC 5321 §4.1.1.3: must be recognised, should be ignored.
fn without_route(inner: &str) -> Result<&str, PathError> {
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let (route, mailbox) = inner.split_once(':').ok_or(PathError::Local)?;
    for hop in route.split(',') {
        check_domain(hop.strip_prefix('@').ok_or(PathError::Domain)?)?;
    }
    Ok(mailbox)
}

/// The local part, unquoted, and what follows it.
fn local_part(text: &str) -> Result<(String, &str), PathError> {
    let (local, rest) = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = text.find('@').ok_or(PathError::NoDomain)?;
            (text[..end].to_owned(), &text[end..])
        }
    };
    let quoted = text.starts_with('"');
    if local.len() > MAX_LOCAL {
        return Err(PathError::TooLong);
    }
    if quoted || is_dot_string(&local) { Ok((local, rest)) } else { Err(PathError::Local) }
}

/// The content of a quoted string whose opening quote is gone, and what follows the closing one.
fn unquote(text: &str) -> Result<(String, &str), PathError> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if content.is_empty() => return Err(PathError::Local),
            '"' => return Ok((content, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => content.push(c),
                _ => return Err(PathError::Local),
            },
            c if c.is_control() => return Err(PathError::Local),
            c => content.push(c),
        }
    }
    Err(PathError::Local)
}

/// RFC 5321 §4.1.2 `Dot-string`, with RFC 6531 §3.3's UTF-8.
fn is_dot_string(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_printable_beyond_ascii(c)
}

fn is_printable_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// RFC 5321 §4.1.2 `Domain` or `address-literal`, with RFC 6531 §3.3's U-labels.
fn check_domain(domain: &str) -> Result<(), PathError> {
    if domain.len() > MAX_DOMAIN {
        return Err(PathError::TooLong);
    }
    let literal = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']'));
    let well_formed = match literal {
        Some(inner) => !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b)),
        None => domain.split('.').all(is_label),
    };
    if well_formed { Ok(()) } else { Err(PathError::Domain) }
}

fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || is_printable_beyond_ascii(c);
    !label.is_empty()
        && label.chars().count() <= 63
        && label.chars().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_mailboxes_are_read() {
        for text in
            ["a@b", "anne.roux@aura.mssante.example", "x+y=z@a-b.example", "jérôme@hôpital.example", "a@[127.0.0.1]"]
        {
            assert_eq!(Mailbox::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn quotes_are_dropped_and_put_back_where_needed() {
        let plain = Mailbox::parse("\"anne.roux\"@a.example").unwrap();
        assert_eq!(plain, Mailbox::parse("anne.roux@a.example").unwrap());
        let odd = Mailbox::parse(r#""a \"b\" @>c"@a.example"#).unwrap();
        assert_eq!(odd.local(), r#"a "b" @>c"#);
        assert_eq!(odd.to_string(), r#""a \"b\" @>c"@a.example"#);
        assert_eq!(Mailbox::parse(&odd.to_string()).unwrap(), odd);
    }

    #[test]
    fn malformed_mailboxes_are_refused() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a..b@c",
            ".a@c",
            "a.@c",
            "a b@c",
            "a@b c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@.b",
            "a@b@c",
            "\"\"@b",
            "\"a@b",
            "a\"b@c",
            "a@[",
            "a@[]",
            "a@[x\"]",
            "a\u{7f}@b",
            "a@b\u{a0}c",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let domain = format!("{}.example", "d".repeat(63));
        assert!(Mailbox::parse(&format!("{}@b", "l".repeat(64))).is_ok());
        assert_eq!(Mailbox::parse(&format!("{}@b", "l".repeat(65))), Err(PathError::TooLong));
        assert!(Mailbox::parse(&format!("a@{domain}")).is_ok());
        assert!(Mailbox::parse(&format!("a@d{domain}")).is_err());
        assert_eq!(reverse_path(&format!("<a@{}>", "d.".repeat(130))), Err(PathError::TooLong));
    }

    #[test]
    fn a_source_route_is_recognised_and_ignored() {
        let (path, rest) = forward_path("<@a.example,@b.example:c@d.example> NOTIFY=NEVER").unwrap();
        assert_eq!(path.to_string(), "<c@d.example>");
        assert_eq!(rest, " NOTIFY=NEVER");
        assert!(forward_path("<@a.example,b.example:c@d.example>").is_err());
        assert!(forward_path("<@a.example>").is_err());
    }

    #[test]
    fn special_paths_are_read() {
        assert_eq!(reverse_path("<> SIZE=1").unwrap(), (ReversePath::Null, " SIZE=1"));
        assert_eq!(forward_path("<PostMaster>").unwrap(), (ForwardPath::Postmaster, ""));
        assert!(forward_path("<>").is_err());
        assert!(reverse_path("a@b").is_err());
        assert!(reverse_path("<a@b").is_err());
    }
}
