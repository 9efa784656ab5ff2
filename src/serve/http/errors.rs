//! From the rooms' errors to problems: one total function each. What a person can act upon is told; what only the operator
//! should know (a path, a disk, a damaged record) goes to the log with the problem.

use super::problem::{Problem, Rule};
use crate::accounts::{AccountError, RuleBreach};
use crate::mail::MailError;
use crate::mail::queue::QueueError;
use crate::store::{CommitError, StoreError};

/// What a mailbox's error is to the peer.
pub(super) fn of_mail(error: MailError) -> Problem {
    let told = |rule| Problem::new(rule, sentence(&error));
    match &error {
        MailError::NoMailbox => told(Rule::NoSuchMailbox),
        MailError::Suspended | MailError::Closed => told(Rule::WrongState),
        MailError::NoFolder | MailError::FolderGone | MailError::NotSelectable => told(Rule::NoSuchFolder),
        MailError::FolderExists | MailError::HasChildren | MailError::Protected(_) | MailError::ReadOnly => {
            told(Rule::BadFolderName)
        }
        MailError::BadName(_) | MailError::TooManyFolders => told(Rule::BadFolderName).at("folder"),
        MailError::TooManyKeywords => told(Rule::TooManyKeywords).at("flags"),
        MailError::BadKeyword => told(Rule::BadField).at("flags"),
        MailError::OverQuota => told(Rule::OverQuota),
        MailError::TooMuch => told(Rule::BodyTooLarge),
        MailError::MessageGone => Problem::new(Rule::NoSuchMessage, "There is no such message."),
        MailError::Busy => told(Rule::Busy),
        MailError::Full => disk_full(&error),
        MailError::Unknown => unknown(&error),
        MailError::Sealed(_) | MailError::Store(_) => internal(&error),
    }
}

/// What an account's error is to the peer.
pub(super) fn of_account(error: AccountError) -> Problem {
    let told = |rule| Problem::new(rule, sentence(&error));
    match &error {
        AccountError::NoAccount => told(Rule::NoSuchMailbox),
        AccountError::NotOwnDomain(_) => told(Rule::DomainNotOwn).at("address"),
        AccountError::DomainExists(_) => told(Rule::DomainExists).at("name"),
        AccountError::DomainInUse(_) => told(Rule::DomainInUse),
        AccountError::AddressTaken | AccountError::AddressClosed => told(Rule::AddressTaken).at("address"),
        AccountError::Closed | AccountError::WrongState(_) => told(Rule::WrongState),
        AccountError::BadGrant(_) => told(Rule::BadField).at("access_list"),
        AccountError::NoGrant => told(Rule::NoSuchGrant),
        AccountError::BadPassword(..) => told(Rule::PasswordTooWeak).at("password"),
        AccountError::BadBinding(_) => told(Rule::BadCertificate),
        AccountError::NoCredential => told(Rule::NoSuchCertificate),
        AccountError::NoTerms => told(Rule::NoSuchTerms),
        AccountError::TermsExist(_) => told(Rule::TermsExist).at("version"),
        AccountError::BadTerms(_) => told(Rule::BadField),
        AccountError::TermsDamaged(_) => told(Rule::TermsDamaged),
        AccountError::ClockAstray(_) => told(Rule::ConfirmationNeeded).at("confirm_clock"),
        AccountError::Rule(breach) => told(rule_of(breach)).at(field_of(breach)),
        AccountError::Busy => told(Rule::Busy),
        // An address that was stored must be one: a damaged record.
        AccountError::Address(_) | AccountError::MayBeMissing => internal(&error),
        AccountError::Mail(inner) => of_mail(inner.clone()),
        AccountError::Store(StoreError::Full) | AccountError::Commit(CommitError::Full) => disk_full(&error),
        AccountError::Store(StoreError::Stopped) | AccountError::Commit(CommitError::Unknown) => unknown(&error),
        AccountError::Commit(CommitError::Conflict(_)) => {
            Problem::new(Rule::Busy, "Others are changing the same; try again.").because(&error)
        }
        AccountError::Commit(CommitError::TooLarge(_)) | AccountError::Store(_) => internal(&error),
    }
}

/// What an error of the queue is to the peer.
pub(super) fn of_queue(error: QueueError) -> Problem {
    match &error {
        QueueError::Store(StoreError::Full) | QueueError::Commit(CommitError::Full) => disk_full(&error),
        QueueError::Store(StoreError::Stopped) | QueueError::Commit(CommitError::Unknown) | QueueError::Stopped => {
            unknown(&error)
        }
        QueueError::Commit(CommitError::Conflict(_)) => {
            Problem::new(Rule::Busy, "Others are changing the same; try again.").because(&error)
        }
        QueueError::NoRecipient
        | QueueError::NoNumber
        | QueueError::Sealed(_)
        | QueueError::Malformed
        | QueueError::Store(_)
        | QueueError::Commit(CommitError::TooLarge(_)) => internal(&error),
    }
}

fn rule_of(breach: &RuleBreach) -> Rule {
    match breach {
        RuleBreach::Missing { .. } | RuleBreach::NoNotificationAddress(_) => Rule::HolderIncomplete,
        RuleBreach::NotForKind { .. }
        | RuleBreach::BadId { .. }
        | RuleBreach::BadText(_)
        | RuleBreach::BadNotificationAddress
        | RuleBreach::BadLocalPart
        | RuleBreach::BadForward(_)
        | RuleBreach::BadAccessList(_)
        | RuleBreach::BadAbsence(_) => Rule::BadField,
    }
}

/// The request's field that a breach is about.
fn field_of(breach: &RuleBreach) -> &'static str {
    match breach {
        RuleBreach::Missing { .. } => "holder",
        RuleBreach::NotForKind { .. } | RuleBreach::BadAccessList(_) => "access_list",
        RuleBreach::BadId { field, .. } => field,
        RuleBreach::BadText("comment") => "comment",
        RuleBreach::BadText(_) => "holder",
        RuleBreach::NoNotificationAddress(_) | RuleBreach::BadNotificationAddress => "notification_address",
        RuleBreach::BadLocalPart => "address",
        RuleBreach::BadForward(_) => "forward.to",
        RuleBreach::BadAbsence(_) => "absence",
    }
}

fn disk_full(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Rule::DiskFull, "The server's disk is full, or nearly: nothing was written.").because(error)
}

fn unknown(error: &dyn std::fmt::Display) -> Problem {
    let text = "The store has stopped; whether the change was written is not known. Ask again once the server runs.";
    Problem::new(Rule::Unavailable, text).because(error)
}

pub(super) fn internal(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Rule::Internal, "The server failed; its log says how.").because(error)
}

/// An error's words as a sentence. A first word that is a name (`x.example`) keeps its case.
pub(super) fn sentence(problem: &dyn std::fmt::Display) -> String {
    let text = problem.to_string();
    let first_word = text.split(' ').next().unwrap_or_default();
    if !first_word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return format!("{text}.");
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).chain(['.']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_stays_in_the_log() {
        for problem in [of_mail(MailError::Unknown), of_account(AccountError::Store(StoreError::Full))] {
            assert!(problem.rule().status().is_server_error());
            assert!(!problem.body("").detail.contains("sled"));
        }
    }

    #[test]
    fn a_refusal_names_its_field() {
        let problem = of_account(AccountError::NotOwnDomain("x.example".into()));
        let body = problem.body("");
        assert_eq!((body.rule.as_str(), body.field.as_deref()), ("domain-not-own", Some("address")));
        assert_eq!(body.detail, "x.example is not a domain of this operator.");
    }
}
