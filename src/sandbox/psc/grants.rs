//! What the look-alike has given out: codes, tokens, CIBA requests. In memory; a restart forgets it.

use super::keys::random;
use super::people::Person;
use crate::sandbox::SandboxError;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an authorization code may be redeemed.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// How long a refresh token may be used (MSSanté §10: 30 min).
pub(super) const REFRESH_LIFE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts, however often it is refreshed (MSSanté §10: 4 h).
const SESSION_LIFE: Duration = Duration::from_secs(4 * 3600);
/// How long a CIBA request waits for its holder.
pub(super) const CIBA_LIFE: Duration = Duration::from_secs(120);
/// Most entries of a table: nobody fills the memory of a sandbox that runs for weeks.
const MOST: usize = 100_000;

/// A person's session with a client.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) id: String,
    pub(super) person: Person,
    pub(super) client: String,
    pub(super) nonce: Option<String>,
    pub(super) began: Instant,
    /// Unix seconds of the authentication.
    pub(super) auth_time: i64,
}

/// What an authorization request was for; the code stands for it.
#[derive(Clone, Debug)]
pub(super) struct CodeGrant {
    pub(super) login: Login,
    pub(super) redirect_uri: String,
    /// PKCE (RFC 7636), S256.
    pub(super) challenge: Option<String>,
    made: Instant,
}

/// A CIBA request (OpenID CIBA Core §7).
#[derive(Clone, Debug)]
pub(super) struct CibaRequest {
    pub(super) login: Login,
    pub(super) made: Instant,
    polled: Option<Instant>,
}

/// How a poll of a CIBA request ends (OpenID CIBA Core §11).
#[derive(Debug)]
pub(super) enum Poll {
    Pending,
    SlowDown,
    Denied,
    Expired,
    Agreed(Box<Login>),
    Unknown,
}

/// Shortest time between two polls that is no hurry.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, CodeGrant>,
    refresh: HashMap<String, (Login, Instant)>,
    ciba: HashMap<String, CibaRequest>,
    /// Access tokens by their `jti`, with the session that they came from.
    access: HashMap<String, Login>,
    /// Sessions that were logged out.
    ended: HashMap<String, Instant>,
}

impl Login {
    pub(super) fn new(person: Person, client: &str, nonce: Option<String>) -> Result<Self, SandboxError> {
        let auth_time = jiff::Timestamp::now().as_second();
        Ok(Self { id: random()?, person, client: client.to_owned(), nonce, began: Instant::now(), auth_time })
    }
}

impl Grants {
    pub(super) fn code(
        &mut self,
        login: Login,
        redirect_uri: String,
        challenge: Option<String>,
    ) -> Result<String, SandboxError> {
        let code = random()?;
        bound(&mut self.codes);
        self.codes.insert(code.clone(), CodeGrant { login, redirect_uri, challenge, made: Instant::now() });
        Ok(code)
    }

    /// A code is good for one try, right or wrong (RFC 6749 §4.1.2).
    pub(super) fn redeem(&mut self, code: &str) -> Option<CodeGrant> {
        self.codes.remove(code).filter(|grant| grant.made.elapsed() < CODE_LIFE)
    }

    pub(super) fn refresh_token(&mut self, login: &Login) -> Result<String, SandboxError> {
        let token = random()?;
        bound(&mut self.refresh);
        self.refresh.insert(token.clone(), (login.clone(), Instant::now()));
        Ok(token)
    }

    /// A refresh token is used once; the answer has the next one.
    pub(super) fn refreshed(&mut self, token: &str) -> Option<Login> {
        let (login, made) = self.refresh.remove(token)?;
        (made.elapsed() < REFRESH_LIFE && self.is_alive(&login)).then_some(login)
    }

    pub(super) fn note_access(&mut self, jti: String, login: Login) {
        bound(&mut self.access);
        self.access.insert(jti, login);
    }

    /// The session behind an access token that is still alive; how long the token itself lives is in its claims.
    pub(super) fn session_of(&self, jti: &str) -> Option<&Login> {
        self.access.get(jti).filter(|login| self.is_alive(login))
    }

    fn is_alive(&self, login: &Login) -> bool {
        login.began.elapsed() < SESSION_LIFE && !self.ended.contains_key(&login.id)
    }

    pub(super) fn log_out(&mut self, session: &str) {
        bound(&mut self.ended);
        self.ended.insert(session.to_owned(), Instant::now());
    }

    pub(super) fn ask_phone(&mut self, login: Login) -> Result<String, SandboxError> {
        let id = random()?;
        bound(&mut self.ciba);
        self.ciba.insert(id.clone(), CibaRequest { login, made: Instant::now(), polled: None });
        Ok(id)
    }

    /// How a request stands, when its holder takes `agrees_after` to agree, or refuses then.
    pub(super) fn poll(&mut self, id: &str, client: &str, agrees_after: Duration, refuses: bool) -> Poll {
        let Some(request) = self.ciba.get_mut(id).filter(|request| request.login.client == client) else {
            return Poll::Unknown;
        };
        let in_a_hurry = request.polled.replace(Instant::now()).is_some_and(|last| last.elapsed() < INTERVAL);
        let age = request.made.elapsed();
        if age > CIBA_LIFE {
            self.ciba.remove(id);
            return Poll::Expired;
        }
        match (in_a_hurry, age < agrees_after) {
            (true, _) => Poll::SlowDown,
            (false, true) => Poll::Pending,
            (false, false) => match self.ciba.remove(id) {
                Some(_) if refuses => Poll::Denied,
                Some(request) => Poll::Agreed(Box::new(request.login)),
                None => Poll::Unknown,
            },
        }
    }
}

/// Empties a table that has grown beyond reason: its entries are minutes old at most, and who held one logs in again.
fn bound<V>(table: &mut HashMap<String, V>) {
    if table.len() >= MOST {
        table.clear();
    }
}
