//! What only this door refuses.

use crate::accounts::{Ending, LoginError};
use crate::mss::Address;
use crate::serve::login;
use crate::serve::smtp::Refused;

impl Refused {
    /// RFC 4954 §6: 535 for what will not do, 454 for what may later.
    pub(super) fn login(refused: &login::Refused) -> Refused {
        if matches!(refused, login::Refused::Login(LoginError::TooManySessions)) {
            return Refused::too_many_of_mailbox();
        }
        if refused.is_temporary() {
            return Refused::new("login-unavailable", 454, (4, 7, 0), refused.told());
        }
        Refused::new("login-refused", 535, (5, 7, 8), refused.told())
    }

    pub(super) fn too_many_logins() -> Refused {
        Refused::new("too-many-logins", 421, (4, 7, 0), "Too many failed logins")
    }

    fn too_many_of_mailbox() -> Refused {
        Refused::new("too-many-of-mailbox", 454, (4, 7, 0), "This mailbox has as many sessions as it may have")
    }

    /// RFC 3463 X.3.2: nothing of the client's doing; it may connect again and see.
    pub(super) fn session_ended(ending: Ending) -> Refused {
        Refused::new("session-ended", 421, (4, 3, 2), ending.told())
    }

    /// The engine asks for mail behind a login only; this is for a mailbox that was closed since, or a mistake in between.
    pub(super) fn not_logged_in() -> Refused {
        Refused::new("not-logged-in", 530, (5, 7, 0), "Nobody is logged in, or the mailbox is gone")
    }

    /// RFC 6409 §6.1: the return path is one that the client may use.
    pub(super) fn sender_not_yours(address: &Address) -> Refused {
        Refused::new("sender-not-yours", 553, (5, 7, 1), format!("You may not send as {address}"))
    }

    /// RFC 6409 §6.1, for `From:` and `Sender:`.
    pub(super) fn header_not_yours(field: &str, address: &Address) -> Refused {
        Refused::new("header-not-yours", 550, (5, 7, 1), format!("You may not send as {address}, which {field} names"))
    }

    /// MSSanté §8: a patient's answer would be refused there.
    pub(super) fn reply_to_not_yours(address: &Address) -> Refused {
        let text = format!("A patient cannot answer to {address}, which Reply-To: names: you may not send as it");
        Refused::new("reply-to-not-yours", 550, (5, 7, 1), text)
    }

    /// MSSanté §8: 25 MB in all to a citizen.
    pub(super) fn citizen_too_big(most: u64) -> Refused {
        let text = format!("A message to a citizen may have at most {most} octets");
        Refused::new("citizen-too-big", 552, (5, 3, 4), text)
    }

    /// RFC 4865 §5.
    pub(super) fn hold_too_long() -> Refused {
        Refused::new("hold-too-long", 501, (5, 5, 4), "A message cannot be held back for so long here")
    }

    /// An own mailbox has its message with the 250: there is no queue between that could hold it back.
    pub(super) fn hold_local() -> Refused {
        let text = "A message held back (HOLDFOR, HOLDUNTIL) can only go to other operators' mailboxes";
        Refused::new("hold-local", 550, (5, 7, 1), text)
    }
}
