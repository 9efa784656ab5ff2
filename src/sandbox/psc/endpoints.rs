//! The endpoints: OpenID Connect Core, RFC 6749, RFC 7636, RFC 7662, OpenID CIBA Core (poll), under Pro Santé Connect's paths.

use super::grants::{CIBA_LIFE, INTERVAL, Login, Poll};
use super::knobs::Knobs;
use super::page;
use super::state::{Client, State};
use crate::sandbox::SandboxError;
use crate::sandbox::web::{Shown, broken_off};
use axum::body::Bytes;
use axum::extract::{Extension, Request, State as Held};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The path of the realm, as in production.
pub(super) const REALM: &str = "/auth/realms/esante-wallet";

type Shared = Held<Arc<State>>;

/// All of them.
pub(super) fn router(state: Arc<State>) -> Router {
    let connect = Router::new()
        .route("/token", post(token))
        .route("/token/introspect", post(introspect))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/certs", get(certs))
        .route("/ext/ciba/auth", post(ciba))
        .route("/logout", get(logout).post(logout));
    let realm = Router::new()
        .route("/.well-known/wallet-openid-configuration", get(discovery))
        .nest("/protocol/openid-connect", connect);
    let failing = Router::new()
        .nest(REALM, realm)
        .route("/auth", get(authorize).post(pick))
        .layer(from_fn_with_state(Arc::clone(&state), fail));
    failing
        .route("/_sandbox/knobs", get(knobs).post(turn))
        .route("/_sandbox/rotate", post(rotate))
        .route("/_sandbox/token", post(mint))
        .with_state(state)
}

/// Fails as the knobs say.
async fn fail(Held(state): Shared, request: Request, next: Next) -> Response {
    let knobs = state.knobs();
    if !knobs.concern(request.uri().path()) {
        return next.run(request).await;
    }
    tokio::time::sleep(Duration::from_millis(knobs.delay_ms)).await;
    if knobs.drop {
        return broken_off();
    }
    match knobs.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => status.into_response(),
        None if knobs.garbage => Html("<!doctype html><title>Maintenance</title>").into_response(),
        None => next.run(request).await,
    }
}

async fn discovery(Held(state): Shared) -> Json<Value> {
    let issuer = &state.issuer;
    let host = issuer.strip_suffix(REALM).unwrap_or(issuer);
    let at = |end: &str| format!("{issuer}/protocol/openid-connect/{end}");
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{host}/auth"),
        "token_endpoint": at("token"),
        "introspection_endpoint": at("token/introspect"),
        "userinfo_endpoint": at("userinfo"),
        "end_session_endpoint": at("logout"),
        "jwks_uri": at("certs"),
        "backchannel_authentication_endpoint": at("ext/ciba/auth"),
        "grant_types_supported": ["authorization_code", "refresh_token", CIBA_GRANT],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "acr_values_supported": ["eidas1"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "tls_client_auth"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "scope_all"],
        "backchannel_token_delivery_modes_supported": ["poll"],
        "tls_client_certificate_bound_access_tokens": true,
    }))
}

/// `GET /auth`: the page on which a person is picked. A script adds `sandbox_person=` and is sent on at once.
async fn authorize(Held(state): Shared, uri: Uri) -> Response {
    let query = fields(uri.query().unwrap_or_default().as_bytes());
    let wanted = match Authorization::of(&state, &query) {
        Ok(wanted) => wanted,
        Err(text) => return (StatusCode::BAD_REQUEST, Html(page::refused(&text))).into_response(),
    };
    match query.get("sandbox_person") {
        Some(person) => wanted.agreed(&state, person),
        None => Html(page::pick(&state.people, uri.query().unwrap_or_default())).into_response(),
    }
}

/// `POST /auth`: somebody was picked, or nobody.
async fn pick(Held(state): Shared, uri: Uri, body: Bytes) -> Response {
    let query = fields(uri.query().unwrap_or_default().as_bytes());
    let wanted = match Authorization::of(&state, &query) {
        Ok(wanted) => wanted,
        Err(text) => return (StatusCode::BAD_REQUEST, Html(page::refused(&text))).into_response(),
    };
    match fields(&body).get("person").map(String::as_str) {
        Some("") | None => wanted.back(&[("error", "access_denied")]),
        Some(person) => wanted.agreed(&state, person),
    }
}

/// An authorization request that may be answered.
struct Authorization {
    client: String,
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    challenge: Option<String>,
}

impl Authorization {
    /// RFC 6749 §4.1.1. A wrong client or address is told to the person, never by a redirection (§4.1.2.1).
    fn of(state: &State, query: &HashMap<String, String>) -> Result<Self, String> {
        let field = |name: &str| query.get(name).cloned();
        let client = field("client_id").unwrap_or_default();
        if !state.clients.iter().any(|known| known.id == client) {
            return Err(format!("client_id « {client} » est inconnu du bac à sable"));
        }
        let redirect_uri = field("redirect_uri").unwrap_or_default();
        let host = redirect_uri.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        if !matches!(host.as_deref(), Some("localhost" | "127.0.0.1")) {
            return Err("redirect_uri doit mener à localhost : rien ne sort du bac à sable".to_owned());
        }
        if query.get("response_type").map(String::as_str) != Some("code") {
            return Err("response_type doit être code".to_owned());
        }
        if !query.get("scope").is_some_and(|scope| scope.split(' ').any(|each| each == "openid")) {
            return Err("scope doit contenir openid".to_owned());
        }
        let method = query.get("code_challenge_method").map(String::as_str);
        let challenge = field("code_challenge");
        if challenge.is_some() && method != Some("S256") {
            return Err("code_challenge_method doit être S256".to_owned());
        }
        Ok(Self { client, redirect_uri, state: field("state"), nonce: field("nonce"), challenge })
    }

    fn agreed(self, state: &State, person: &str) -> Response {
        let Some(person) = state.person(person) else {
            return (StatusCode::BAD_REQUEST, Html(page::refused("cette personne est inconnue"))).into_response();
        };
        let login = Login::new(person.clone(), &self.client, self.nonce.clone());
        let made =
            login.and_then(|login| state.grants().code(login, self.redirect_uri.clone(), self.challenge.clone()));
        match made {
            Ok(code) => self.back(&[("code", &code)]),
            Err(problem) => broken(&problem),
        }
    }

    /// Back to the client, with its own `state`.
    fn back(&self, with: &[(&str, &str)]) -> Response {
        let mut location = self.redirect_uri.clone();
        let state = self.state.as_deref().map(|state| ("state", state));
        for (name, value) in with.iter().copied().chain(state) {
            location.push(if location.contains('?') { '&' } else { '?' });
            let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            location.push_str(&format!("{name}={value}"));
        }
        (StatusCode::FOUND, [(LOCATION, location)]).into_response()
    }
}

/// The grant of OpenID CIBA Core §10.1.
const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

async fn token(Held(state): Shared, headers: HeaderMap, Extension(shown): Extension<Shown>, body: Bytes) -> Response {
    let form = fields(&body);
    let Some(client) = authenticated(&state, &headers, &shown, &form) else { return unknown_client() };
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let login = match field("grant_type") {
        "authorization_code" => redeemed(&state, client, &form),
        "refresh_token" => {
            let login = state.grants().refreshed(field("refresh_token")).filter(|login| login.client == client.id);
            login.ok_or("invalid_grant")
        }
        CIBA_GRANT => {
            let knobs = state.knobs();
            let after = Duration::from_millis(knobs.ciba_ms);
            match state.grants().poll(field("auth_req_id"), &client.id, after, knobs.ciba_refused) {
                Poll::Agreed(login) => Ok(*login),
                Poll::Pending => Err("authorization_pending"),
                Poll::SlowDown => Err("slow_down"),
                Poll::Denied => Err("access_denied"),
                Poll::Expired => Err("expired_token"),
                Poll::Unknown => Err("invalid_grant"),
            }
        }
        _ => Err("unsupported_grant_type"),
    };
    match login.map(|login| state.tokens(&login)) {
        Ok(Ok(tokens)) => ([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Ok(Err(problem)) => broken(&problem),
        Err(error) => refusal(error),
    }
}

/// RFC 6749 §4.1.3, RFC 7636 §4.6.
fn redeemed(state: &State, client: &Client, form: &HashMap<String, String>) -> Result<Login, &'static str> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let grant = state.grants().redeem(field("code")).ok_or("invalid_grant")?;
    let verifier = field("code_verifier");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let fits = match &grant.challenge {
        Some(challenge) => *challenge == BASE64_URL_SAFE_NO_PAD.encode(digest),
        None => verifier.is_empty(),
    };
    let is_theirs = grant.login.client == client.id && grant.redirect_uri == field("redirect_uri");
    if fits && is_theirs { Ok(grant.login) } else { Err("invalid_grant") }
}

/// RFC 7662.
async fn introspect(
    Held(state): Shared,
    headers: HeaderMap,
    Extension(shown): Extension<Shown>,
    body: Bytes,
) -> Response {
    let form = fields(&body);
    if authenticated(&state, &headers, &shown, &form).is_none() {
        return unknown_client();
    }
    let Some((mut claims, login)) = form.get("token").and_then(|token| state.good(token)) else {
        return Json(json!({ "active": false })).into_response();
    };
    claims["active"] = json!(true);
    claims["client_id"] = json!(login.client);
    claims["username"] = json!(login.person.subject());
    Json(claims).into_response()
}

/// OpenID Connect Core §5.3, RFC 6750 §2.1.
async fn userinfo(Held(state): Shared, headers: HeaderMap) -> Response {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    match token.and_then(|token| state.good(token)) {
        Some((_, login)) => Json(login.person.userinfo()).into_response(),
        None => {
            let challenge = [("www-authenticate", r#"Bearer error="invalid_token""#)];
            (StatusCode::UNAUTHORIZED, challenge, Json(json!({ "error": "invalid_token" }))).into_response()
        }
    }
}

async fn certs(Held(state): Shared) -> Json<Value> {
    Json(state.key_set())
}

/// OpenID CIBA Core §7.1; `binding_message` and `channel` as Pro Santé Connect wants them (MSSanté §10).
async fn ciba(Held(state): Shared, headers: HeaderMap, Extension(shown): Extension<Shown>, body: Bytes) -> Response {
    let form = fields(&body);
    let Some(client) = authenticated(&state, &headers, &shown, &form) else { return unknown_client() };
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let message = field("binding_message");
    if message.len() != 2 || !message.bytes().all(|byte| byte.is_ascii_digit()) {
        return refusal("invalid_binding_message");
    }
    if !matches!(field("channel"), "CARD" | "MOBILE") || !field("scope").contains("openid") {
        return refusal("invalid_request");
    }
    let Some(person) = state.people.iter().find(|person| person.person == field("login_hint")) else {
        return refusal("unknown_user_id");
    };
    let asked = Login::new(person.clone(), &client.id, None).and_then(|login| state.grants().ask_phone(login));
    match asked {
        Ok(id) => Json(json!({
            "auth_req_id": id, "expires_in": CIBA_LIFE.as_secs(), "interval": INTERVAL.as_secs_f32().ceil(),
        }))
        .into_response(),
        Err(problem) => broken(&problem),
    }
}

/// OpenID Connect RP-Initiated Logout: by the id token, or by the refresh token as Keycloak's older clients do.
async fn logout(Held(state): Shared, uri: Uri, body: Bytes) -> Response {
    let (query, form) = (fields(uri.query().unwrap_or_default().as_bytes()), fields(&body));
    let field = |name: &str| query.get(name).or_else(|| form.get(name));
    let session = field("id_token_hint").and_then(|token| {
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims["sid"].as_str().map(str::to_owned)
    });
    let refreshed = field("refresh_token").and_then(|token| state.grants().refreshed(token));
    if let Some(session) = session.or(refreshed.map(|login| login.id)) {
        state.grants().log_out(&session);
    }
    let back = field("post_logout_redirect_uri").filter(|uri| uri.starts_with("https://localhost"));
    match back {
        Some(uri) => (StatusCode::FOUND, [(LOCATION, uri.clone())]).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn knobs(Held(state): Shared) -> Json<Knobs> {
    Json(state.knobs())
}

async fn turn(Held(state): Shared, body: Bytes) -> Response {
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    match serde_json::from_slice(text) {
        Ok(knobs) => {
            state.turn(knobs);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}

async fn rotate(Held(state): Shared) -> Response {
    let rotated = tokio::task::spawn_blocking(move || state.rotate()).await;
    match rotated {
        Ok(Ok(id)) => Json(json!({ "kid": id })).into_response(),
        Ok(Err(problem)) => broken(&problem),
        Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, problem.to_string()).into_response(),
    }
}

/// `POST /_sandbox/token` with `person=`: tokens without any login, for scripts.
async fn mint(Held(state): Shared, body: Bytes) -> Response {
    let form = fields(&body);
    let Some(person) = form.get("person").and_then(|person| state.person(person)) else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "unknown_user_id" }))).into_response();
    };
    let client = form.get("client_id").map_or(super::SOFTWARE, String::as_str);
    let tokens = Login::new(person.clone(), client, None).and_then(|login| state.tokens(&login));
    tokens.map_or_else(|problem| broken(&problem), |tokens| Json(tokens).into_response())
}

fn authenticated<'a>(
    state: &'a State,
    headers: &HeaderMap,
    shown: &Shown,
    form: &HashMap<String, String>,
) -> Option<&'a Client> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let certificate = shown.0.as_ref().map(|der| der.as_slice());
    state.client(header, &|name| form.get(name).cloned(), certificate)
}

/// `application/x-www-form-urlencoded`, the last of several fields of one name.
fn fields(bytes: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// RFC 6749 §5.2.
fn refusal(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, [(CACHE_CONTROL, "no-store")], Json(json!({ "error": error }))).into_response()
}

fn unknown_client() -> Response {
    (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response()
}

fn broken(problem: &SandboxError) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, problem.to_string()).into_response()
}
