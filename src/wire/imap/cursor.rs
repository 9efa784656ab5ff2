//! Reads the tokens of RFC 3501 §9 from a framed command.

use std::borrow::Cow;

use super::framer::Framed;

/// Why a command was not understood. The text is fit for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A breach of the grammar; answered BAD.
    #[error("{0}")]
    Bad(Cow<'static, str>),
    /// SEARCH in a charset that we do not have; answered NO [BADCHARSET …], RFC 3501 §6.4.4.
    #[error("Charset not supported")]
    BadCharset,
    /// A folder name that is no modified UTF-7; answered NO [CANNOT], RFC 3501 §5.1.3.
    #[error("Folder name is not valid modified UTF-7: {0}")]
    BadName(super::utf7::Utf7Error),
}

impl ParseError {
    /// A breach of the grammar with a fixed reason.
    pub const fn bad(reason: &'static str) -> Self {
        ParseError::Bad(Cow::Borrowed(reason))
    }
}

/// A place in a framed command. All methods leave it unmoved when they fail to find an optional token.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    literals: &'a [std::ops::Range<usize>],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a command.
    pub fn new(framed: &'a Framed) -> Self {
        Cursor { bytes: &framed.bytes, literals: &framed.literals, at: 0 }
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Where this cursor is.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte, not taken.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// True when nothing is left.
    pub fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Takes `byte` if it comes next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `word`, compared without case, if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes `byte`, or says that `what` was expected.
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ParseError> {
        if self.eat(byte) { Ok(()) } else { Err(ParseError::bad(what)) }
    }

    /// Takes one space.
    pub fn space(&mut self) -> Result<(), ParseError> {
        self.expect(b' ', "Expected a space")
    }

    /// Fails when anything is left.
    pub fn end(&self) -> Result<(), ParseError> {
        if self.at_end() { Ok(()) } else { Err(ParseError::bad("Unexpected text at the end of the command")) }
    }

    /// Takes the longest run of bytes that `allowed` admits; may be empty.
    pub fn run(&mut self, allowed: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !allowed(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// `atom`: one or more ATOM-CHARs.
    pub fn atom(&mut self) -> Result<&'a str, ParseError> {
        let atom = self.run(is_atom_char);
        if atom.is_empty() {
            return Err(ParseError::bad("Expected an atom"));
        }
        text(atom)
    }

    /// `number`: 32 bits, RFC 3501 §9.
    pub fn number(&mut self) -> Result<u32, ParseError> {
        let number = self.number64()?;
        u32::try_from(number).map_err(|_| ParseError::bad("Number too great"))
    }

    /// `number64` of RFC 9051 and of RFC 7162's mod-sequences: 63 bits.
    pub fn number64(&mut self) -> Result<u64, ParseError> {
        let digits = text(self.run(|byte| byte.is_ascii_digit()))?;
        if digits.is_empty() {
            return Err(ParseError::bad("Expected a number"));
        }
        match digits.parse::<u64>() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(number),
            _ => Err(ParseError::bad("Number too great")),
        }
    }

    /// `nz-number`.
    pub fn nz_number(&mut self) -> Result<u32, ParseError> {
        match self.number()? {
            0 => Err(ParseError::bad("Expected a number greater than zero")),
            number => Ok(number),
        }
    }

    /// `string`: quoted or literal. `None` when neither comes next.
    pub fn string_opt(&mut self) -> Result<Option<Cow<'a, [u8]>>, ParseError> {
        match self.peek() {
            Some(b'"') => self.quoted().map(Some),
            Some(b'{') => self.literal().map(|literal| Some(Cow::Borrowed(literal))),
            _ => Ok(None),
        }
    }

    /// `string`.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, ParseError> {
        self.string_opt()?.ok_or(ParseError::bad("Expected a string"))
    }

    /// `nstring`: a string or NIL.
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, ParseError> {
        if let Some(string) = self.string_opt()? {
            return Ok(Some(string));
        }
        if self.eat_word("NIL") { Ok(None) } else { Err(ParseError::bad("Expected a string or NIL")) }
    }

    /// `astring`: ASTRING-CHARs or a string.
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>, ParseError> {
        self.string_or(is_astring_char, "Expected a string")
    }

    /// `list-mailbox`: list-chars (wildcards included) or a string.
    pub fn list_mailbox(&mut self) -> Result<Cow<'a, [u8]>, ParseError> {
        self.string_or(|byte| is_astring_char(byte) || matches!(byte, b'%' | b'*'), "Expected a folder pattern")
    }

    fn string_or(&mut self, bare: fn(u8) -> bool, what: &'static str) -> Result<Cow<'a, [u8]>, ParseError> {
        if let Some(string) = self.string_opt()? {
            return Ok(string);
        }
        match self.run(bare) {
            b"" => Err(ParseError::bad(what)),
            run => Ok(Cow::Borrowed(run)),
        }
    }

    /// `(item item …)` with at least `least` items, each read by `item`.
    pub fn list<T>(
        &mut self,
        least: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(b'(', "Expected an opening parenthesis")?;
        let mut items = Vec::new();
        if !self.eat(b')') {
            loop {
                items.push(item(self)?);
                if self.eat(b')') {
                    break;
                }
                self.expect(b' ', "Expected a space or a closing parenthesis")?;
            }
        }
        if items.len() < least {
            return Err(ParseError::bad("Empty list"));
        }
        Ok(items)
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, ParseError> {
        let start = self.at + 1;
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = start;
        loop {
            match self.bytes.get(at) {
                None | Some(b'\r' | b'\n' | 0) => return Err(ParseError::bad("Quoted string without an end")),
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some(escaped @ (b'"' | b'\\')) = self.bytes.get(at + 1) else {
                        return Err(ParseError::bad("Only \" and \\ are escaped in a quoted string"));
                    };
                    unescaped.get_or_insert_with(|| self.bytes[start..at].to_vec()).push(*escaped);
                    at += 2;
                }
                Some(&byte) => {
                    if let Some(unescaped) = &mut unescaped {
                        unescaped.push(byte);
                    }
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        Ok(unescaped.map_or_else(|| Cow::Borrowed(&self.bytes[start..at]), Cow::Owned))
    }

    fn literal(&mut self) -> Result<&'a [u8], ParseError> {
        let missing = ParseError::bad("A literal's length must end its line");
        let digits = self.bytes[self.at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut contents = self.at + 1 + digits;
        contents += usize::from(self.bytes.get(contents) == Some(&b'+'));
        if self.bytes.get(contents..contents + 3) != Some(b"}\r\n") {
            return Err(missing);
        }
        contents += 3;
        // Only what the framer took as a literal is one.
        let index = self.literals.binary_search_by_key(&contents, |range| range.start).map_err(|_| missing)?;
        let range = self.literals[index].clone();
        let literal = &self.bytes[range.clone()];
        if memchr::memchr(0, literal).is_some() {
            // RFC 3501 §9: CHAR8 is any octet but NUL.
            return Err(ParseError::bad("NUL in a literal"));
        }
        self.at = range.end;
        Ok(literal)
    }
}

/// `ATOM-CHAR`: any CHAR except atom-specials.
pub fn is_atom_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`: ATOM-CHAR or `]`.
pub fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

/// Bytes that must be UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(bytes).map_err(|_| ParseError::bad("Expected UTF-8"))
}
