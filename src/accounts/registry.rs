//! The registry: the operator's domains and accounts.

use std::sync::Arc;

use crate::audit::{Actor, Asker, OneByOne};
use crate::mail::{FIRST_FOLDERS, MailRoom, new_folder};
use crate::mss::lifecycle::Stage;
use crate::mss::{Address, Domain, Kind, MailboxState};
use crate::store::{
    self, AccountId, AccountState, AddressEntry, Batch, CommitError, Committed, Expect, FolderExistence, FolderId,
    FolderKey, KeyOwner, MailboxKey, MetaKey, Store, StoreError, SuspendedFor, Usage, Versioned,
};

use super::access_index::AccessIndex;
use super::account::kind_record;
use super::certificates::CertificateIndex;
use super::devices::{Authorities, DeviceOptions};
use super::factors::FactorOptions;
use super::hashing::{Hasher, HashingOptions};
use super::lives::LifeOptions;
use super::notice::Outbox;
use super::publication::{PublicationOptions, Wake};
use super::refused::RefusedLogins;
use super::sessions::Sessions;
use super::throttle::{Throttle, ThrottleOptions};
use super::{Account, AccountChange, AccountError, NewMailbox, rules};

/// How often a change is tried again when another one came between.
pub(super) const ATTEMPTS: u32 = 8;

/// Accounts read at a time.
const PAGE: usize = 500;

/// Settings of the registry.
#[derive(Clone, Debug, Default)]
pub struct AccountOptions {
    /// How passwords are hashed.
    pub hashing: HashingOptions,
    /// How failed logins are slowed down.
    pub throttle: ThrottleOptions,
    /// Enrolled devices.
    pub devices: DeviceOptions,
    /// Second factors.
    pub factors: FactorOptions,
    /// Mailboxes' lives.
    pub life: LifeOptions,
    /// Holders are told when their mailbox is opened from a new network.
    pub new_places: bool,
    /// What is published in the national directory.
    pub publication: PublicationOptions,
    /// A mailbox needs a notification address (MSSanté §5); those that have none go on.
    pub address_required: bool,
    /// How many refused logins are traced one by one within a minute: of an address at a door, and in all.
    pub refused_logins: OneByOne,
}

/// Who people are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Inner>,
    /// For whom it works, as the traces of its changes tell.
    asker: Arc<Asker>,
}

#[derive(Debug)]
struct Inner {
    room: MailRoom,
    hasher: Hasher,
    throttle: Throttle,
    certificates: CertificateIndex,
    authorities: Authorities,
    devices: DeviceOptions,
    factors: FactorOptions,
    life: LifeOptions,
    new_places: bool,
    outbox: Outbox,
    publication: PublicationOptions,
    publication_wake: Wake,
    address_required: bool,
    access: AccessIndex,
    sessions: Sessions,
    refused: RefusedLogins,
    /// Read while a mailbox is created, written while a domain is taken away: neither comes between the other's steps.
    domains: tokio::sync::RwLock<()>,
}

/// Which accounts a list shows; `None` shows all.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Of one domain.
    pub domain: Option<Domain>,
    /// Of one kind.
    pub kind: Option<Kind>,
    /// In one state.
    pub state: Option<MailboxState>,
    /// In one stage of their lives.
    pub stage: Option<Stage>,
    /// Test mailboxes only, or none of them.
    pub test: Option<bool>,
    /// Those that their password opens alone, or none of them; closed ones are not among them.
    pub password_alone: Option<bool>,
    /// Those that have a notification address, or that lack one; closed ones are not among those that lack it.
    pub notification_address: Option<bool>,
    /// Addresses and names that hold this text, without case.
    pub text: Option<String>,
}

impl Registry {
    /// A registry over the mail room's store.
    pub fn new(room: MailRoom, options: AccountOptions) -> Self {
        let inner = Inner {
            room,
            hasher: Hasher::new(options.hashing),
            throttle: Throttle::new(options.throttle),
            certificates: CertificateIndex::default(),
            authorities: Authorities::default(),
            devices: options.devices,
            factors: options.factors,
            life: options.life,
            new_places: options.new_places,
            outbox: Outbox::default(),
            publication: options.publication,
            publication_wake: Wake::default(),
            address_required: options.address_required,
            access: AccessIndex::default(),
            sessions: Sessions::default(),
            refused: RefusedLogins::new(options.refused_logins),
            domains: tokio::sync::RwLock::default(),
        };
        Self { inner: Arc::new(inner), asker: Arc::new(Asker::server()) }
    }

    /// The same registry, working for somebody: the traces of what it changes name them.
    #[must_use]
    pub fn acting_for(&self, asker: impl Into<Arc<Asker>>) -> Self {
        Self { inner: Arc::clone(&self.inner), asker: asker.into() }
    }

    /// For whom it works.
    pub fn actor(&self) -> &Actor {
        &self.asker.actor
    }

    /// For whom it works, and from where they ask.
    pub fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// The mail room of these accounts.
    pub fn room(&self) -> &MailRoom {
        &self.inner.room
    }

    /// The sessions of all doors.
    pub fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    pub(super) fn store(&self) -> &Store {
        self.inner.room.store()
    }

    /// Whether passwords can be checked at all: not where the system has refused every thread for it.
    pub fn checks_passwords(&self) -> bool {
        self.inner.hasher.is_running()
    }

    pub(super) fn hasher(&self) -> &Hasher {
        &self.inner.hasher
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    pub(super) fn certificates(&self) -> &CertificateIndex {
        &self.inner.certificates
    }

    pub(super) fn authorities(&self) -> &Authorities {
        &self.inner.authorities
    }

    /// Settings of enrolled devices.
    pub fn device_options(&self) -> &DeviceOptions {
        &self.inner.devices
    }

    /// Settings of second factors.
    pub fn factor_options(&self) -> &FactorOptions {
        &self.inner.factors
    }

    /// Settings of mailboxes' lives.
    pub fn life_options(&self) -> &LifeOptions {
        &self.inner.life
    }

    pub(super) fn tells_new_places(&self) -> bool {
        self.inner.new_places
    }

    /// What is published in the national directory.
    pub fn publication_options(&self) -> &PublicationOptions {
        &self.inner.publication
    }

    pub(super) fn publication_wake(&self) -> &Wake {
        &self.inner.publication_wake
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    pub(super) fn access(&self) -> &AccessIndex {
        &self.inner.access
    }

    pub(super) fn refused(&self) -> &RefusedLogins {
        &self.inner.refused
    }

    // ---- domains ----

    /// Makes a domain one of the operator's.
    ///
    /// # Errors
    /// [`AccountError::DomainExists`], or what the store says.
    pub async fn add_domain(&self, domain: &Domain, description: &str) -> Result<Committed, AccountError> {
        let record = store::Domain {
            name: domain.as_str().to_owned(),
            description: description.to_owned(),
            created_at: crate::mail::now(),
            ..store::Domain::default()
        };
        let mut batch = Batch::new();
        batch.insert(&record.name.clone(), &record);
        self.note("domain-added", None, Some(&record.name), &mut batch);
        match self.store().commit(batch).await {
            Err(CommitError::Conflict(_)) => Err(AccountError::DomainExists(record.name)),
            outcome => Ok(outcome?),
        }
    }

    /// Takes a domain away that has no mailboxes but closed ones. Their addresses stay closed for good.
    ///
    /// # Errors
    /// [`AccountError::NotOwnDomain`], [`AccountError::DomainInUse`], or what the store says.
    pub async fn remove_domain(&self, domain: &Domain) -> Result<Committed, AccountError> {
        let _no_creation = self.inner.domains.write().await;
        for attempt in 0..ATTEMPTS {
            let record = self.domain_record(domain)?;
            let is_used = self.has_mailboxes(domain)?;
            if is_used {
                return Err(AccountError::DomainInUse(domain.to_string()));
            }
            let key = domain.as_str().to_owned();
            let mut batch = Batch::new();
            batch.expect::<store::Domain>(&key, Expect::Version(record.version)).delete::<store::Domain>(&key);
            self.note("domain-removed", None, Some(&key), &mut batch);
            match self.store().commit(batch).await {
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                outcome => return Ok(outcome?),
            }
        }
        Err(AccountError::Busy)
    }

    /// Whether a domain has a mailbox that is not closed.
    fn has_mailboxes(&self, domain: &Domain) -> Result<bool, AccountError> {
        for state in [MailboxState::Open, MailboxState::Suspended] {
            let filter = ListFilter { domain: Some(domain.clone()), state: Some(state), ..ListFilter::default() };
            if !self.list(&filter, None, 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The operator's domains, by name.
    ///
    /// # Errors
    /// What the store says.
    pub fn domains(&self) -> Result<Vec<store::Domain>, AccountError> {
        let rows = self.store().scan::<store::Domain>(.., usize::MAX)?;
        Ok(rows.into_iter().map(|(_, domain)| domain.record).collect())
    }

    /// Whether a domain is one of the operator's.
    ///
    /// # Errors
    /// What the store says.
    pub fn is_own(&self, domain: &Domain) -> Result<bool, AccountError> {
        Ok(self.store().get::<store::Domain>(&domain.as_str().to_owned())?.is_some())
    }

    pub(super) fn domain_record(&self, domain: &Domain) -> Result<Versioned<store::Domain>, AccountError> {
        let record = self.store().get::<store::Domain>(&domain.as_str().to_owned())?;
        record.ok_or_else(|| AccountError::NotOwnDomain(domain.to_string()))
    }

    // ---- accounts ----

    /// Creates a mailbox: account, key and first folders in one commit. It opens at once, or as soon as its holder accepts the
    /// terms of use, where there are any to be asked for (MSSanté §5).
    ///
    /// # Errors
    /// [`AccountError::NotOwnDomain`], [`AccountError::AddressTaken`], [`AccountError::AddressClosed`],
    /// [`AccountError::Rule`], or what the store says.
    pub async fn create(&self, new: NewMailbox) -> Result<Account, AccountError> {
        rules::check_local_part(&new.address)?;
        let mut record = new_record(&new);
        rules::check(&record)?;
        self.check_grants(None, &record.access_list)?;
        let _no_removal = self.inner.domains.read().await;
        self.address_is_free(&new.address)?;
        self.domain_record(new.address.domain())?;
        if self.inner.address_required {
            rules::check_can_be_told(&record)?;
        }
        if self.life_of(&record).terms.asked && self.terms_in_force()?.is_some() {
            (record.state, record.suspended_for) = (AccountState::Suspended, Some(SuspendedFor::Request));
        }
        let id = self.number_with_key().await?;
        let mut numbers = Vec::with_capacity(FIRST_FOLDERS.len());
        for _ in FIRST_FOLDERS {
            numbers.push(self.room().next_folder_id().await?);
        }
        for attempt in 0..ATTEMPTS {
            self.address_is_free(&new.address)?;
            let mut batch = creation(id, &new.address, &record, &numbers);
            self.follow_up(id, None, &record, &mut batch);
            match self.store().commit(batch).await {
                Ok(_) => {
                    self.access().note(id, &record);
                    return Account::from_record(id, record);
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
    }

    /// A number for a new mailbox, and its key, on disk before the commit that names them; of a creation that fails, a slot
    /// stays that nobody asks for.
    async fn number_with_key(&self) -> Result<AccountId, AccountError> {
        loop {
            let id = AccountId(self.store().allocate(MetaKey::NextAccount, 1).await?);
            let sealed = self.room().master().seal(id, &MailboxKey::generate());
            match self.store().insert_key(KeyOwner::Mailbox(id), sealed).await {
                Ok(()) => return Ok(id),
                // In a backup the keys are younger than the log: the number was given after the log was copied.
                Err(StoreError::KeyTaken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn address_is_free(&self, address: &Address) -> Result<(), AccountError> {
        match self.store().get::<AddressEntry>(&address.key())?.map(|entry| entry.record) {
            None => Ok(()),
            Some(AddressEntry::Account(_)) => Err(AccountError::AddressTaken),
            Some(AddressEntry::Closed { .. }) => Err(AccountError::AddressClosed),
        }
    }

    /// The account with an address, in any case; also a closed one, so that a refusal can say what it is.
    ///
    /// # Errors
    /// What the store says.
    pub fn by_address(&self, address: &Address) -> Result<Option<Account>, AccountError> {
        match self.store().get::<AddressEntry>(&address.key())?.map(|entry| entry.record) {
            None => Ok(None),
            Some(AddressEntry::Account(id) | AddressEntry::Closed { account: id, .. }) => self.by_id(id),
        }
    }

    /// The account with a number.
    ///
    /// # Errors
    /// What the store says.
    pub fn by_id(&self, id: AccountId) -> Result<Option<Account>, AccountError> {
        let record = self.store().get::<store::Account>(&id)?;
        record.map(|record| Account::from_record(id, record.record)).transpose()
    }

    /// Up to `limit` accounts that the filter lets through, by number, after the one given: pages of a list.
    ///
    /// # Errors
    /// What the store says.
    pub fn list(
        &self,
        filter: &ListFilter,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, AccountError> {
        let mut found = Vec::new();
        let mut from = AccountId(after.map_or(0, |id| id.0.saturating_add(1)));
        loop {
            let page = self.store().scan::<store::Account>(from.., PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            from = AccountId(last.0.saturating_add(1));
            for (id, record) in page {
                let Ok(account) = Account::from_record(id, record.record) else { continue };
                if filter.lets_through(&account) {
                    found.push(account);
                }
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
    }

    /// Changes data of an account. Sessions that it leaves without their right end.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`], [`AccountError::Closed`], [`AccountError::Rule`], [`AccountError::BadGrant`], or what the
    /// store says.
    pub async fn set(&self, id: AccountId, change: &AccountChange) -> Result<Account, AccountError> {
        if let Some(list) = &change.access_list {
            self.check_grants(Some(id), list)?;
        }
        self.update(id, |record| {
            let could_be_told = rules::check_can_be_told(record).is_ok();
            change.apply(record);
            if could_be_told && self.inner.address_required {
                rules::check_can_be_told(record)?;
            }
            Ok(())
        })
        .await
    }

    /// Changes an account's record, checks the rules and commits; again when another change came between.
    pub(super) async fn update(
        &self,
        id: AccountId,
        change: impl Fn(&mut store::Account) -> Result<(), AccountError>,
    ) -> Result<Account, AccountError> {
        let within_rules = |record: &mut store::Account| -> Result<(), AccountError> {
            change(record)?;
            Ok(rules::check(record)?)
        };
        self.rewrite(id, within_rules).await
    }

    /// As [`Registry::update`], of what no rule is about: a record that is older than today's rules takes it as well.
    pub(super) async fn note_in(
        &self,
        id: AccountId,
        change: impl Fn(&mut store::Account),
    ) -> Result<Account, AccountError> {
        let noted = |record: &mut store::Account| {
            change(record);
            Ok(())
        };
        self.rewrite(id, noted).await
    }

    async fn rewrite(
        &self,
        id: AccountId,
        change: impl Fn(&mut store::Account) -> Result<(), AccountError>,
    ) -> Result<Account, AccountError> {
        for attempt in 0..ATTEMPTS {
            let read = self.store().get::<store::Account>(&id)?.ok_or(AccountError::NoAccount)?;
            if read.state == AccountState::Closed {
                return Err(AccountError::Closed);
            }
            let mut record = read.record.clone();
            change(&mut record)?;
            if record == read.record {
                return Account::from_record(id, record);
            }
            record.changed_at = crate::mail::now();
            let mut batch = Batch::new();
            batch.update(&id, read.version, &record);
            self.follow_up(id, Some(&read.record), &record, &mut batch);
            match self.store().commit(batch).await {
                Ok(_) => {
                    if (&read.holder, &read.access_list, read.allow_password)
                        != (&record.holder, &record.access_list, record.allow_password)
                    {
                        self.access().note(id, &record);
                        self.review(id, read.holder.national_id.as_deref());
                        self.room().look_again(id);
                    }
                    return Account::from_record(id, record);
                }
                Err(CommitError::Conflict(_)) => crate::mail::pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountError::Busy)
    }
}

impl ListFilter {
    fn lets_through(&self, account: &Account) -> bool {
        let holder = &account.data.holder;
        let holds =
            |text: &str, within: Option<&str>| within.is_some_and(|within| within.to_lowercase().contains(text));
        let text_fits = self.text.as_ref().is_none_or(|text| {
            let text = text.to_lowercase();
            let names = [&holder.first_name, &holder.last_name, &holder.label, &holder.entity];
            holds(&text, Some(&account.data.address)) || names.into_iter().any(|name| holds(&text, name.as_deref()))
        });
        self.domain.as_ref().is_none_or(|domain| domain == account.address.domain())
            && self.kind.is_none_or(|kind| kind == account.kind)
            && self.state.is_none_or(|state| state == account.state)
            && self.stage.is_none_or(|stage| stage == account.stage())
            && self.test.is_none_or(|test| test == account.data.test)
            && self.password_alone.is_none_or(|alone| alone == account.opens_by_password_alone())
            && self.notification_address.is_none_or(|has| has != account.lacks_notification_address())
            && text_fits
    }
}

fn new_record(new: &NewMailbox) -> store::Account {
    let now = crate::mail::now();
    store::Account {
        address: new.address.to_string(),
        kind: kind_record(new.kind),
        state: AccountState::Open,
        test: new.test,
        restricted: new.restricted,
        red_list: new.red_list,
        zero_paper: new.zero_paper,
        save_sent: new.save_sent,
        holder: new.holder.clone(),
        access_list: new.access_list.clone(),
        notification_address: new.notification_address.clone(),
        quota: new.quota,
        allow_password: new.allow_password,
        comment: new.comment.clone(),
        created_at: now,
        changed_at: now,
        state_changed_at: now,
        ..store::Account::default()
    }
}

fn creation(id: AccountId, address: &Address, record: &store::Account, numbers: &[u64]) -> Batch {
    let mut batch = Batch::new();
    batch.insert(&address.key(), &AddressEntry::Account(id));
    batch.insert(&id, record);
    batch.insert(&id, &Usage::default());
    for ((name, special_use), number) in FIRST_FOLDERS.into_iter().zip(numbers) {
        let key = FolderKey { account: id, folder: FolderId(*number) };
        let folder = new_folder(*number, name, FolderExistence::Selectable, record.created_at);
        batch.insert(&key, &store::Folder { special_use, subscribed: true, ..folder });
    }
    batch
}
