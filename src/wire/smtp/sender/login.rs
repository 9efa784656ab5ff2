//! Logging in to a relay: AUTH PLAIN with an initial response (RFC 4954 §4, RFC 4616 §2).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// Who logs in, and with what. It shows in no log, and is said over TLS only.
#[derive(Clone)]
pub struct Login(Zeroizing<String>);

impl Login {
    /// A name and its password.
    pub fn new(user: &str, password: &str) -> Self {
        let message = Zeroizing::new(format!("\0{user}\0{password}"));
        Self(Zeroizing::new(BASE64_STANDARD.encode(message.as_bytes())))
    }

    /// The command that says it.
    pub(super) fn command(&self) -> String {
        format!("AUTH PLAIN {}\r\n", self.0.as_str())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login([redacted])")
    }
}
