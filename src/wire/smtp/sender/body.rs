//! A message on its way out by DATA: dots are doubled, and what could be read as another message is not sent.

/// Why a message cannot be sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than announced.
    #[error("the message is longer than announced")]
    Longer,
    /// Fewer bytes than announced.
    #[error("the message is shorter than announced")]
    Shorter,
    /// A CR without an LF, or an LF without a CR: servers disagree about what that is (SMTP smuggling).
    #[error("the message has a line end that is not CRLF")]
    BareLineEnd,
}

/// RFC 5321 §4.5.2: a line that begins with a dot gets another one.
#[derive(Debug)]
pub(super) struct DotStuffing {
    /// At the beginning of a line.
    line_start: bool,
    /// The last octet was a CR.
    after_cr: bool,
}

impl Default for DotStuffing {
    fn default() -> Self {
        Self { line_start: true, after_cr: false }
    }
}

impl DotStuffing {
    /// A piece as it goes on the wire. Pieces may be cut anywhere.
    pub(super) fn stuff(&mut self, piece: &[u8]) -> Result<Vec<u8>, BodyError> {
        let mut out = Vec::with_capacity(piece.len() + piece.len() / 64 + 1);
        for &octet in piece {
            // A CR must be followed by an LF, and an LF must follow a CR.
            if self.after_cr != (octet == b'\n') {
                return Err(BodyError::BareLineEnd);
            }
            if self.line_start && octet == b'.' {
                out.push(b'.');
            }
            out.push(octet);
            self.line_start = octet == b'\n';
            self.after_cr = octet == b'\r';
        }
        Ok(out)
    }

    /// The end of the message: a dot on a line of its own. A last line without its CRLF gets one, since the dot needs it.
    pub(super) fn end(&mut self) -> Result<Vec<u8>, BodyError> {
        match (self.after_cr, self.line_start) {
            (true, _) => Err(BodyError::BareLineEnd),
            (false, true) => Ok(b".\r\n".to_vec()),
            (false, false) => Ok(b"\r\n.\r\n".to_vec()),
        }
    }
}
