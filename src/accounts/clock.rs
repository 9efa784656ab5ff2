//! Whether the clock is to be believed, where what goes by it cannot be taken back.
//!
//! A machine may come up years ahead, and be put right some minutes later: by then no mailbox may have been closed or forgotten
//! by that clock, and nothing that has to be kept for years been taken away. So the moment of each run of the mailboxes' lives is
//! kept, and where the clock is far ahead of the last one nothing goes by it until an administrator says that it is right.

use super::{AccountError, Registry};
use crate::store::{Batch, Meta, MetaKey, StoreError};

/// Seconds that may pass from one run to the next without a question: a server that is away for a month is not asked.
const LONGEST: i64 = 40 * 86_400;

const SECONDS_A_DAY: i64 = 86_400;

impl Registry {
    /// Whether what cannot be taken back may go by a clock that says `now`, Unix seconds.
    ///
    /// # Errors
    /// [`AccountError::ClockAhead`], or what the store says.
    pub fn check_clock(&self, now: i64) -> Result<(), AccountError> {
        let believed = match self.store().get::<Meta>(&MetaKey::Clock) {
            Ok(mark) => mark.map(|mark| mark.next),
            Err(error @ StoreError::Record { .. }) => {
                tracing::error!(%error, "when the clock was believed last does not read: it is believed now");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let ahead = believed.map_or(0, |last| now.saturating_sub(last.cast_signed()));
        if ahead > LONGEST { Err(AccountError::ClockAhead(ahead / SECONDS_A_DAY)) } else { Ok(()) }
    }

    /// Keeps that the clock was believed `now`, Unix seconds: one that is put back is, too.
    ///
    /// # Errors
    /// What the store says.
    pub async fn believe_clock(&self, now: i64) -> Result<(), AccountError> {
        let mut batch = Batch::new();
        batch.put(&MetaKey::Clock, &Meta { next: now.max(0).cast_unsigned() });
        self.store().commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::AccountOptions;
    use crate::mail::{MailLimits, MailRoom};
    use crate::store::scratch::damage;
    use crate::store::{MasterKey, Store};

    #[tokio::test]
    async fn a_clock_that_is_far_ahead_of_the_last_run_is_not_believed_and_one_that_was_put_back_is() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        let now = 20_000 * SECONDS_A_DAY;
        registry.check_clock(now).expect("at the first run there is nothing to hold it against");
        registry.believe_clock(now).await.unwrap();
        for ahead in [-400, 0, 1, 40] {
            registry.check_clock(now + ahead * SECONDS_A_DAY).unwrap();
        }
        let years = registry.check_clock(now + 730 * SECONDS_A_DAY);
        assert!(matches!(years, Err(AccountError::ClockAhead(730))), "{years:?}");
        assert!(registry.check_clock(now + 40 * SECONDS_A_DAY + 1).is_err());
        registry.believe_clock(now - 400 * SECONDS_A_DAY).await.unwrap();
        assert!(registry.check_clock(now).is_err(), "it goes from where it was put back to");
        damage::<Meta>(registry.store(), &MetaKey::Clock);
        registry.check_clock(now).expect("a damaged mark keeps nothing from going on");
    }
}
