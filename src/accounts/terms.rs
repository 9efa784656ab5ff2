//! The terms of use (CGU): their versions, and who has accepted which (MSSanté §5).
//!
//! Versions are only ever added, and kept for good: an acceptance names one. The one in force is the newest whose day has
//! come. Where there is none, nobody is asked for anything.

use aws_lc_rs::digest;

use super::journal::name_of;
use super::life::Occasion;
use super::lives::{day_of, midnight};
use super::registry::ATTEMPTS;
use super::{Account, AccountError, Registry, SharedMailbox};
use crate::mss::lifecycle::{DAYS_TO_ACCEPT, Event, Life, TermsVersion};
use crate::mss::text::hex;
use crate::mss::{Kind, Right, Rights};
use crate::store::{AccountId, Batch, CommitError, StoreError, Terms, TermsHead, TermsKey};

/// Octets of a piece of a text: values of the store's index are small.
const PIECE: usize = 2_048;

/// Octets of a whole text.
const LONGEST: usize = 128 << 10;

/// A version of the terms of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsOfUse {
    /// Its number, rising.
    pub number: u32,
    /// What there is to say of it.
    pub head: TermsHead,
}

/// A version to be added.
#[derive(Clone, Debug)]
pub struct NewTerms {
    /// Its name: letters, digits and `.-_`.
    pub version: String,
    /// Plain text; an empty line between paragraphs.
    pub text: String,
    /// Unix seconds from which it is asked for.
    pub from: i64,
    /// Unix seconds of the last day on which a mailbox goes on without it.
    pub accept_by: i64,
}

impl TermsOfUse {
    /// As the rules know it.
    pub fn as_version(&self) -> TermsVersion {
        let head = &self.head;
        TermsVersion { version: head.version.clone(), from: day_of(head.from), accept_by: day_of(head.accept_by) }
    }
}

/// Versions.
impl Registry {
    /// All versions, the newest last. One whose record is damaged is left out: it costs itself, and the mailboxes that go by the
    /// others nothing.
    ///
    /// # Errors
    /// What the store says.
    pub fn terms_versions(&self) -> Result<Vec<TermsOfUse>, AccountError> {
        Ok(self.terms_and_next()?.0)
    }

    /// All versions, and the number of the next one.
    fn terms_and_next(&self) -> Result<(Vec<TermsOfUse>, u32), AccountError> {
        let mut versions = Vec::new();
        let mut number = 1;
        loop {
            match self.store().get::<Terms>(&TermsKey { number, piece: 0 }) {
                Ok(None) => return Ok((versions, number)),
                Ok(Some(first)) => versions.extend(first.record.head.map(|head| TermsOfUse { number, head })),
                Err(StoreError::Record { source, .. }) => {
                    tracing::error!(event = "terms.damaged", number, %source, "a version of the terms does not read");
                }
                Err(error) => return Err(error.into()),
            }
            number += 1;
        }
    }

    /// A version and its text, which is the one that was added: nobody accepts a text with a hole in it.
    ///
    /// # Errors
    /// [`AccountError::NoTerms`], [`AccountError::TermsDamaged`], or what the store says.
    pub fn terms_text(&self, version: &str) -> Result<(TermsOfUse, String), AccountError> {
        let found = self.terms_versions()?.into_iter().find(|terms| terms.head.version == version);
        let terms = found.ok_or(AccountError::NoTerms)?;
        let key = |piece| TermsKey { number: terms.number, piece };
        let pieces = self.store().scan::<Terms>(key(0)..key(terms.head.pieces), usize::MAX)?;
        let text: String = pieces.into_iter().map(|(_, piece)| piece.record.text).collect();
        if sha256_of(&text) != terms.head.sha256 {
            tracing::error!(event = "terms.damaged", version, "the text of the terms of use does not read whole");
            return Err(AccountError::TermsDamaged(terms.head.version));
        }
        Ok((terms, text))
    }

    /// The version that is asked for now.
    ///
    /// # Errors
    /// What the store says.
    pub fn terms_in_force(&self) -> Result<Option<TermsOfUse>, AccountError> {
        let now = crate::mail::now();
        Ok(self.terms_versions()?.into_iter().rev().find(|terms| terms.head.from <= now))
    }

    /// Adds a version.
    ///
    /// # Errors
    /// [`AccountError::BadTerms`], [`AccountError::TermsExist`], or what the store says.
    pub async fn add_terms(&self, new: &NewTerms) -> Result<TermsOfUse, AccountError> {
        check(new)?;
        for attempt in 0..ATTEMPTS {
            let (versions, number) = self.terms_and_next()?;
            if versions.iter().any(|terms| terms.head.version == new.version) {
                return Err(AccountError::TermsExist(new.version.clone()));
            }
            if versions.last().is_some_and(|last| new.from < last.head.from) {
                return Err(AccountError::BadTerms(
                    "the first day of a new version is not before that of the last one",
                ));
            }
            let terms = TermsOfUse { number, head: self.head_of(new) };
            let mut batch = Batch::new();
            for (piece, text) in (0..).zip(pieces(&new.text)) {
                let head = (piece == 0).then(|| terms.head.clone());
                batch.insert(&TermsKey { number, piece }, &Terms { head, text: text.to_owned() });
            }
            self.note("terms-added", None, Some(&new.version), &mut batch);
            match self.store().commit(batch).await {
                Ok(_) => return Ok(terms),
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
    }

    fn head_of(&self, new: &NewTerms) -> TermsHead {
        TermsHead {
            version: new.version.clone(),
            from: new.from,
            accept_by: new.accept_by,
            sha256: sha256_of(&new.text),
            pieces: u32::try_from(pieces(&new.text).count()).unwrap_or(u32::MAX),
            added_at: crate::mail::now(),
            added_by: name_of(self.actor()),
        }
    }

    /// A version by its name.
    pub(super) fn version_of(&self, version: &str) -> Option<TermsOfUse> {
        self.terms_versions().ok()?.into_iter().find(|terms| terms.head.version == version)
    }
}

/// Acceptances.
impl Registry {
    /// The version that a mailbox's holder is to accept now, if they owe one.
    ///
    /// # Errors
    /// What the store says.
    pub fn terms_owed(&self, account: &Account) -> Result<Option<TermsOfUse>, AccountError> {
        let terms = self.terms_in_force()?;
        let life = self.life_of(&account.data);
        Ok(terms.filter(|terms| life.owes(&terms.as_version())))
    }

    /// The last day on which an open mailbox goes on without a version that its holder owes, Unix seconds: as they were told, or
    /// will be.
    pub fn terms_due_by(&self, account: &Account, terms: &TermsOfUse) -> i64 {
        let if_told_today = midnight(day_of(crate::mail::now())).saturating_add(DAYS_TO_ACCEPT * 86_400);
        let as_told = self.life_of(&account.data).goes_on_until(&terms.as_version()).map(midnight);
        as_told.unwrap_or(terms.head.accept_by.max(if_told_today))
    }

    /// Whether a person may accept the terms for a mailbox: the professional whose it is; a structure's responsible, or whoever
    /// manages its mailbox.
    ///
    /// # Errors
    /// What the store says.
    pub fn may_accept_terms(&self, person: &str, account: &Account) -> Result<bool, AccountError> {
        match account.kind {
            Kind::Per | Kind::Cab => Ok(account.is_held_by(person)),
            Kind::Org | Kind::App => {
                let is_responsible = account.data.holder.responsible.as_deref() == Some(person);
                Ok(is_responsible || self.rights_of(person, account)?.has(Right::Manage))
            }
        }
    }

    /// The mailboxes that open to a person as soon as they accept the terms for them, by number.
    ///
    /// # Errors
    /// What the store says.
    pub fn awaiting_terms_of(&self, person: &str) -> Result<Vec<SharedMailbox>, AccountError> {
        let mut found = Vec::new();
        for account in self.accounts_of(person)? {
            if account.awaits_terms() && self.may_accept_terms(person, &account)? {
                let Account { id, address, kind, .. } = account;
                found.push(SharedMailbox { account: id, address, kind, rights: Rights::all() });
            }
        }
        Ok(found)
    }

    /// Notes that the terms were accepted for a mailbox, by whomever this registry acts for; a mailbox that waited for it opens
    /// in the same commit.
    ///
    /// # Errors
    /// [`AccountError::NoTerms`], [`AccountError::NoAccount`], [`AccountError::Closed`], or what the store says.
    pub async fn accept_terms(&self, id: AccountId, version: &str) -> Result<Account, AccountError> {
        let is_it = |terms: &TermsOfUse| terms.head.version == version;
        self.terms_in_force()?.filter(is_it).ok_or(AccountError::NoTerms)?;
        let event = Event::TermsAccepted { version: version.to_owned() };
        let occasion = Occasion { at: crate::mail::now(), reason: None };
        let (account, _) = self.happen(id, occasion, move |_: &Life| Some(event.clone())).await?;
        Ok(account)
    }
}

fn check(new: &NewTerms) -> Result<(), AccountError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !(1..=40).contains(&new.version.len()) || !new.version.chars().all(is_name) {
        return Err(AccountError::BadTerms("a version is named with 1 to 40 letters, digits and . - _"));
    }
    let is_good = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if new.text.trim().is_empty() || new.text.len() > LONGEST || !new.text.chars().all(is_good) {
        return Err(AccountError::BadTerms("the text is plain text of at most 128 KiB, without control characters"));
    }
    if new.accept_by < new.from {
        return Err(AccountError::BadTerms("terms are to be accepted by a day that is not before their first one"));
    }
    Ok(())
}

/// A text's SHA-256, in hexadecimal.
fn sha256_of(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// A text in pieces, cut between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.floor_char_boundary(PIECE);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_comes_back_whole() {
        for text in ["é".repeat(5_000), format!("x{}", "é".repeat(3_000)), "court".to_owned()] {
            let pieces: Vec<_> = pieces(&text).collect();
            assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
            assert_eq!(pieces.concat(), text);
        }
    }

    #[test]
    fn a_version_has_a_name_a_text_and_days_in_their_order() {
        let good = NewTerms { version: "2026-01".into(), text: "Article 1.\n\nTout.".into(), from: 10, accept_by: 20 };
        assert!(check(&good).is_ok());
        let long = "x".repeat(LONGEST + 1);
        for bad in [
            NewTerms { version: String::new(), ..good.clone() },
            NewTerms { version: "deux mots".into(), ..good.clone() },
            NewTerms { text: " \n".into(), ..good.clone() },
            NewTerms { text: "a\u{0}b".into(), ..good.clone() },
            NewTerms { text: long, ..good.clone() },
            NewTerms { accept_by: 9, ..good.clone() },
        ] {
            assert!(matches!(check(&bad), Err(AccountError::BadTerms(_))), "{}", bad.version);
        }
    }
}
