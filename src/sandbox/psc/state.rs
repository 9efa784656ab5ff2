//! The look-alike's mind: who it knows, which clients, with which keys it signs, and how it is told to fail.

use super::grants::{Grants, Login, REFRESH_LIFE};
use super::keys::{SigningKey, random};
use super::knobs::Knobs;
use super::people::Person;
use crate::sandbox::SandboxError;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A program that may ask for tokens.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Client {
    /// `client_id`.
    pub(in crate::sandbox) id: String,
    /// `client_secret`. The sandbox's secrets are printed for everybody.
    pub(in crate::sandbox) secret: String,
    /// SHA-256 of the DER of the certificate with which it may come in place of a secret (RFC 8705 §2).
    pub(in crate::sandbox) certificate: Option<Vec<u8>>,
}

/// The published key and the one before it: tokens that were signed before a rotation stay good.
pub(super) struct Keys {
    pub(super) current: SigningKey,
    pub(super) before: Option<SigningKey>,
    /// Published nowhere.
    pub(super) stranger: SigningKey,
}

/// Everything behind the endpoints.
pub(super) struct State {
    pub(super) issuer: String,
    pub(super) people: Vec<Person>,
    pub(super) clients: Vec<Client>,
    keys: Mutex<Keys>,
    grants: Mutex<Grants>,
    knobs: Mutex<Knobs>,
}

impl State {
    pub(super) fn new(issuer: String, people: Vec<Person>, clients: Vec<Client>, keys: Keys) -> Self {
        let (grants, knobs) = (Mutex::default(), Mutex::default());
        Self { issuer, people, clients, keys: Mutex::new(keys), grants, knobs }
    }

    pub(super) fn knobs(&self) -> Knobs {
        lock(&self.knobs).clone()
    }

    pub(super) fn turn(&self, knobs: Knobs) {
        *lock(&self.knobs) = knobs;
    }

    pub(super) fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    /// Who has this national id, or opens this address as its holder.
    pub(super) fn person(&self, named: &str) -> Option<&Person> {
        let holds = |person: &&Person| person.opens.len() == 1 && person.opens[0].eq_ignore_ascii_case(named);
        let by_id = self.people.iter().find(|person| person.person == named);
        by_id.or_else(|| self.people.iter().find(holds))
    }

    /// The client that shows who it is: `client_secret_basic`, `client_secret_post`, or by its certificate.
    pub(super) fn client(
        &self,
        authorization: Option<&str>,
        form: &impl Fn(&str) -> Option<String>,
        certificate: Option<&[u8]>,
    ) -> Option<&Client> {
        let basic = authorization.and_then(basic);
        let (id, secret) = match basic {
            Some((id, secret)) => (id, Some(secret)),
            None => (form("client_id")?, form("client_secret")),
        };
        let client = self.clients.iter().find(|client| client.id == id)?;
        let shown = certificate.map(|der| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der));
        let is_known = match (secret, shown) {
            (Some(secret), _) => secret == client.secret,
            (None, Some(shown)) => client.certificate.as_deref() == Some(shown.as_ref()),
            (None, None) => false,
        };
        is_known.then_some(client)
    }

    /// The key set (RFC 7517).
    pub(super) fn key_set(&self) -> Value {
        let keys = lock(&self.keys);
        let published: Vec<&Value> = keys.before.iter().chain([&keys.current]).map(SigningKey::published).collect();
        json!({ "keys": published })
    }

    /// Signs with a new key from now on; the one before stays published, the one before that does not.
    pub(super) fn rotate(&self) -> Result<String, SandboxError> {
        let new = SigningKey::make()?;
        let id = new.id().to_owned();
        let mut keys = lock(&self.keys);
        keys.before = Some(std::mem::replace(&mut keys.current, new));
        Ok(id)
    }

    /// The answer of the token endpoint (RFC 6749 §5.1) for a session.
    pub(super) fn tokens(&self, login: &Login) -> Result<Value, SandboxError> {
        let knobs = self.knobs();
        let access = self.access_token(login, &knobs)?;
        let refresh = self.grants().refresh_token(login)?;
        let mut id_claims = self.claims(login, &knobs, login.client.as_str(), "ID")?;
        if let Some(nonce) = &login.nonce {
            id_claims["nonce"] = json!(nonce);
        }
        let id_token = self.signed(&id_claims, &knobs)?;
        Ok(json!({
            "access_token": access,
            "expires_in": knobs.access_seconds,
            "refresh_expires_in": REFRESH_LIFE.as_secs(),
            "refresh_token": refresh,
            "token_type": "Bearer",
            "id_token": id_token,
            "session_state": login.id,
            "scope": SCOPE,
        }))
    }

    /// An access token of a session.
    pub(super) fn access_token(&self, login: &Login, knobs: &Knobs) -> Result<String, SandboxError> {
        let mut claims = self.claims(login, knobs, "account", "Bearer")?;
        if !knobs.no_national_id {
            claims["preferred_username"] = json!(login.person.person);
            claims["SubjectNameID"] = json!(login.person.person);
        }
        if let Some(thumbprint) = &knobs.bound_to {
            claims["cnf"] = json!({ "x5t#S256": thumbprint });
        }
        let jti = claims["jti"].as_str().unwrap_or_default().to_owned();
        self.grants().note_access(jti, login.clone());
        self.signed(&claims, knobs)
    }

    fn signed(&self, claims: &Value, knobs: &Knobs) -> Result<String, SandboxError> {
        let keys = lock(&self.keys);
        match knobs.wrong_signature {
            true => keys.stranger.sign_as(keys.current.id(), claims),
            false => keys.current.sign(claims),
        }
    }

    fn claims(&self, login: &Login, knobs: &Knobs, audience: &str, kind: &str) -> Result<Value, SandboxError> {
        let now = jiff::Timestamp::now().as_second() - if knobs.expired { 3600 } else { 0 };
        Ok(json!({
            "iss": self.issuer,
            "aud": audience,
            "azp": login.client,
            "sub": login.person.subject(),
            "typ": kind,
            "jti": random()?,
            "iat": now,
            "exp": now + knobs.access_seconds,
            "auth_time": login.auth_time,
            "acr": knobs.acr,
            "scope": SCOPE,
            "sid": login.id,
            "session_state": login.id,
        }))
    }

    /// The claims of an access token that is good now, and the session behind it. Its signature is not looked at: whom this
    /// server gave a token it knows by the token's id.
    pub(super) fn good(&self, token: &str) -> Option<(Value, Login)> {
        let claims = token.split('.').nth(1)?;
        let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let login = self.grants().session_of(claims["jti"].as_str()?)?.clone();
        let is_good = !self.knobs().inactive && jiff::Timestamp::now().as_second() < claims["exp"].as_i64()?;
        is_good.then_some((claims, login))
    }
}

/// What every token is for (MSSanté §10).
const SCOPE: &str = "openid scope_all";

fn basic(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
