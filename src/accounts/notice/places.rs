//! From where a mailbox is opened: a network that is new is told to its holder (MSSanté §5).
//!
//! A place is a network, as far as its provider gives it to one subscriber or a few: 24 bits of IPv4, 48 of IPv6. What is kept
//! is a digest under the operator's key: from what lies on disk nobody learns where somebody was.

use std::net::IpAddr;

use super::{Notice, notification_address};
use crate::accounts::{Account, AccountError, Login, Registry};
use crate::mss::Kind;
use crate::store::{Batch, CommitError, Expect, KnownPlace, NoticePart, NoticeState, NoticeStateKey};

/// Places that are kept of a mailbox; the one that was not seen for the longest gives way.
const MOST: usize = 30;

const DAY: i64 = 86_400;

/// A place that was not seen for so long is new again.
const KEPT: i64 = 90 * DAY;

/// A holder is told of one new place a day: somebody on the way has many.
const TOLD_EVERY: i64 = DAY;

impl Registry {
    /// Notes from where a mailbox was opened, beside the login; tells the holder where that is a new place.
    pub(in crate::accounts) fn note_place(&self, login: &Login, peer: IpAddr) {
        // Software has no holder who would know where its provider runs it.
        if login.kind == Kind::App
            || peer.to_canonical().is_loopback()
            || !self.tells_new_places()
            || !self.carries_notices()
        {
            return;
        }
        let (registry, id) = (self.clone(), login.account);
        tokio::spawn(async move {
            let Ok(Some(account)) = registry.by_id(id) else { return };
            if let Err(error) = registry.note_place_now(&account, peer, crate::mail::now()).await {
                tracing::debug!(account = %id, %error, "the place of a login was not noted");
            }
        });
    }

    async fn note_place_now(&self, account: &Account, peer: IpAddr, now: i64) -> Result<(), AccountError> {
        if notification_address(account).is_none() {
            return Ok(());
        }
        let key = NoticeStateKey { part: NoticePart::Places, account: account.id };
        let network = format!("{} {}", account.id, network(peer));
        let digest = (self.room().transit().digest("place", &network) >> 64) as u64;
        let read = self.store().get::<NoticeState>(&key)?;
        let before = read.as_ref().map(|read| read.record.clone()).unwrap_or_default();
        let (state, is_told) = noted(before.clone(), digest, now);
        if state == before {
            return Ok(());
        }
        let mut batch = Batch::new();
        let expect = read.map_or(Expect::Absent, |read| Expect::Version(read.version));
        batch.expect::<NoticeState>(&key, expect).put(&key, &state);
        if is_told {
            self.tell_in(&mut batch, account, Notice::NewPlace { peer: peer.to_string() });
        }
        match self.store().commit(batch).await {
            // Another login came between: the next one notes this place.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is known after a login from a place, and whether the holder is to be told. The first place is no news.
fn noted(mut state: NoticeState, digest: u64, now: i64) -> (NoticeState, bool) {
    let today = now / DAY * DAY;
    state.places.retain(|place| now < place.seen_at + KEPT);
    if let Some(place) = state.places.iter_mut().find(|place| place.digest == digest) {
        place.seen_at = today;
        return (state, false);
    }
    let is_told = !state.places.is_empty() && state.place_told_at.is_none_or(|at| at + TOLD_EVERY <= now);
    if state.places.len() >= MOST {
        let longest = (0..MOST).min_by_key(|index| state.places[*index].seen_at).unwrap_or_default();
        state.places.swap_remove(longest);
    }
    state.places.push(KnownPlace { digest, seen_at: today });
    if is_told {
        state.place_told_at = Some(now);
    }
    (state, is_told)
}

/// The network of an address, as text.
fn network(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_network_is_told_once_and_not_more_often_than_once_a_day() {
        let now = 20_000 * DAY + 5;
        let (state, told) = noted(NoticeState::default(), 1, now);
        assert!(!told, "the first is no news");
        let (state, told) = noted(state, 2, now);
        assert!(told);
        let (state, told) = noted(state, 2, now + 5);
        assert!(!told, "it is known");
        let (state, told) = noted(state, 3, now + 10);
        assert!(!told, "one a day");
        let (state, told) = noted(state, 4, now + DAY);
        assert!(told);
        let (state, told) = noted(state, 4, now + DAY + KEPT + DAY);
        assert!(!told && state.places.len() == 1, "what was not seen for long is forgotten, and the first is no news");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_gives_way() {
        let mut state = NoticeState::default();
        for place in 0..100 {
            state = noted(state, place, 20_000 * DAY + i64::try_from(place).unwrap() * DAY / 2).0;
        }
        assert_eq!(state.places.len(), MOST);
        assert!(state.places.iter().all(|place| place.digest >= 68), "{:?}", state.places);
    }

    #[test]
    fn neighbours_in_a_providers_network_are_one_place() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::9"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }
}
