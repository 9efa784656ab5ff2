//! What is held about one person, and what of it may be erased (GDPR articles 15, 17 and 20).
//!
//! Everything is looked through, closed mailboxes included: what is told here has to be all there is. What a mailbox contains is
//! not told: it is its holder's to take out (`caducee export`), and others' as much.

mod beside;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::notice::OutgoingNotice;
use super::sessions::OpenSession;
use super::{Account, AccountError, Grantee, Registry, day_of, midnight};
use crate::mss::{Address, Kind, MailboxState};
use crate::store::{self, AccessGrant, AccountId, AccountState, Batch, CommitError, Credential, CredentialKey, Usage};

pub use beside::{Beside, Line};

/// Records read at a time.
const PAGE: usize = 1_000;

/// What is held about a person.
#[derive(Debug, Default)]
pub struct Held {
    /// The mailboxes that are bound to them (PER, CAB), closed ones included.
    pub mailboxes: Vec<HeldMailbox>,
    /// The mailboxes of structures that they answer for.
    pub responsible_for: Vec<HeldStructure>,
    /// Mailboxes of others for which they have accepted the terms of use.
    pub accepted: Vec<Account>,
    /// Mailboxes whose mail is sent on to one of theirs.
    pub forwarding: Vec<Account>,
    /// What they did in the lives of others' mailboxes.
    pub acts: Vec<Line>,
    /// Mailboxes of others whose contact in the national directory names them.
    pub directory: Vec<Account>,
    /// Where access lists name them, or a mailbox of theirs.
    pub grants: Vec<HeldGrant>,
    /// What they come in with to mailboxes that are not theirs: workstations of theirs above all.
    pub means: Vec<HeldMeans>,
    /// Where they are in at this moment.
    pub sessions: Vec<Arc<OpenSession>>,
}

/// A mailbox of theirs.
#[derive(Debug)]
pub struct HeldMailbox {
    /// Its account.
    pub account: Account,
    /// How much it holds; none once it is closed.
    pub usage: Option<Usage>,
    /// What opens it.
    pub means: Vec<(u32, Credential)>,
    /// The second factor that is set up.
    pub factor: Option<store::SecondFactor>,
    /// What is held beside its record.
    pub beside: Beside,
}

/// A structure's mailbox that they answer for.
#[derive(Debug)]
pub struct HeldStructure {
    /// Its account.
    pub account: Account,
    /// Notices that wait for the relay: they go to an address that may be theirs.
    pub notices: Vec<OutgoingNotice>,
}

/// An entry of an access list.
#[derive(Debug)]
pub struct HeldGrant {
    /// Whose list it is.
    pub account: Account,
    /// The entry.
    pub grant: AccessGrant,
}

/// A means of access.
#[derive(Debug)]
pub struct HeldMeans {
    /// The mailbox that it opens.
    pub account: Account,
    /// Its number there.
    pub number: u32,
    /// What it is.
    pub credential: Credential,
}

/// Something that can be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasable {
    /// An entry of a mailbox's access list.
    Grant(AccountId, Grantee),
    /// What they come in with to a mailbox that is not theirs.
    Means(CredentialKey),
    /// What a closed mailbox of theirs had beside its identification: the notification address, a forward, an absence, notes.
    Details(AccountId),
}

/// Something that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stays {
    /// A mailbox that is not closed: its terms of use go on until it is.
    Living(AccountId),
    /// Who held a closed mailbox: until then, Unix seconds (MSSanté §5).
    Identification(AccountId, i64),
    /// A structure's mailbox needs somebody who answers for it: another one is to be named first.
    Responsible(AccountId),
}

impl Held {
    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.mailboxes.is_empty()
            && self.responsible_for.is_empty()
            && self.grants.is_empty()
            && self.means.is_empty()
            && self.sessions.is_empty()
            && self.accepted.is_empty()
            && self.forwarding.is_empty()
            && self.acts.is_empty()
            && self.directory.is_empty()
    }

    /// Whether the journal tells of them, or of a mailbox of theirs.
    pub fn is_in_the_journal(&self) -> bool {
        !self.acts.is_empty() || self.mailboxes.iter().any(|held| !held.beside.journal.is_empty())
    }

    /// What of it can be erased now.
    pub fn erasable(&self) -> Vec<Erasable> {
        let grants = self.grants.iter().map(|held| Erasable::Grant(held.account.id, Grantee::of(&held.grant)));
        let means = self
            .means
            .iter()
            .map(|held| Erasable::Means(CredentialKey { account: held.account.id, number: held.number }));
        let closed = self.mailboxes.iter().map(|held| &held.account).filter(|account| has_details(account));
        grants.chain(means).chain(closed.map(|account| Erasable::Details(account.id))).collect()
    }

    /// What stays; who held a closed mailbox is known for `kept` days after its closing (MSSanté §5).
    pub fn stays(&self, kept: i64) -> Vec<Stays> {
        let until = |closed_at: i64| midnight(day_of(closed_at)).saturating_add(kept.saturating_mul(86_400));
        let mailbox = |held: &HeldMailbox| match held.account.state {
            MailboxState::Closed => Stays::Identification(held.account.id, until(held.account.data.state_changed_at)),
            _ => Stays::Living(held.account.id),
        };
        let responsible = self.responsible_for.iter().map(|held| Stays::Responsible(held.account.id));
        self.mailboxes.iter().map(mailbox).chain(responsible).collect()
    }
}

/// A closed mailbox's record has something that says nothing of who held it.
fn has_details(account: &Account) -> bool {
    account.state == MailboxState::Closed && without_details(&account.data) != account.data
}

/// The record of a closed mailbox with its identification alone.
fn without_details(record: &store::Account) -> store::Account {
    store::Account {
        notification_address: None,
        notice_bounce: None,
        new_mail_notices: None,
        forward: None,
        absence: None,
        comment: None,
        language: None,
        state_reason: None,
        last_login_at: None,
        ..record.clone()
    }
}

impl Registry {
    /// Looks for all that is held about a person, by national id. Reads every account and credential: not for an async thread.
    ///
    /// # Errors
    /// What the store says.
    pub fn held_about(&self, person: &str) -> Result<Held, AccountError> {
        let mut held = Held::default();
        let (mut own, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        self.each_account(|account| {
            let data = &account.data;
            let is_responsible = data.holder.responsible.as_deref() == Some(person);
            if account.is_held_by(person) {
                own.insert(account.id);
                addresses.insert(account.address.key());
                held.mailboxes.push(self.held_mailbox(account)?);
                return Ok(());
            }
            if data.terms_accepted_by.as_deref() == Some(person) {
                held.accepted.push(account.clone());
            }
            if account.kind != Kind::Per && is_responsible {
                held.responsible_for.push(HeldStructure { account, notices: Vec::new() });
            }
            Ok(())
        })?;
        // A mailbox on an access list stands for who holds it: whose it is has to be known first.
        self.each_account(|account| {
            let names = |grant: &&AccessGrant| {
                (!grant.person.is_empty() && grant.person == person)
                    || grant.mailbox.is_some_and(|id| own.contains(&id))
            };
            let grants: Vec<AccessGrant> = account.data.access_list.iter().filter(names).cloned().collect();
            held.grants.extend(grants.into_iter().map(|grant| HeldGrant { account: account.clone(), grant }));
            let is_theirs = |to: &String| Address::parse(to).is_ok_and(|to| addresses.contains(&to.key()));
            if account.data.forward.as_ref().is_some_and(|forward| forward.to.iter().any(is_theirs)) {
                held.forwarding.push(account);
            }
            Ok(())
        })?;
        held.means = self.means_elsewhere(person, &own)?;
        let mut sessions = self.sessions().list();
        sessions
            .retain(|session| session.login.person.as_deref() == Some(person) || own.contains(&session.login.account));
        held.sessions = sessions;
        self.look_beside(person, &mut held)?;
        Ok(held)
    }

    fn held_mailbox(&self, account: Account) -> Result<HeldMailbox, AccountError> {
        let usage = self.store().get::<Usage>(&account.id)?.map(|usage| usage.record);
        let factor = self.store().get::<store::SecondFactor>(&account.id)?.map(|read| read.record);
        let means = self.credentials(account.id)?;
        let means = means.into_iter().map(|(key, credential)| (key.number, credential.record)).collect();
        Ok(HeldMailbox { account, usage, means, factor, beside: Beside::default() })
    }

    fn means_elsewhere(&self, person: &str, own: &BTreeSet<AccountId>) -> Result<Vec<HeldMeans>, AccountError> {
        let mut found = Vec::new();
        let mut from: Bound<CredentialKey> = Bound::Unbounded;
        loop {
            let page = self.store().scan::<Credential>((from, Bound::Unbounded), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            from = Bound::Excluded(*last);
            for (key, credential) in page {
                if credential.person.as_deref() != Some(person) || own.contains(&key.account) {
                    continue;
                }
                if let Some(account) = self.by_id(key.account)? {
                    found.push(HeldMeans { account, number: key.number, credential: credential.record });
                }
            }
        }
    }

    fn each_account(&self, mut each: impl FnMut(Account) -> Result<(), AccountError>) -> Result<(), AccountError> {
        let mut after = None;
        loop {
            let page = self.list(&super::ListFilter::default(), after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            page.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Erases one thing; what is gone already is no error. Sessions that rest on it end.
    ///
    /// # Errors
    /// What the store says.
    pub async fn erase_of_person(&self, what: &Erasable) -> Result<(), AccountError> {
        let outcome = match what {
            Erasable::Grant(account, grantee) => self.take_grant(*account, grantee).await.map(drop),
            Erasable::Means(key) => self.remove_credential(*key).await.map(drop),
            Erasable::Details(account) => self.erase_details(*account).await,
        };
        match outcome {
            Err(AccountError::NoGrant | AccountError::NoCredential | AccountError::NoAccount) => Ok(()),
            outcome => outcome,
        }
    }

    async fn erase_details(&self, id: AccountId) -> Result<(), AccountError> {
        let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
        if read.state != AccountState::Closed {
            return Err(AccountError::WrongState(crate::mail::state_of(read.state)));
        }
        let record = store::Account { changed_at: crate::mail::now(), ..without_details(&read.record) };
        let mut batch = Batch::new();
        batch.update(&id, read.version, &record);
        self.follow_up(id, Some(&read.record), &record, &mut batch);
        match self.store().commit(batch).await {
            Err(CommitError::Conflict(_)) => Err(AccountError::Busy),
            outcome => Ok(outcome.map(drop)?),
        }
    }
}
