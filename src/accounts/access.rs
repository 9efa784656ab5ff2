//! Who may do what in which mailbox: holders, access lists (delegation, MSSanté §4), and logins that go on standing or not.
//!
//! # Rules
//!
//! 1. Rights are read from the account's record at each decision. Nothing here is remembered but hints.
//! 2. A login tells who somebody is ([`Registry::person_of`]) when it was made with a Pro Santé Connect token, or with what opens the
//!    person's own PER mailbox. A password that a practice or a service shares opens its own mailbox and no other.
//! 3. A mailbox that is not open gives nobody anything, neither itself nor what its holder may do elsewhere by it.
//! 4. A password that opens its mailbox alone (one that is marked for tests) reaches marked mailboxes only.

use std::net::IpAddr;

use super::access_index::Opener;
use super::passwords::FirstFactor;
use super::sessions::{Ending, OpenSession, SessionTicket};
use super::{Account, AccountError, Login, LoginError, Means, RefusedLogin, Registry};
use crate::audit::Action;
use crate::mss::{Address, Kind, Rights};
use crate::store::{AccountId, Credential, CredentialKey, CredentialKind};

/// A mailbox that somebody may use beside their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// Its account.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// Its kind.
    pub kind: Kind,
    /// What they may do in it.
    pub rights: Rights,
}

/// Looking up.
impl Registry {
    /// What a login may do in a mailbox now; none in one that is not open.
    ///
    /// # Errors
    /// What the store says.
    pub fn rights_on(&self, login: &Login, mailbox: AccountId) -> Result<Rights, AccountError> {
        let Some(account) = self.by_id(mailbox)?.filter(Account::is_open) else { return Ok(Rights::NONE) };
        let rights = self.rights_in(login, &account)?;
        if account.id != login.account && !rights.is_empty() {
            // A mailbox that is only ever opened beside others' own ones is in use too (MSSanté §5).
            self.note_use(&account, None);
        }
        Ok(rights)
    }

    /// The same of an account that was read already, whatever its state.
    ///
    /// # Errors
    /// What the store says.
    pub fn rights_in(&self, login: &Login, account: &Account) -> Result<Rights, AccountError> {
        if account.id == login.account {
            return self.own_rights(login, account);
        }
        match self.person_of(login)? {
            Some(person) if reaches(login, account) => self.rights_of(&person, account),
            _ => Ok(Rights::NONE),
        }
    }

    /// The open mailboxes that a login may use beside its own, by number: those that the person holds, and those whose
    /// access lists let them in.
    ///
    /// # Errors
    /// What the store says.
    pub fn shared_with(&self, login: &Login) -> Result<Vec<SharedMailbox>, AccountError> {
        let Some(person) = self.person_of(login)? else { return Ok(Vec::new()) };
        self.opened_to(&person, |account| account.id != login.account && reaches(login, account))
    }

    /// The open mailboxes that a person may use, by number.
    ///
    /// # Errors
    /// What the store says.
    pub fn opened_by_person(&self, person: &str) -> Result<Vec<SharedMailbox>, AccountError> {
        self.opened_to(person, |_| true)
    }

    fn opened_to(&self, person: &str, wanted: impl Fn(&Account) -> bool) -> Result<Vec<SharedMailbox>, AccountError> {
        let mut found = Vec::new();
        for account in self.accounts_of(person)?.into_iter().filter(wanted) {
            let rights = self.rights_of(person, &account)?;
            if account.is_open() && !rights.is_empty() {
                let Account { id, address, kind, .. } = account;
                found.push(SharedMailbox { account: id, address, kind, rights });
            }
        }
        Ok(found)
    }

    /// Reads every account once, so that no login has to: at the server's start.
    ///
    /// # Errors
    /// What the store says.
    pub fn prepare_access(&self) -> Result<(), AccountError> {
        Ok(self.access().build(self.store())?)
    }

    /// Accounts that may be the person's, in whatever state; their records decide.
    pub(super) fn accounts_of(&self, person: &str) -> Result<Vec<Account>, AccountError> {
        let by_person = [Opener::Person(person.into())];
        let mut ids = self.access().opened_by(self.store(), &by_person)?;
        let mut held = Vec::new();
        for id in &ids {
            held.extend(self.by_id(*id)?.filter(|account| account.kind == Kind::Per && account.is_held_by(person)));
        }
        let by_mailbox: Vec<Opener> = held.iter().map(|account| Opener::Mailbox(account.id)).collect();
        ids.extend(self.access().opened_by(self.store(), &by_mailbox)?);
        ids.sort_unstable();
        ids.dedup();
        let accounts = ids.into_iter().filter_map(|id| self.by_id(id).transpose());
        accounts.collect()
    }

    /// MSSanté §4: PER is opened by its holder, CAB and ORG by the persons on their access lists (and CAB by its holder); APP
    /// by software alone.
    pub(super) fn rights_of(&self, person: &str, account: &Account) -> Result<Rights, AccountError> {
        if person.is_empty() || account.kind == Kind::App {
            return Ok(Rights::NONE);
        }
        if account.is_held_by(person) {
            return Ok(Rights::all());
        }
        let now = crate::mail::now();
        let mut rights = account.granted(Some(person), None, now);
        for mailbox in account.data.access_list.iter().filter_map(|grant| grant.mailbox) {
            let is_theirs = |own: &Account| own.kind == Kind::Per && own.is_open() && own.is_held_by(person);
            if self.by_id(mailbox)?.as_ref().is_some_and(is_theirs) {
                rights = rights.and(account.granted(None, Some(mailbox), now));
            }
        }
        Ok(rights)
    }

    /// What a login may do in the mailbox that it has open.
    fn own_rights(&self, login: &Login, account: &Account) -> Result<Rights, AccountError> {
        let enrolled_for = match (&login.means, login.credential) {
            (Means::Device { .. }, Some(key)) if key.account == account.id => match self.enrolled_for(key)? {
                Some(person) => Some(person),
                None => return Ok(Rights::NONE),
            },
            // The mailbox's own password, or its software's certificate.
            (_, Some(key)) if key.account == account.id => None,
            _ => match self.person_of(login)? {
                Some(person) if reaches(login, account) => Some(person),
                _ => return Ok(Rights::NONE),
            },
        };
        match enrolled_for {
            Some(person) => self.rights_of(&person, account),
            None => Ok(Rights::all()),
        }
    }

    /// The person for whom a workstation was enrolled: in a shared mailbox it opens what that person may do.
    pub(super) fn enrolled_for(&self, key: CredentialKey) -> Result<Option<String>, AccountError> {
        Ok(self.store().get::<Credential>(&key)?.and_then(|credential| credential.record.person))
    }

    /// Who somebody is (national id), where their login tells.
    fn person_of(&self, login: &Login) -> Result<Option<String>, AccountError> {
        let Some(person) = &login.person else { return Ok(None) };
        let Some(key) = login.credential else { return Ok(Some(person.clone())) };
        let is_theirs = |own: &Account| own.kind == Kind::Per && own.is_open() && own.is_held_by(person);
        Ok(self.by_id(key.account)?.filter(is_theirs).map(|_| person.clone()))
    }
}

/// Coming in.
impl Registry {
    /// Lets a person in whose token Pro Santé Connect has vouched for. `user`: the mailbox's address; empty: the one mailbox
    /// that the person holds (MSSanté §6).
    ///
    /// Whether the mailbox is restricted (a user without a health card, MSSanté §4) bounds what it exchanges, not who opens
    /// it: whom Pro Santé Connect knows has shown a card.
    ///
    /// # Errors
    /// [`LoginError`]; the same for an address that nobody has and for a mailbox that is not the person's.
    pub fn open_for_person(&self, person: &str, user: &str) -> Result<Login, LoginError> {
        let account = match user.trim() {
            "" => self.only_one_held_by(person)?,
            address => {
                let address = Address::parse(address).map_err(|_| LoginError::PersonRefused)?;
                self.by_address(&address)?.ok_or(LoginError::PersonRefused)?
            }
        };
        self.let_in_person(&account, person, Means::ProSanteConnect)
    }

    fn only_one_held_by(&self, person: &str) -> Result<Account, LoginError> {
        let mut held = self.accounts_of(person)?;
        held.retain(|account| account.is_held_by(person) && account.state != crate::mss::MailboxState::Closed);
        match (held.pop(), held.is_empty()) {
            (None, _) => Err(LoginError::PersonRefused),
            (Some(account), true) => Ok(account),
            (Some(_), false) => Err(LoginError::Ambiguous),
        }
    }

    /// The mailbox that an authorisation id names, other than the one that `login` was made in: opened by what the person who
    /// holds that one may do here. One answer for a mailbox that is not there, and for one that does not let them in.
    pub(super) fn let_in_elsewhere(&self, login: &Login, named: &str) -> Result<Login, LoginError> {
        let person = self.person_of(login)?.ok_or(LoginError::PersonRefused)?;
        let address = Address::parse(named).map_err(|_| LoginError::PersonRefused)?;
        let account = self.by_address(&address)?.filter(|account| reaches(login, account));
        let account = account.ok_or(LoginError::PersonRefused)?;
        let there = self.let_in_person(&account, &person, login.means.clone())?;
        let device = login.device.clone();
        Ok(Login { credential: login.credential, password: login.password, device, ..there })
    }

    /// A login of a person in a mailbox that they hold, or whose access list lets them in.
    fn let_in_person(&self, account: &Account, person: &str, means: Means) -> Result<Login, LoginError> {
        let rights = self.rights_of(person, account)?;
        if rights.is_empty() {
            return Err(LoginError::PersonRefused);
        }
        if !account.is_open() {
            return Err(account.not_open());
        }
        self.note_use(account, None);
        Ok(Login {
            account: account.id,
            address: account.address.clone(),
            kind: account.kind,
            person: Some(person.to_owned()),
            rights,
            means,
            credential: None,
            password: None,
            device: None,
        })
    }

    /// Lets a login in: [`Registry::enter`], and its trace. Nobody is in whose coming is not written down; who is not let in
    /// has a trace too.
    ///
    /// # Errors
    /// As [`Registry::enter`]; [`LoginError::Unavailable`] when it cannot be written down.
    pub async fn let_in(
        &self,
        login: &Login,
        door: &'static str,
        peer: IpAddr,
        most: usize,
    ) -> Result<SessionTicket, LoginError> {
        let entered = self.enter_traced(login, door, peer, most).await;
        if let Err(error) = &entered {
            let (person, asked) = (login.person.as_deref(), &login.address.to_string());
            let (means, reason) = (login.means.name(), error.name());
            self.note_refused(RefusedLogin { door, peer, means, person, asked, reason });
        }
        entered
    }

    async fn enter_traced(
        &self,
        login: &Login,
        door: &'static str,
        peer: IpAddr,
        most: usize,
    ) -> Result<SessionTicket, LoginError> {
        let mut ticket = self.enter(login, door, peer, most)?;
        let (traces, mailbox) = (self.room().traces(), login.address.to_string());
        let written = traces.write([ticket.session().asker().trace(Some(&mailbox), Action::LoggedIn)]);
        // Before the wait: whoever goes away meanwhile has come and gone.
        ticket.trace_end(Some(traces.clone()));
        if let Err(error) = written.await {
            ticket.trace_end(None);
            return Err(error.into());
        }
        Ok(ticket)
    }

    /// Puts a login on the list of sessions, and asks once more whether it stands: what was taken away meanwhile has either
    /// found the session there, or is found here.
    ///
    /// # Errors
    /// [`LoginError::TooManySessions`], [`LoginError::NotOpen`], [`LoginError::Ended`], or what the store says.
    pub fn enter(
        &self,
        login: &Login,
        door: &'static str,
        peer: IpAddr,
        most: usize,
    ) -> Result<SessionTicket, LoginError> {
        let ticket = self.sessions().enter(login, door, peer, most).ok_or(LoginError::TooManySessions)?;
        match self.ending_of(login)? {
            None => Ok(ticket),
            Some(ending) => Err(LoginError::Ended(ending)),
        }
    }
}

/// Going on.
impl Registry {
    /// Why a login does not stand any more; `None`: it does.
    fn ending_of(&self, login: &Login) -> Result<Option<Ending>, AccountError> {
        let Some(account) = self.by_id(login.account)? else { return Ok(Some(Ending::Closed)) };
        if let Some(ending) = Ending::of_state(account.state) {
            return Ok(Some(ending));
        }
        if login.means == Means::Password && !self.opens_alone(login)? {
            return Ok(Some(Ending::CredentialGone));
        }
        for key in login.credential.iter().chain(&login.password) {
            if key.account != account.id
                && let Some(ending) =
                    self.by_id(key.account)?.map_or(Some(Ending::Closed), |a| Ending::of_state(a.state))
            {
                return Ok(Some(ending));
            }
            if !self.is_in_force(*key)? {
                return Ok(Some(Ending::CredentialGone));
            }
        }
        let rights = self.own_rights(login, &account)?;
        let has_all = login.rights.iter().all(|right| rights.has(right));
        Ok((!has_all).then_some(Ending::AccessChanged))
    }

    /// Why a password that was right is the first of two factors no more; `None`: it is. A mailbox that was suspended
    /// meanwhile, and opened again, is begun with anew.
    ///
    /// # Errors
    /// What the store says.
    pub fn ending_of_first_factor(&self, first: &FirstFactor) -> Result<Option<Ending>, AccountError> {
        let Some(account) = self.by_id(first.account)? else { return Ok(Some(Ending::Closed)) };
        // Who still has to accept the terms does so after the second factor.
        if let Some(ending) = Ending::of_state(account.state).filter(|_| !account.awaits_terms()) {
            return Ok(Some(ending));
        }
        if account.data.state_changed_at != first.state_changed_at {
            return Ok(Some(Ending::Suspended));
        }
        Ok((!self.is_in_force(first.password)?).then_some(Ending::CredentialGone))
    }

    /// Whether the mailbox of the password that a login was made with is still marked to be opened by it alone.
    fn opens_alone(&self, login: &Login) -> Result<bool, AccountError> {
        let own = login.credential.map_or(login.account, |key| key.account);
        Ok(self.by_id(own)?.is_some_and(|account| account.data.allow_password))
    }

    /// Whether a credential is there, in its time, and still fits the account.
    fn is_in_force(&self, key: CredentialKey) -> Result<bool, AccountError> {
        let Some(credential) = self.store().get::<Credential>(&key)? else { return Ok(false) };
        let is_valid = credential.expires_at.is_none_or(|end| crate::mail::now() < end);
        let fits = match &credential.kind {
            CredentialKind::CertificateStructure { structure_id } => {
                let account = self.by_id(key.account)?;
                account.is_some_and(|account| account.data.holder.structure_id.as_ref() == Some(structure_id))
            }
            _ => true,
        };
        Ok(is_valid && fits)
    }

    /// Ends the sessions that an account's change leaves without their right: those in it, those made with what opens it, and
    /// those of the person who held it before.
    pub(super) fn review(&self, changed: AccountId, holder_before: Option<&str>) {
        self.review_where(|OpenSession { login, .. }| {
            let by_it = |key: &Option<CredentialKey>| key.is_some_and(|key| key.account == changed);
            let by_holder = login.person.is_some() && login.person.as_deref() == holder_before;
            login.account == changed || by_it(&login.credential) || by_holder
        });
    }

    /// Ends every session that stands no more: a grant or a device whose time is over ends by nobody's doing. To be called
    /// once a minute or so.
    pub fn review_sessions(&self) {
        self.review_where(|_| true);
    }

    fn review_where(&self, concerned: impl Fn(&OpenSession) -> bool) {
        for session in self.sessions().list().into_iter().filter(|session| concerned(session)) {
            match self.ending_of(&session.login) {
                Ok(None) => {}
                Ok(Some(why)) => drop(self.sessions().end(session.id, why)),
                Err(error) => tracing::error!(%error, session = %session.id, "whether a session stands is not known"),
            }
        }
    }

    /// A credential is gone: so are the sessions made with it.
    pub(super) fn end_sessions_by(&self, gone: CredentialKey) {
        let by_it =
            |OpenSession { login, .. }: &OpenSession| login.credential == Some(gone) || login.password == Some(gone);
        self.sessions().end_where(by_it, Ending::CredentialGone);
    }
}

/// Whether what a login was made with may open another mailbox than its own: a password alone opens none that is not marked
/// for it.
fn reaches(login: &Login, other: &Account) -> bool {
    login.means != Means::Password || other.data.allow_password
}
