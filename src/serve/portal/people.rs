//! Who somebody is and what is theirs: everything that the page asks of the rooms below.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::terms::{Entrant, Shown};
use super::{Desk, texts};
use crate::accounts::devices::{Device, DeviceCredentials, DeviceError, DeviceKey, Enrolled, Pkcs12Form};
use crate::accounts::factors::FactorError;
use crate::accounts::{
    Ending, FirstFactor, Login, LoginError, Means, RefusedLogin, Registry, SessionId, SessionTicket, SharedMailbox,
};
use crate::mss::{Address, Kind, Right, Rights};
use crate::store::{AccountId, CredentialKey, CredentialKind};
use crate::telemetry::{AccountLabel, Door};

/// How somebody has shown who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// With Pro Santé Connect.
    Psc,
    /// With the mailbox's password and a one-time code.
    Code,
}

/// What somebody comes in with, in traces of who did not.
pub(super) const PASSWORD: &str = "password";
pub(super) const CODE: &str = "password-and-code";
pub(super) const PSC: &str = "pro-sante-connect";

/// Most sessions of one person in one mailbox at this door; those who come with a service's password and a code are one.
const MOST_OF_PERSON: usize = 100;

/// Somebody whose password was right.
pub(super) struct Halfway {
    pub(super) first: FirstFactor,
    /// Which login a mailed code is good for.
    pub(super) attempt: String,
}

/// Somebody known by Pro Santé Connect, and the mailboxes that are open to them.
pub(super) struct Newcomer {
    pub(super) national_id: String,
    pub(super) name: String,
    pub(super) mailboxes: Vec<SharedMailbox>,
}

/// Somebody in a mailbox. On the list of all doors' sessions as long as it lives.
pub(super) struct Seat {
    ticket: SessionTicket,
    pub(super) way: Way,
    /// Whom another mailbox can be chosen for.
    pub(super) newcomer: Option<Arc<Newcomer>>,
    /// They are the professional whose mailbox it is or came by its secrets, or it is a structure's.
    secrets_are_theirs: bool,
}

/// A workstation's file, to be fetched.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) file: Zeroizing<Vec<u8>>,
}

impl Seat {
    pub(super) fn login(&self) -> &Login {
        self.ticket.login()
    }

    /// Notes a request; says why the session is to end, once it is.
    pub(super) fn look(&self) -> Option<Ending> {
        self.ticket.touch();
        self.ticket.session().ending()
    }

    /// They have said goodbye.
    pub(super) fn leave(&self) {
        self.ticket.leave("logout");
    }

    /// The session's number, for the log: it tells who did something in a mailbox of many.
    pub(super) fn session(&self) -> SessionId {
        self.ticket.id()
    }

    fn manages(&self) -> bool {
        self.login().rights.has(Right::Manage)
    }

    /// Who they are, where a workstation can be theirs. Who came by what a practice or a service shares is nobody by name.
    pub(super) fn person(&self) -> Option<&str> {
        self.login().person.as_deref()
    }

    /// Whether the password and the codes are theirs to mind. By these one comes into the professional's mailbox with all rights,
    /// into a personal one as the professional: so there they are the professional's own, whatever others may manage.
    pub(super) fn minds_secrets(&self) -> bool {
        self.manages() && self.secrets_are_theirs
    }

    /// Whether a workstation is theirs to see and take away: their own, and every one where they manage.
    fn minds(&self, device: &Device) -> bool {
        self.manages() || self.owns(device)
    }

    /// Whether a workstation is their own. Only then it is theirs to renew: its certificate stands for its person.
    pub(super) fn owns(&self, device: &Device) -> bool {
        self.person().is_some_and(|person| device.person.as_deref() == Some(person))
    }
}

impl Desk {
    /// The first of two steps: the mailbox's password. Counted like every login.
    pub(super) async fn check_password(
        &self,
        address: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<FirstFactor, LoginError> {
        let registry = self.shared.registry.clone();
        let asked = address.to_owned();
        let (address, password) = (address.to_owned(), Zeroizing::new(password.to_owned()));
        // In a task of its own, to its end: who hangs up before the answer has guessed all the same.
        let checking = tokio::spawn(async move { registry.check_password(&address, &password, peer).await });
        let checked = checking.await.unwrap_or(Err(LoginError::Busy));
        self.count("portal-password", checked.as_ref().err());
        if let Err(error) = &checked {
            self.note_refused(peer, PASSWORD, None, &asked, error.name());
        }
        checked
    }

    /// Counts a login, or a step of one.
    fn count(&self, means: &'static str, error: Option<&LoginError>) {
        let result = match error {
            None => "ok",
            Some(error) if error.is_temporary() => "unavailable",
            Some(_) => "refused",
        };
        self.shared.metrics.logins.get_or_create(&AccountLabel { means, result }).inc();
        if let Some(reason) = error {
            tracing::info!(means, %reason, "login refused");
        }
    }

    /// Somebody whose password and code were right.
    pub(super) fn entrant_by_code(&self, password: CredentialKey) -> Result<Entrant, LoginError> {
        let account = self.shared.registry.by_id(password.account)?.ok_or(LoginError::Refused)?;
        let person = account.data.holder.national_id.filter(|_| account.kind == Kind::Per);
        Ok(Entrant { account: account.id, address: account.address, person, shown: Shown::Code(password) })
    }

    /// Seats somebody whose password and code were right. They are the holder's own in a personal mailbox; what opens a
    /// practice's or a service's is shared there, and says of nobody who they are (MSSanté §4).
    pub(super) async fn seat_by_code(&self, password: CredentialKey, peer: IpAddr) -> Result<Seat, LoginError> {
        let account = self.shared.registry.by_id(password.account)?.ok_or(LoginError::Refused)?;
        // Strong authentication, as any other (MSSanté §5).
        self.shared.registry.note_use(&account, Some(password));
        let login = Login {
            account: account.id,
            address: account.address,
            kind: account.kind,
            person: account.data.holder.national_id.filter(|_| account.kind == Kind::Per),
            rights: Rights::all(),
            means: Means::PasswordAndCode,
            credential: Some(password),
            password: None,
            device: None,
        };
        self.seat(&login, Way::Code, None, peer).await
    }

    /// The password that a mailbox has now.
    pub(super) fn password_of(&self, account: AccountId) -> Result<CredentialKey, LoginError> {
        let is_password = |kind: &CredentialKind| matches!(kind, CredentialKind::Password { .. });
        let mut credentials = self.shared.registry.credentials(account)?.into_iter();
        let found = credentials.find(|(_, stored)| is_password(&stored.kind));
        found.map(|(key, _)| key).ok_or(LoginError::Refused)
    }

    /// Seats somebody whom Pro Santé Connect knows, in one of their mailboxes; asked again, whatever was offered before.
    pub(super) async fn seat_by_psc(
        &self,
        person: &str,
        address: &Address,
        newcomer: Option<Arc<Newcomer>>,
        peer: IpAddr,
    ) -> Result<Seat, LoginError> {
        let asked = address.to_string();
        let opened = self.shared.registry.open_for_person(person, &asked);
        let login = opened.inspect_err(|error| {
            self.note_refused(peer, PSC, Some(person), &asked, error.name());
        })?;
        self.seat(&login, Way::Psc, newcomer, peer).await
    }

    /// Writes down that somebody was not let in here.
    pub(super) fn note_refused(
        &self,
        peer: IpAddr,
        means: &'static str,
        person: Option<&str>,
        asked: &str,
        reason: &str,
    ) {
        let door = Door::Portal.name();
        self.shared.registry.note_refused(RefusedLogin { door, peer, means, person, asked, reason });
    }

    /// The registry, working for somebody in a mailbox.
    pub(super) fn registry_for(&self, seat: &Seat) -> Registry {
        self.shared.registry.acting_for(Arc::clone(seat.ticket.session().asker()))
    }

    async fn seat(
        &self,
        login: &Login,
        way: Way,
        newcomer: Option<Arc<Newcomer>>,
        peer: IpAddr,
    ) -> Result<Seat, LoginError> {
        let means = if way == Way::Psc { "portal-psc" } else { "portal-code" };
        let ticket = self.shared.registry.let_in(login, Door::Portal.name(), peer, MOST_OF_PERSON).await;
        self.count(means, ticket.as_ref().err());
        let ticket = ticket?;
        let secrets_are_theirs = way == Way::Code || self.is_holder_or_of_structure(login)?;
        tracing::info!(event = "portal.login", account = %login.account, session = %ticket.id(), means, %peer, "logged in");
        Ok(Seat { ticket, way, newcomer, secrets_are_theirs })
    }

    fn is_holder_or_of_structure(&self, login: &Login) -> Result<bool, LoginError> {
        let Some(account) = self.shared.registry.by_id(login.account)? else { return Ok(false) };
        let is_professionals = matches!(account.kind, Kind::Per | Kind::Cab);
        Ok(!is_professionals || login.person.as_deref().is_some_and(|person| account.is_held_by(person)))
    }

    /// The workstations that somebody may see, newest first.
    pub(super) fn devices(&self, seat: &Seat) -> Result<Vec<Device>, Refusal> {
        let mut devices = self.shared.registry.devices(seat.login().account)?;
        devices.retain(|device| seat.minds(device));
        devices.reverse();
        Ok(devices)
    }

    /// One of them.
    pub(super) fn device(&self, seat: &Seat, number: u32) -> Result<Device, Refusal> {
        let found = self.devices(seat)?.into_iter().find(|device| device.number == number);
        found.ok_or_else(no_device)
    }
}

fn no_device() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, texts::NO_DEVICE_TITLE, texts::NO_DEVICE)
}

/// What a form is told, or why there is no form to tell it.
pub(super) enum Mishap {
    /// Beside the field.
    Field(String),
    /// A page of its own.
    Page(Refusal),
}

impl From<Refusal> for Mishap {
    fn from(refusal: Refusal) -> Self {
        Mishap::Page(refusal)
    }
}

impl From<DeviceError> for Mishap {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::BadName(_) => Mishap::Field(texts::BAD_NAME.to_owned()),
            DeviceError::NameTaken => Mishap::Field(texts::NAME_TAKEN.to_owned()),
            DeviceError::TooMany(most) => Mishap::Field(texts::too_many_devices(most)),
            DeviceError::BadRequest(_) => Mishap::Field(texts::BAD_CSR.to_owned()),
            error => Mishap::Page(error.into()),
        }
    }
}

impl From<DeviceError> for Refusal {
    fn from(error: DeviceError) -> Self {
        let conflict = |text: String| Refusal::new(StatusCode::CONFLICT, texts::CANNOT_TITLE, text);
        match error {
            DeviceError::NoDevice => no_device(),
            DeviceError::BadName(_) => conflict(texts::BAD_NAME.to_owned()),
            DeviceError::NameTaken => conflict(texts::NAME_TAKEN.to_owned()),
            DeviceError::TooMany(most) => conflict(texts::too_many_devices(most)),
            DeviceError::BadRequest(_) => conflict(texts::BAD_CSR.to_owned()),
            DeviceError::NotForKind(_) => conflict(texts::NOT_FOR_KIND.to_owned()),
            DeviceError::NotOpen(_) => Refusal::new(StatusCode::CONFLICT, texts::NOT_OPEN_TITLE, texts::NOT_OPEN),
            DeviceError::NoRights => Refusal::not_yours(),
            DeviceError::NobodyNamed => conflict(texts::NOBODY_NAMED.to_owned()),
            DeviceError::Account(error) => error.into(),
            error @ (DeviceError::Crypto(_) | DeviceError::Sealed(_)) => Refusal::internal(error),
        }
    }
}

impl From<FactorError> for Mishap {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Wrong { left } => Mishap::Field(texts::wrong_code(left)),
            FactorError::Spent => Mishap::Field(texts::CODE_SPENT.to_owned()),
            FactorError::Throttled(wait) => Mishap::Field(texts::codes_locked(wait)),
            FactorError::TooManyMailed(wait) => Mishap::Field(texts::too_many_mailed(wait)),
            FactorError::NotSet => Mishap::Field(texts::NO_FACTOR.to_owned()),
            FactorError::NoAddress | FactorError::NoNotices | FactorError::AuthenticatorInUse => {
                Mishap::Field(texts::CANNOT_MAIL.to_owned())
            }
            error => Mishap::Page(error.into()),
        }
    }
}

impl From<FactorError> for Refusal {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Account(error) => error.into(),
            FactorError::NotSet => Self::new(StatusCode::CONFLICT, texts::CANNOT_TITLE, texts::NO_FACTOR),
            error => Self::internal(error),
        }
    }
}

/// How a login that was refused is told. The registry says what is no secret.
pub(super) fn told(error: &LoginError) -> (StatusCode, String) {
    match error {
        LoginError::Throttled(wait) => (StatusCode::TOO_MANY_REQUESTS, texts::throttled(*wait)),
        LoginError::NotOpen(_) | LoginError::Ended(_) => (StatusCode::FORBIDDEN, texts::NOT_OPEN.to_owned()),
        LoginError::PersonRefused => (StatusCode::FORBIDDEN, texts::NO_MAILBOX.to_owned()),
        LoginError::TermsNotAccepted => (StatusCode::FORBIDDEN, texts::TERMS_OWED.to_owned()),
        error if error.is_temporary() => (StatusCode::SERVICE_UNAVAILABLE, texts::LATER.to_owned()),
        _ => (StatusCode::FORBIDDEN, texts::WRONG_PASSWORD.to_owned()),
    }
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        let (status, text) = told(&error);
        let mut refusal = Self::new(status, texts::NOT_LET_IN_TITLE, text);
        refusal.again = if let LoginError::Throttled(wait) = error { Some(wait) } else { None };
        refusal.because = Some(error.to_string());
        refusal
    }
}

/// What was just made for a workstation.
pub(super) enum Handed {
    /// A file to be fetched, and its password.
    File { made: Arc<Made>, password: Zeroizing<String>, device: Device },
    /// A certificate as text.
    Text { pem: String, device: Device },
}

impl From<Enrolled> for Handed {
    fn from(enrolled: Enrolled) -> Self {
        let Enrolled { device, credentials } = enrolled;
        match credentials {
            DeviceCredentials::Pkcs12 { file, password } => {
                let made = Arc::new(Made { name: device.name.clone(), file });
                Handed::File { made, password, device }
            }
            DeviceCredentials::Pem(pem) => Handed::Text { pem, device },
        }
    }
}

/// A key made here, or one that the request brings.
pub(super) fn key_of(request: &str, form: Pkcs12Form) -> DeviceKey {
    match request.trim() {
        "" => DeviceKey::Made(form),
        request => DeviceKey::Request(request.as_bytes().to_vec()),
    }
}
