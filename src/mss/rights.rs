//! What somebody may do in a mailbox that is not theirs alone (delegation, MSSanté §4).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One right of an access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// See folders and messages.
    Read,
    /// File, flag, move and delete messages, and make folders.
    Write,
    /// Send in the mailbox's name.
    Send,
    /// Say who else may do what.
    Manage,
}

impl Right {
    /// Every right, in the order in which they are written.
    pub const ALL: [Right; 4] = [Right::Read, Right::Write, Right::Send, Right::Manage];

    /// Its name in the API, on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Write => "write",
            Right::Send => "send",
            Right::Manage => "manage",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A text that is no right's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no right: expected read, write, send or manage")]
pub struct UnknownRight(pub String);

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Right::ALL.into_iter().find(|right| right.name() == text).ok_or_else(|| UnknownRight(text.to_owned()))
    }
}

/// A set of rights. Who may write or manage may read: nobody files what they may not see. Sending stands alone, so that
/// software may send in a mailbox's name that it cannot open.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);

    /// All of them: the holder's.
    pub fn all() -> Rights {
        Right::ALL.into_iter().collect()
    }

    /// Whether a right is in it.
    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub fn and(self, others: Rights) -> Rights {
        Rights(self.0 | others.0)
    }

    /// The rights in it, in the order of [`Right::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        let bits = rights.into_iter().fold(0, |bits, right| bits | right.bit());
        let reads = bits & (Right::Write.bit() | Right::Manage.bit()) != 0;
        Rights(if reads { bits | Right::Read.bit() } else { bits })
    }
}

/// `read, write`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Right::name).collect();
        f.pad(&names.join(", "))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_or_manage_may_read_and_who_may_send_need_not() {
        for (given, shown) in [
            (vec![Right::Write], "read, write"),
            (vec![Right::Manage], "read, manage"),
            (vec![Right::Send], "send"),
            (vec![Right::Send, Right::Read], "read, send"),
            (vec![], ""),
        ] {
            assert_eq!(given.into_iter().collect::<Rights>().to_string(), shown);
        }
        assert_eq!(Rights::all().to_string(), "read, write, send, manage");
    }

    #[test]
    fn a_right_is_read_by_its_name_only() {
        for right in Right::ALL {
            assert_eq!(right.name().parse(), Ok(right));
        }
        assert_eq!("READ".parse::<Right>(), Err(UnknownRight("READ".into())));
    }
}
