//! So many requests a second and no more (MSSanté §9: 17).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Gives turns at a steady pace; who comes when it is quiet goes at once.
#[derive(Debug)]
pub(super) struct Pace {
    between: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(a_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / a_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits for its turn.
    pub(super) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.between;
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance_and_quiet_is_not_saved_up() {
        let pace = Pace::new(17);
        let begun = Instant::now();
        for _ in 0..18 {
            pace.turn().await;
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(990)..Duration::from_millis(1100)).contains(&took), "{took:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        for _ in 0..18 {
            pace.turn().await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(990));
    }
}
