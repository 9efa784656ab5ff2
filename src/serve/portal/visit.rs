//! Who is asking: the browser's cookie, the session behind it, the token of its forms.
//!
//! A browser gets a cookie of random bytes with its first page. The token of its forms, and what binds a trip to Pro Santé
//! Connect to it, are computed from the cookie with a key that only this process has; so the server keeps nothing of
//! strangers. Each step of a login gives a new cookie: one that somebody planted before leads nowhere (session fixation).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::{constant_time, digest, hmac, rand};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::door::Peer;
use super::people::{Halfway, Newcomer, Seat};
use super::refusal::Refusal;
use super::sessions::{LEAST_HALFWAY, Limits, Session, Stage};
use super::terms::Debtor;
use super::{Desk, texts};

/// `__Host-`: over HTTPS only, for this host only, for every path (RFC 6265bis §4.1.3.2).
const COOKIE: &str = "__Host-caducee";

/// Random bytes of a cookie.
const BYTES: usize = 32;

/// What a session is found by.
pub(super) type SessionKey = [u8; 32];

/// What a value computed from a cookie is for: one never passes as another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The token of forms.
    Form,
    /// `state` of a trip to Pro Santé Connect (RFC 6749 §10.12).
    State,
    /// `nonce` of its ID token (OpenID Connect Core §3.1.2.1).
    Nonce,
    /// Its PKCE verifier (RFC 7636 §4.1).
    Verifier,
    /// The name of a login under way.
    Attempt,
}

/// This process's key for what is computed from cookies.
pub(super) struct Seal(hmac::Key);

impl Seal {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // The system's generator fails only where nothing secret could be made at all.
        rand::fill(&mut key).expect("the system's random generator works");
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The value that belongs to a cookie.
    pub(super) fn derive(&self, purpose: Purpose, cookie: &Cookie) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[purpose as u8]);
        context.update(cookie.0.as_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }

    /// Whether a value that came back is the one that belongs to the cookie.
    pub(super) fn fits(&self, purpose: Purpose, cookie: &Cookie, value: &str) -> bool {
        let wanted = self.derive(purpose, cookie);
        constant_time::verify_slices_are_equal(wanted.as_bytes(), value.as_bytes()).is_ok()
    }
}

/// The value of a browser's cookie.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cookie(String);

impl Cookie {
    pub(super) fn new() -> Self {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).expect("the system's random generator works");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The cookie that a request brings, if it is of our form.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut values = pairs.flat_map(|pairs| pairs.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = values.find(|(name, _)| *name == COOKIE)?;
        let is_ours = URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == BYTES);
        is_ours.then(|| Self(value.to_owned()))
    }

    /// What its session is found by.
    pub(super) fn key(&self) -> SessionKey {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        key
    }

    /// Gives it to the browser with an answer; for this session of the browser only.
    pub(super) fn give(&self, mut response: Response) -> Response {
        let text = format!("{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax", self.0);
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        response
    }

    /// Takes it away from the browser.
    pub(super) fn take_away(mut response: Response) -> Response {
        let text = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
        response
    }
}

/// Anybody who asks for something.
#[derive(Clone)]
pub(super) struct Visitor {
    /// The cookie that they brought, if any.
    pub(super) cookie: Option<Cookie>,
    /// Where they come from.
    pub(super) peer: IpAddr,
    /// Their session, if they have one.
    pub(super) session: Option<Session>,
}

impl Desk {
    pub(super) fn limits(&self) -> Limits {
        let config = self.shared.config.load();
        let portal = &config.portal;
        Limits {
            most: portal.max_sessions,
            idle: portal.idle_timeout,
            longest: portal.session_timeout,
            halfway: config.codes.lifetime.max(LEAST_HALFWAY),
        }
    }

    /// Begins the next step of a login: a session under a new cookie; the one before is gone. Answers with a redirection, or
    /// that there is no place.
    pub(super) fn step(&self, before: Option<&Cookie>, stage: Stage, to: &str) -> Response {
        if let Some(cookie) = before {
            self.sessions.close(&cookie.key());
        }
        let (cookie, limits, now) = (Cookie::new(), self.limits(), Instant::now());
        self.sessions.sweep(limits, now);
        if !self.sessions.open(cookie.key(), stage, limits, now) {
            return Refusal::unavailable(texts::LATER, "portal.max_sessions people are in").into_response();
        }
        cookie.give(Redirect::to(to).into_response())
    }

    /// The token of this browser's forms.
    pub(super) fn form_token(&self, cookie: &Cookie) -> String {
        self.seal.derive(Purpose::Form, cookie)
    }
}

impl FromRequestParts<Arc<Desk>> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let Some(Peer(peer)) = parts.extensions.get::<Peer>().copied() else {
            return Err(Refusal::internal("a request without a peer"));
        };
        let cookie = Cookie::of(&parts.headers);
        let session = match &cookie {
            Some(cookie) => desk.living(cookie)?,
            None => None,
        };
        Ok(Self { cookie, peer, session })
    }
}

impl Desk {
    /// The session of a cookie, unless it is over. One that was ended from outside (by the administrator, with the mailbox,
    /// with the right or the password that it stood on) says so once.
    fn living(&self, cookie: &Cookie) -> Result<Option<Session>, Refusal> {
        let session = self.sessions.find(&cookie.key(), self.limits(), Instant::now());
        let ending = match session.as_ref().map(|session| &session.stage) {
            Some(Stage::In(seat)) => seat.look(),
            Some(Stage::Halfway(halfway)) => self.shared.registry.ending_of_first_factor(&halfway.first)?,
            Some(Stage::Choosing(_) | Stage::Owing(_)) | None => None,
        };
        let Some(why) = ending else { return Ok(session) };
        self.sessions.close(&cookie.key());
        let mut refusal = Refusal::new(StatusCode::FORBIDDEN, texts::ENDED_TITLE, texts::ENDED);
        refusal.because = Some(why.name().to_owned());
        Err(refusal)
    }
}

/// Somebody whose password was right, and who owes a code.
pub(super) struct Owing {
    pub(super) cookie: Cookie,
    pub(super) peer: IpAddr,
    pub(super) halfway: Arc<Halfway>,
}

/// Somebody known for certain who chooses a mailbox.
pub(super) struct Chooser {
    pub(super) cookie: Cookie,
    pub(super) newcomer: Arc<Newcomer>,
}

/// Somebody known for certain who owes an acceptance of the terms of use.
pub(super) struct Debt {
    pub(super) cookie: Cookie,
    pub(super) peer: IpAddr,
    pub(super) debtor: Arc<Debtor>,
}

/// Somebody in a mailbox.
#[derive(Clone)]
pub(super) struct Holder {
    pub(super) cookie: Cookie,
    pub(super) seat: Arc<Seat>,
    pub(super) session: Session,
}

/// Sends those who are elsewhere to the beginning, which knows where they belong.
fn to_the_beginning() -> Response {
    Redirect::to("/").into_response()
}

impl FromRequestParts<Arc<Desk>> for Owing {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, desk).await.map_err(IntoResponse::into_response)?;
        match (visitor.cookie, visitor.session.map(|session| session.stage)) {
            (Some(cookie), Some(Stage::Halfway(halfway))) => Ok(Self { cookie, peer: visitor.peer, halfway }),
            _ => Err(to_the_beginning()),
        }
    }
}

impl FromRequestParts<Arc<Desk>> for Chooser {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, desk).await.map_err(IntoResponse::into_response)?;
        let newcomer = match visitor.session.map(|session| session.stage) {
            Some(Stage::Choosing(newcomer)) => Some(newcomer),
            Some(Stage::In(seat)) => seat.newcomer.clone(),
            Some(Stage::Owing(debtor)) => debtor.entrant.newcomer().cloned(),
            _ => None,
        };
        match (visitor.cookie, newcomer) {
            (Some(cookie), Some(newcomer)) => Ok(Self { cookie, newcomer }),
            _ => Err(to_the_beginning()),
        }
    }
}

impl FromRequestParts<Arc<Desk>> for Debt {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, desk).await.map_err(IntoResponse::into_response)?;
        match (visitor.cookie, visitor.session.map(|session| session.stage)) {
            (Some(cookie), Some(Stage::Owing(debtor))) => Ok(Self { cookie, peer: visitor.peer, debtor }),
            _ => Err(to_the_beginning()),
        }
    }
}

impl FromRequestParts<Arc<Desk>> for Holder {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, desk).await.map_err(IntoResponse::into_response)?;
        let Some(session) = visitor.session else { return Err(to_the_beginning()) };
        match (visitor.cookie, session.stage.clone()) {
            (Some(cookie), Stage::In(seat)) => Ok(Self { cookie, seat, session }),
            _ => Err(to_the_beginning()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_given_among_others() {
        let cookie = Cookie::new();
        let given = cookie.give(().into_response());
        let text = given.headers()[header::SET_COOKIE].to_str().unwrap();
        for attribute in ["__Host-caducee=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(text.contains(attribute), "{text}");
        }
        let pair = text.split(';').next().unwrap();
        assert!(Cookie::of(&headers(&["a=b; c", pair])) == Some(cookie.clone()));
        assert!(Cookie::of(&headers(&[&format!("x=1;{pair}; y=2")])) == Some(cookie));
    }

    #[test]
    fn a_cookie_of_another_form_is_none() {
        for text in ["__Host-caducee=", "__Host-caducee=abc", "__Host-caducee=é", "caducee=AAAA", "__Host-caducee"] {
            assert!(Cookie::of(&headers(&[text])).is_none(), "{text}");
        }
        let long = format!("__Host-caducee={}", URL_SAFE_NO_PAD.encode([0; 33]));
        assert!(Cookie::of(&headers(&[&long])).is_none());
    }

    #[test]
    fn a_value_of_one_cookie_or_purpose_is_none_of_another() {
        let (seal, one, other) = (Seal::new(), Cookie::new(), Cookie::new());
        let token = seal.derive(Purpose::Form, &one);
        assert!(seal.fits(Purpose::Form, &one, &token));
        assert!(!seal.fits(Purpose::Form, &other, &token));
        assert!(!seal.fits(Purpose::State, &one, &token));
        assert!(!seal.fits(Purpose::Form, &one, ""));
        assert!(!Seal::new().fits(Purpose::Form, &one, &token), "another process has another key");
        // RFC 7636 §4.1: 43 to 128 unreserved characters.
        assert_eq!(seal.derive(Purpose::Verifier, &one).len(), 43);
    }
}
