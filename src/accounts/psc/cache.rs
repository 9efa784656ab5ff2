//! Tokens that were judged lately, by their SHA-256: the tokens themselves are kept nowhere (MSSanté §10).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::wire::sasl::Secret;

use super::TokenRefusal;
use super::claims::Validated;

/// What stands for a token.
pub(super) type TokenKey = [u8; 32];

/// The key of a token.
pub(super) fn key_of(token: &Secret) -> TokenKey {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.expose());
    let mut key = TokenKey::default();
    key.copy_from_slice(digest.as_ref());
    key
}

/// Good tokens and refused ones, apart: who sends garbage must not push the good ones out.
#[derive(Debug)]
pub(super) struct Cache {
    good: Table<Arc<Validated>>,
    refused: Table<TokenRefusal>,
    good_for: i64,
    refused_for: i64,
}

impl Cache {
    /// At most `entries` of each kind.
    pub(super) fn new(entries: usize, good_for: Duration, refused_for: Duration) -> Self {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self {
            good: Table::new(entries),
            refused: Table::new(entries),
            good_for: seconds(good_for),
            refused_for: seconds(refused_for),
        }
    }

    /// What was found out about a token, if it still counts.
    pub(super) fn recall(&self, key: &TokenKey, now: i64) -> Option<Result<Arc<Validated>, TokenRefusal>> {
        if let Some(validated) = self.good.get(key, now) {
            return Some(Ok(validated));
        }
        self.refused.get(key, now).map(Err)
    }

    /// Remembers what was found out: no longer than the token lives.
    pub(super) fn remember(&self, key: TokenKey, outcome: &Result<Arc<Validated>, TokenRefusal>, now: i64) {
        match outcome {
            Ok(validated) => {
                let until = now.saturating_add(self.good_for);
                let until = validated.expires_at.map_or(until, |end| end.min(until));
                self.good.put(key, Arc::clone(validated), until, now);
            }
            Err(refusal) => self.refused.put(key, *refusal, now.saturating_add(self.refused_for), now),
        }
    }
}

#[derive(Debug)]
struct Table<V> {
    entries: Mutex<HashMap<TokenKey, (i64, V)>>,
    most: usize,
}

impl<V: Clone> Table<V> {
    fn new(most: usize) -> Self {
        Self { entries: Mutex::default(), most }
    }

    fn get(&self, key: &TokenKey, now: i64) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(until, _)| now < *until).map(|(_, value)| value.clone())
    }

    fn put(&self, key: TokenKey, value: V, until: i64, now: i64) {
        if until <= now {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most && !entries.contains_key(&key) {
            make_room(&mut entries, now);
        }
        entries.insert(key, (until, value));
    }
}

/// Drops what has expired; where nothing has, the half that expires first: rare, and never more than the table's bound.
fn make_room<V>(entries: &mut HashMap<TokenKey, (i64, V)>, now: i64) {
    let full = entries.len();
    entries.retain(|_, (until, _)| now < *until);
    if entries.len() < full {
        return;
    }
    let mut ends: Vec<(i64, TokenKey)> = entries.iter().map(|(key, (until, _))| (*until, *key)).collect();
    let half = ends.len() / 2;
    ends.select_nth_unstable(half);
    for (_, key) in &ends[..=half] {
        entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(expires_at: Option<i64>) -> Result<Arc<Validated>, TokenRefusal> {
        Ok(Arc::new(Validated { expires_at, ..Validated::default() }))
    }

    fn cache(entries: usize) -> Cache {
        Cache::new(entries, Duration::from_secs(120), Duration::from_secs(10))
    }

    #[test]
    fn a_good_token_is_remembered_for_a_while_and_never_longer_than_it_lives() {
        for (expires_at, last) in [(Some(1_030), 1_029), (Some(9_000), 1_119), (None, 1_119)] {
            let cache = cache(10);
            cache.remember([1; 32], &validated(expires_at), 1_000);
            assert!(cache.recall(&[1; 32], last).is_some(), "{expires_at:?}");
            assert!(cache.recall(&[1; 32], last + 1).is_none(), "{expires_at:?}");
        }
        let cache = cache(10);
        cache.remember([1; 32], &validated(Some(990)), 1_000);
        assert!(cache.recall(&[1; 32], 1_000).is_none(), "one within the clocks' difference is judged each time");
    }

    #[test]
    fn refused_tokens_are_remembered_shortly_and_push_no_good_ones_out() {
        let cache = cache(4);
        cache.remember([0; 32], &validated(None), 1_000);
        for n in 1..100 {
            cache.remember([n; 32], &Err(TokenRefusal::Inactive), 1_000);
        }
        assert!(cache.recall(&[0; 32], 1_001).is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(cache.recall(&[99; 32], 1_009).map(Result::err), Some(Some(TokenRefusal::Inactive)));
        assert!(cache.recall(&[99; 32], 1_010).is_none());
        assert!(cache.refused.entries.lock().unwrap().len() <= 4);
    }

    #[test]
    fn the_table_is_bounded_and_what_expires_first_gives_way() {
        let cache = cache(4);
        for n in 0..4 {
            cache.remember([n; 32], &validated(Some(1_010 + i64::from(n))), 1_000);
        }
        cache.remember([9; 32], &validated(Some(1_100)), 1_000);
        assert!(cache.recall(&[9; 32], 1_000).is_some() && cache.recall(&[3; 32], 1_000).is_some());
        assert!(cache.recall(&[0; 32], 1_000).is_none());
        assert!(cache.good.entries.lock().unwrap().len() <= 4);
    }

    #[test]
    fn a_key_is_the_tokens_sha_256() {
        // FIPS 180-2, appendix B.1.
        let key = key_of(&Secret::new("abc"));
        assert_eq!((key[0], key[1], key[31]), (0xba, 0x78, 0xad));
    }
}
