//! What the operator announces to many holders at once, and addresses that are known to take nothing.

use super::{Notice, notification_address};
use crate::accounts::{Account, AccountError, ListFilter, Registry};
use crate::mss::{Address, Domain, MailboxState};
use crate::store::Batch;

/// Mailboxes whose notices share a commit.
const AT_ONCE: usize = 500;

/// Characters of the longest announcement: it is kept once for each mailbox until it is sent.
const LONGEST: usize = 1_000;

/// Whom an announcement goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Mailboxes whose holders are told.
    pub told: u64,
    /// Mailboxes whose holders cannot be: they have no notification address.
    pub without_address: u64,
}

/// Why a text is not announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// There is none.
    #[error("the text is empty")]
    Empty,
    /// It is too long.
    #[error("the text has more than {LONGEST} characters")]
    TooLong,
    /// Something in it is no text.
    #[error("the text holds a control character")]
    Control,
    /// Notices must not teach holders to follow links.
    #[error("the text holds a link; notices have none, so that holders trust no message that does")]
    Link,
}

/// A text as it may stand in a notice: trimmed, its lines ending in line feeds.
///
/// # Errors
/// [`BadText`].
pub fn checked_text(text: &str) -> Result<String, BadText> {
    let text = text.replace("\r\n", "\n").trim().to_owned();
    let lower = text.to_lowercase();
    if text.is_empty() {
        Err(BadText::Empty)
    } else if text.chars().count() > LONGEST {
        Err(BadText::TooLong)
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        Err(BadText::Control)
    } else if lower.contains("://") || lower.contains("www.") {
        Err(BadText::Link)
    } else {
        Ok(text)
    }
}

impl Registry {
    /// Tells the holders of all mailboxes, or of one domain's, what the operator announces. Written some hundred mailboxes a
    /// commit: if the server ends in the middle, those before are told.
    ///
    /// # Errors
    /// What the store says.
    pub async fn announce(&self, text: &str, domain: Option<&Domain>) -> Result<Announced, AccountError> {
        let mut announced = Announced::default();
        let mut after = None;
        loop {
            let filter = ListFilter { domain: domain.cloned(), ..ListFilter::default() };
            let page = self.list(&filter, after, AT_ONCE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let mut batch = Batch::new();
            for account in page.iter().filter(|account| account.state != MailboxState::Closed) {
                let notice = Notice::Maintenance { text: text.to_owned() };
                let is_told = self.tell_in(&mut batch, account, notice);
                *(if is_told { &mut announced.told } else { &mut announced.without_address }) += 1;
            }
            self.store().commit(batch).await?;
        }
        self.note_deed("maintenance-announced", domain.map(Domain::as_str)).await?;
        self.wake_notices();
        Ok(announced)
    }

    /// Notes that an address takes nothing (the operator's relay has had a bounce): on every mailbox whose notices go there,
    /// and whose closing is off if one was announced there. Gives them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn notices_bounced(&self, address: &Address, status: &str) -> Result<Vec<Account>, AccountError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.list(&ListFilter::default(), after, AT_ONCE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let is_theirs =
                |account: &Account| notification_address(account).is_some_and(|to| to.key() == address.key());
            found.extend(page.into_iter().filter(|account| account.state != MailboxState::Closed).filter(is_theirs));
            tokio::task::yield_now().await;
        }
        for account in &found {
            self.note_bounce(account.id, status).await?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_has_words_and_no_links() {
        assert_eq!(checked_text(" Arrêt dimanche.\r\nMerci. \n"), Ok("Arrêt dimanche.\nMerci.".to_owned()));
        assert_eq!(checked_text(" \n"), Err(BadText::Empty));
        assert_eq!(checked_text("Voyez HTTPS://exemple.fr"), Err(BadText::Link));
        assert_eq!(checked_text("Voyez Www.exemple.fr"), Err(BadText::Link));
        assert_eq!(checked_text("a\u{7}"), Err(BadText::Control));
        assert_eq!(checked_text(&"é".repeat(LONGEST + 1)), Err(BadText::TooLong));
        assert!(checked_text(&"é".repeat(LONGEST)).is_ok());
    }
}
