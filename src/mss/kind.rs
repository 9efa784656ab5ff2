//! What a mailbox (boîte aux lettres, BAL) is, and the state it is in. MSSanté §4.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kind of a mailbox. It never changes after creation (MSSanté §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// `PER`: personal, bound to one professional, who alone opens it.
    Per,
    /// `ORG`: organisational, bound to a structure, opened by the persons on its access list.
    Org,
    /// `APP`: application, bound to a structure, opened by software with a client certificate.
    App,
    /// `CAB`: practice (cabinet), bound to a professional and shared by those on its access list.
    Cab,
}

impl Kind {
    /// Every kind, in the order of the national code table.
    pub const ALL: [Kind; 4] = [Kind::Per, Kind::Org, Kind::App, Kind::Cab];

    /// The national code: `PER`, `ORG`, `APP` or `CAB`.
    pub fn code(self) -> &'static str {
        match self {
            Kind::Per => "PER",
            Kind::Org => "ORG",
            Kind::App => "APP",
            Kind::Cab => "CAB",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A text that names no mailbox kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no mailbox kind (PER, ORG, APP or CAB)")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.code().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownKind(text.into()))
    }
}

/// The state of a mailbox's life (MSSanté §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailboxState {
    /// Receives and opens.
    Open,
    /// Accepts nothing and opens for nobody; nothing is lost.
    Suspended,
    /// Its content is gone for good, its address is never given to someone else.
    Closed,
}

impl MailboxState {
    /// Every state.
    pub const ALL: [MailboxState; 3] = [MailboxState::Open, MailboxState::Suspended, MailboxState::Closed];

    /// `open`, `suspended` or `closed`.
    pub fn name(self) -> &'static str {
        match self {
            MailboxState::Open => "open",
            MailboxState::Suspended => "suspended",
            MailboxState::Closed => "closed",
        }
    }
}

impl fmt::Display for MailboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
