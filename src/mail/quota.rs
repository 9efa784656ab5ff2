//! Whether a mailbox has room (MSSanté §5: at the limit new mail is refused, on the first day for now, then for good).

use std::sync::Arc;

use crate::store::AccountId;

use super::room::now;
use super::work::Work;
use super::{MailError, MailRoom, Mailbox};

/// The answer to a message of a given size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It fits.
    Accept,
    /// Full since less than a day: `452 4.2.2`.
    Temporary,
    /// Full since longer: `552 5.2.2`.
    Permanent,
}

impl MailRoom {
    /// Whether a message of `size` bytes (0 when the sender did not say) may come to a mailbox now: asked at RCPT. Since
    /// when the mailbox has no room is written down at the first refusal.
    ///
    /// # Errors
    /// As [`MailRoom::open`], or what the store says.
    pub async fn admit(&self, account: AccountId, size: u64) -> Result<Admission, MailError> {
        admission(&self.open(account)?, size).await
    }
}

pub(super) async fn admission(mailbox: &Arc<Mailbox>, size: u64) -> Result<Admission, MailError> {
    let fits = |work: &Work| work.has_room() && work.has_room_for(size);
    // Most mailboxes have room: no lock is needed to say so, since the delivery asks again.
    let work = Work::begin(mailbox)?;
    if fits(&work) {
        return Ok(Admission::Accept);
    }
    let since = match work.usage().over_quota_since {
        Some(since) => since,
        None => {
            let full_since = |work: &mut Work| if fits(work) { None } else { Some(work.note_full()) };
            match mailbox.transact(|work, _| Ok(full_since(work))).await?.0 {
                None => return Ok(Admission::Accept),
                Some(since) => since,
            }
        }
    };
    let is_first_day = now() - since < mailbox.room().limits().full_grace;
    Ok(if is_first_day { Admission::Temporary } else { Admission::Permanent })
}
