//! Who may administer: told by the kernel, not by the peer.
//!
//! The credentials of the process at the other end (SO_PEERCRED, unix(7)) are those it had when it connected. Root and the server's own
//! user may always come in; others by their user id or by their effective group id, as the configuration says.

use std::collections::BTreeSet;
use std::io;

use tokio::net::UnixStream;

/// Those who may use the administration socket.
#[derive(Clone, Debug)]
pub struct Allowed {
    own: u32,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl Allowed {
    /// Root, the user this process runs as, and those named. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel does not tell this process's own user.
    pub fn new(uids: &[u32], gids: &[u32]) -> io::Result<Self> {
        // A socket pair's peer is this process: the one way to the own user id that needs neither libc nor /proc.
        let (one, _other) = UnixStream::pair()?;
        let own = one.peer_cred()?.uid();
        Ok(Self { own, uids: uids.iter().copied().collect(), gids: gids.iter().copied().collect() })
    }

    /// The user this process runs as.
    pub fn own_uid(&self) -> u32 {
        self.own
    }

    /// Whether nobody but root and the owner may come in.
    pub fn only_owner(&self) -> bool {
        self.gids.is_empty() && self.uids.iter().all(|&uid| uid == 0 || uid == self.own)
    }

    /// The one group that may come in, if the rest is root and the owner.
    pub fn sole_group(&self) -> Option<u32> {
        let owner_else = self.uids.iter().all(|&uid| uid == 0 || uid == self.own);
        self.gids.first().copied().filter(|_| owner_else && self.gids.len() == 1)
    }

    /// Whether `caller` may come in.
    pub fn permits(&self, caller: &Caller) -> bool {
        caller.uid == 0 || caller.uid == self.own || self.uids.contains(&caller.uid) || self.gids.contains(&caller.gid)
    }
}

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its process id, 0 if the kernel does not tell.
    pub pid: i32,
}

impl Caller {
    /// Who is at the other end of `stream`.
    ///
    /// # Errors
    /// What the kernel says; such a connection must be closed.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(own: u32, uids: &[u32], gids: &[u32]) -> Allowed {
        Allowed { own, uids: uids.iter().copied().collect(), gids: gids.iter().copied().collect() }
    }

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller { uid, gid, pid: 1 }
    }

    #[test]
    fn root_and_the_owner_always_may() {
        let allowed = allowed(990, &[], &[]);
        assert!(allowed.permits(&caller(0, 0)));
        assert!(allowed.permits(&caller(990, 990)));
        assert!(!allowed.permits(&caller(991, 990)));
    }

    #[test]
    fn others_may_by_user_or_group() {
        let allowed = allowed(990, &[1000], &[27]);
        assert!(allowed.permits(&caller(1000, 5)));
        assert!(allowed.permits(&caller(5, 27)));
        assert!(!allowed.permits(&caller(27, 1000)));
    }

    #[test]
    fn permissions_of_the_file_follow_from_who_may() {
        assert!(allowed(990, &[0, 990], &[]).only_owner());
        assert!(!allowed(990, &[1], &[]).only_owner());
        assert_eq!(allowed(990, &[0], &[27]).sole_group(), Some(27));
        assert_eq!(allowed(990, &[1], &[27]).sole_group(), None);
        assert_eq!(allowed(990, &[], &[27, 28]).sole_group(), None);
    }
}
