//! Notices to holders by ordinary mail: how they are, what is announced, what bounced.

use std::sync::Arc;

use axum::extract::State;

use super::acting::Acting;
use super::errors::{of_account, sentence};
use super::extract::Json;
use super::message_flags::date;
use super::problem::{Problem, Rule};
use super::types::{Announcement, AnnouncementAnswer, Bounce, BounceAnswer, NoticeStatus, RefusedAddress};
use super::{Administration, blocking, domains};
use crate::accounts::notice::checked_text;
use crate::accounts::{Account, ListFilter};
use crate::mss::Address;

/// Addresses that are listed at most.
const MOST_REFUSED: usize = 1_000;

/// The longest status of a bounce.
const STATUS: usize = 40;

/// `GET /v1/notices`.
pub(super) async fn status(
    State(administration): State<Arc<Administration>>,
) -> Result<axum::Json<NoticeStatus>, Problem> {
    let registry = administration.registry.clone();
    blocking(move || {
        let waiting = registry.waiting_notices().map_err(of_account)?;
        let (mut refused, mut more_refused, mut without_address) = (Vec::new(), 0, 0);
        domains::count(&registry, &ListFilter::default(), |account| {
            without_address += u64::from(account.lacks_notification_address());
            match refusal(account) {
                Some(refusal) if refused.len() < MOST_REFUSED => refused.push(refusal),
                refusal => more_refused += u64::from(refusal.is_some()),
            }
        })?;
        Ok(axum::Json(NoticeStatus {
            carried: registry.carries_notices(),
            waiting: waiting.notices as u64,
            oldest: waiting.oldest.map(date),
            without_address,
            refused,
            more_refused,
        }))
    })
    .await
}

fn refusal(account: &Account) -> Option<RefusedAddress> {
    let bounce = account.data.notice_bounce.as_ref()?;
    Some(RefusedAddress {
        mailbox: account.address.to_string(),
        address: account.data.notification_address.clone().unwrap_or_default(),
        status: bounce.status.clone(),
        at: date(bounce.at),
    })
}

/// `POST /v1/notices/maintenance`.
pub(super) async fn announce(
    Acting(administration): Acting,
    Json(announcement): Json<Announcement>,
) -> Result<axum::Json<AnnouncementAnswer>, Problem> {
    let text = checked_text(&announcement.text).map_err(|problem| Problem::field("text", sentence(&problem)))?;
    let domain = announcement.domain.as_deref().map(|name| domains::parse(name, "domain")).transpose()?;
    let registry = &administration.registry;
    if let Some(domain) = &domain
        && !registry.is_own(domain).map_err(of_account)?
    {
        return Err(Problem::new(Rule::NoSuchDomain, "This is none of the operator's own domains."));
    }
    if !registry.carries_notices() {
        return Err(Problem::new(Rule::NoNotices, "No relay carries notices: see [notices] in the configuration."));
    }
    let announced = registry.announce(&text, domain.as_ref()).await.map_err(of_account)?;
    tracing::info!(told = announced.told, without_address = announced.without_address, "maintenance announced");
    Ok(axum::Json(AnnouncementAnswer { told: announced.told, without_address: announced.without_address }))
}

/// `POST /v1/notices/bounces`.
pub(super) async fn bounce(
    Acting(administration): Acting,
    Json(bounce): Json<Bounce>,
) -> Result<axum::Json<BounceAnswer>, Problem> {
    let address = Address::parse(&bounce.address).map_err(|problem| Problem::field("address", sentence(&problem)))?;
    let status = bounce.status.trim();
    if status.len() > STATUS || !status.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' ')) {
        return Err(Problem::field("status", "Expected codes alone, as 5.1.1 or 550 5.1.1."));
    }
    let noted = administration.registry.notices_bounced(&address, status).await.map_err(of_account)?;
    tracing::info!(mailboxes = noted.len(), status, "a notification address takes nothing");
    Ok(axum::Json(BounceAnswer { mailboxes: noted.iter().map(|account| account.address.to_string()).collect() }))
}
