//! Whether the clock is to be believed, where what goes by it cannot be taken back.
//!
//! A machine may come up years ahead, and be put right some minutes later: by then no mailbox may have been closed or forgotten
//! by that clock, and nothing that has to be kept for years been taken away. So the moment of each run of the mailboxes' lives is
//! kept, and where the clock is far from the last one nothing goes by it until an administrator says that it is right. One that
//! is years behind does no harm by itself; believed, it would make the right one look years ahead.

use super::{AccountError, Registry};
use crate::store::{Batch, Meta, MetaKey, StoreError};

/// Seconds that may pass from one run to the next without a question: a server that is away for a month is not asked.
const LONGEST: i64 = 40 * 86_400;

const SECONDS_A_DAY: i64 = 86_400;

impl Registry {
    /// Whether what cannot be taken back may go by a clock that says `now`, Unix seconds.
    ///
    /// # Errors
    /// [`AccountError::ClockAstray`], or what the store says.
    pub fn check_clock(&self, now: i64) -> Result<(), AccountError> {
        let believed = match self.store().get::<Meta>(&MetaKey::Clock) {
            Ok(mark) => mark.map(|mark| mark.next),
            Err(error @ StoreError::Record { .. }) => {
                tracing::error!(%error, "when the clock was believed last does not read: it is believed now");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let passed = believed.map_or(0, |last| now.saturating_sub(last.cast_signed()));
        if (-LONGEST..=LONGEST).contains(&passed) {
            Ok(())
        } else {
            Err(AccountError::ClockAstray(passed / SECONDS_A_DAY))
        }
    }

    /// Keeps that the clock was believed `now`, Unix seconds.
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
    async fn a_clock_that_is_far_from_the_last_run_is_not_believed_until_it_is_said_to_be_right() {
        let room = MailRoom::new(Store::in_memory(), MasterKey::generate(), MailLimits::default()).unwrap();
        let registry = Registry::new(room, AccountOptions::default());
        let now = 20_000 * SECONDS_A_DAY;
        registry.check_clock(now).expect("at the first run there is nothing to hold it against");
        registry.believe_clock(now).await.unwrap();
        for days in [-40, -1, 0, 1, 40] {
            registry.check_clock(now + days * SECONDS_A_DAY).unwrap();
        }
        for days in [730, -400] {
            let years = registry.check_clock(now + days * SECONDS_A_DAY);
            assert!(matches!(years, Err(AccountError::ClockAstray(told)) if told == days), "{years:?}");
        }
        assert!(registry.check_clock(now + 40 * SECONDS_A_DAY + 1).is_err());
        assert!(registry.check_clock(0).is_err(), "a clock without a battery");
        registry.believe_clock(now - 400 * SECONDS_A_DAY).await.unwrap();
        registry
            .check_clock(now - 399 * SECONDS_A_DAY)
            .expect("it was put back, and an administrator says that it is right");
        damage::<Meta>(registry.store(), &MetaKey::Clock);
        registry.check_clock(now).expect("a damaged mark keeps nothing from going on");
    }
}
