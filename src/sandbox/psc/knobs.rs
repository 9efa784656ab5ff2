//! How the look-alike is made to fail: what a server that trusts it has to live with.

use serde::{Deserialize, Serialize};

/// The knobs, as `POST …/_sandbox/knobs` takes them; what is left out goes back to its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Knobs {
    /// Endpoints (the last part of their path: `introspect`, `certs` …) that `delay_ms`, `status`, `garbage` and `drop` are for;
    /// empty: all.
    pub(super) only: Vec<String>,
    /// Every answer waits so long.
    pub(super) delay_ms: u64,
    /// Answers with this status in place of what it would say.
    pub(super) status: Option<u16>,
    /// Answers with something that is no JSON.
    pub(super) garbage: bool,
    /// Closes the connection in place of an answer.
    pub(super) drop: bool,
    /// Tokens are signed with a key that nobody publishes.
    pub(super) wrong_signature: bool,
    /// Tokens are made that have expired an hour ago.
    pub(super) expired: bool,
    /// Introspection calls every token inactive, and userinfo refuses it.
    pub(super) inactive: bool,
    /// Tokens and introspection leave the national id to userinfo.
    pub(super) no_national_id: bool,
    /// `acr` of the tokens.
    pub(super) acr: String,
    /// Tokens are bound to the client certificate with this thumbprint (RFC 8705: base64url of the SHA-256 of its DER).
    pub(super) bound_to: Option<String>,
    /// Life of an access token in seconds.
    pub(super) access_seconds: i64,
    /// How long the phone of a CIBA login lies on the table before its holder agrees.
    pub(super) ciba_ms: u64,
    /// The holder of the phone does not agree.
    pub(super) ciba_refused: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            delay_ms: 0,
            status: None,
            garbage: false,
            drop: false,
            wrong_signature: false,
            expired: false,
            inactive: false,
            no_national_id: false,
            acr: "eidas1".to_owned(),
            bound_to: None,
            access_seconds: 120,
            ciba_ms: 1000,
            ciba_refused: false,
        }
    }
}

impl Knobs {
    /// Whether an endpoint is one of those that fail.
    pub(super) fn concern(&self, path: &str) -> bool {
        let last = path.rsplit('/').next().unwrap_or_default();
        self.only.is_empty() || self.only.iter().any(|name| name == last)
    }
}
