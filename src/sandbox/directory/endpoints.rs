//! The endpoints: FHIR R4 as the directory documents it (MSSanté §9), and the sandbox's own.

use super::API_KEY;
use super::extraction;
use super::knobs::Knobs;
use super::model::{Model, Unpatched, reference};
use super::patch;
use crate::sandbox::web::{Shown, broken_off, digest};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Path, Request, State as Held};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where the API begins, as in production.
const BASE: &str = "/fhir/v2";
/// Where the public extraction is; no key is asked for.
pub(super) const EXTRACTION: &str = "/extraction/Extraction_Correspondance_MSSante.zip";
/// The header of the API key.
const KEY: &str = "esante-api-key";
const FHIR_JSON: &str = "application/fhir+json";
/// The types that have mailboxes.
const TYPES: [&str; 3] = ["Practitioner", "PractitionerRole", "Organization"];
/// What may come along with what is found: professionals with their activities, activities with their professionals.
const ALONG: &str = "PractitionerRole:practitioner";
/// Resources on a page where the request does not say, and the most.
const PAGE: usize = 50;
/// Largest body, in bytes.
const LARGEST: usize = 1 << 20;

/// Everything behind the endpoints.
pub(super) struct State {
    base: String,
    /// SHA-256 of certificates that stand for an API key.
    known: Vec<Vec<u8>>,
    model: Mutex<Model>,
    knobs: Mutex<Knobs>,
}

impl State {
    pub(super) fn new(base: String, model: Model, known: Vec<Vec<u8>>) -> Self {
        Self { base, known, model: Mutex::new(model), knobs: Mutex::default() }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Whether somebody may ask: by the key, or by an operator's certificate.
    fn knows(&self, headers: &HeaderMap, shown: &Shown) -> bool {
        let by_key = headers.get(KEY).is_some_and(|key| key == API_KEY);
        by_key || shown.0.as_ref().is_some_and(|der| self.known.contains(&digest(der)))
    }
}

type Shared = Held<Arc<State>>;

/// The FHIR base of a host.
pub(super) fn base(host: &str) -> String {
    format!("{host}{BASE}")
}

/// All of them.
pub(super) fn router(state: Arc<State>) -> Router {
    let fhir = Router::new()
        .route("/{kind}", get(search).patch(patch_where))
        .route("/{kind}/{id}", get(read).patch(patch_one))
        .layer(from_fn_with_state(Arc::clone(&state), admit));
    Router::new()
        .nest(BASE, fhir)
        .route(EXTRACTION, get(extracted))
        .route("/_sandbox/knobs", get(knobs).post(turn))
        .route("/_sandbox/seen", get(seen))
        .with_state(state)
}

/// Who may ask; and failing as the knobs say.
async fn admit(
    Held(state): Shared,
    Extension(shown): Extension<Shown>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let is_patch = request.method() == Method::PATCH;
    if is_patch {
        state.model().note_asked();
    }
    let knobs = lock(&state.knobs).take(request.method().as_str());
    tokio::time::sleep(Duration::from_millis(knobs.delay_ms)).await;
    if knobs.drop {
        return broken_off();
    }
    if let Some(status) = knobs.status.and_then(|status| StatusCode::from_u16(status).ok()) {
        let words = knobs.words.as_deref().unwrap_or("a knob is turned");
        let mut refused = outcome(status, words);
        if let Some(seconds) = knobs.retry_after {
            refused.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        return refused;
    }
    if knobs.garbage {
        return Html("<!doctype html><title>Maintenance</title>").into_response();
    }
    if !state.knows(&headers, &shown) {
        return outcome(StatusCode::UNAUTHORIZED, "the API key is missing or not known");
    }
    if is_patch && knobs.forget {
        return fhir(StatusCode::OK, &json!({ "resourceType": "Practitioner", "id": "oubli" }));
    }
    let answer = next.run(request).await;
    tokio::time::sleep(Duration::from_millis(knobs.delay_after_ms)).await;
    if knobs.drop_after { broken_off() } else { answer }
}

/// `GET [base]/{type}?…`: a page of what is found.
async fn search(Held(state): Shared, Path(kind): Path<String>, uri: Uri) -> Response {
    if !TYPES.contains(&kind.as_str()) {
        return outcome(StatusCode::NOT_FOUND, "there is no such resource type");
    }
    let (asked, paging): (Vec<_>, Vec<_>) =
        query(&uri).into_iter().partition(|(name, _)| !matches!(name.as_str(), "_count" | "_offset" | "_elements"));
    let (along, wanted): (Vec<_>, Vec<_>) =
        asked.iter().cloned().partition(|(name, _)| matches!(name.as_str(), "_include" | "_revinclude"));
    if let Some((name, value)) = along.iter().find(|(_, value)| value != ALONG) {
        return outcome(StatusCode::BAD_REQUEST, &format!("nothing comes along by {name}={value}"));
    }
    let number = |name: &str| paging.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok());
    let (count, offset) = (number("_count").unwrap_or(PAGE).clamp(1, PAGE), number("_offset").unwrap_or(0usize));
    let found = match state.model().search(&kind, &wanted) {
        Ok(found) => found,
        Err(name) => return outcome(StatusCode::BAD_REQUEST, &format!("there is no search parameter {name}")),
    };
    let base = &state.base;
    let link = |offset: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&asked).append_pair("_count", &count.to_string());
        format!("{base}/{kind}?{}", query.append_pair("_offset", &offset.to_string()).finish())
    };
    let mut links = vec![json!({ "relation": "self", "url": link(offset) })];
    if offset + count < found.len() {
        links.push(json!({ "relation": "next", "url": link(offset + count) }));
    }
    let entry = |resource: &Value, mode: &str| {
        let url = format!("{base}/{}", reference(resource));
        json!({ "fullUrl": url, "resource": resource, "search": { "mode": mode } })
    };
    let page: Vec<Value> = found.iter().skip(offset).take(count).cloned().collect();
    let along = if along.is_empty() { Vec::new() } else { state.model().along(&page) };
    let matches = page.iter().map(|resource| entry(resource, "match"));
    let entries: Vec<Value> = matches.chain(along.iter().map(|resource| entry(resource, "include"))).collect();
    let bundle = json!({
        "resourceType": "Bundle", "type": "searchset", "total": found.len(), "link": links, "entry": entries,
    });
    fhir(StatusCode::OK, &bundle)
}

/// `GET [base]/{type}/{id}`.
async fn read(Held(state): Shared, Path((kind, id)): Path<(String, String)>) -> Response {
    let found = state.model().read(&kind, &id);
    found.map_or_else(
        || outcome(StatusCode::NOT_FOUND, "there is no such resource"),
        |found| fhir(StatusCode::OK, &found),
    )
}

/// `PATCH [base]/{type}/{id}`.
async fn patch_one(Held(state): Shared, Path((kind, id)): Path<(String, String)>, request: Request) -> Response {
    match body(request).await {
        Ok(body) => patch(&state, &kind, &id, &body),
        Err(refused) => *refused,
    }
}

/// `PATCH [base]/{type}?…`: of the one that is found (FHIR R4 §3.1.0.7.1); 404 for none, 412 for several.
async fn patch_where(Held(state): Shared, Path(kind): Path<String>, uri: Uri, request: Request) -> Response {
    let wanted = query(&uri);
    if wanted.is_empty() {
        return outcome(StatusCode::BAD_REQUEST, "a condition is expected");
    }
    let body = match body(request).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let found = match state.model().matching(&kind, &wanted) {
        Ok(found) => found,
        Err(name) => return outcome(StatusCode::BAD_REQUEST, &format!("there is no search parameter {name}")),
    };
    match found.as_slice() {
        [] => outcome(StatusCode::NOT_FOUND, "no resource matches the condition"),
        [one] => patch(&state, &kind, one["id"].as_str().unwrap_or_default(), &body),
        several => {
            outcome(StatusCode::PRECONDITION_FAILED, &format!("{} resources match the condition", several.len()))
        }
    }
}

/// The body of a patch, as FHIR JSON.
async fn body(request: Request) -> Result<Value, Box<Response>> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some(FHIR_JSON) {
        return Err(Box::new(outcome(StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/fhir+json is expected")));
    }
    let bytes: Bytes = to_bytes(request.into_body(), LARGEST).await.unwrap_or_default();
    let unreadable = |problem: serde_json::Error| Box::new(outcome(StatusCode::BAD_REQUEST, &problem.to_string()));
    serde_json::from_slice(&bytes).map_err(unreadable)
}

fn patch(state: &State, kind: &str, id: &str, body: &Value) -> Response {
    let operations = match patch::operations(body) {
        Ok(operations) => operations,
        Err(why) => return outcome(StatusCode::BAD_REQUEST, &why),
    };
    match state.model().patch(kind, id, &operations) {
        Ok(patched) => fhir(StatusCode::OK, &patched),
        Err(Unpatched::NotFound) => outcome(StatusCode::NOT_FOUND, "there is no such resource"),
        Err(Unpatched::Refused(why)) => outcome(StatusCode::BAD_REQUEST, &why),
        Err(Unpatched::Broken(problem)) => outcome(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string()),
    }
}

/// The public extraction, unless it is the one that is known (RFC 9110 §13.1.2).
async fn extracted(Held(state): Shared, headers: HeaderMap) -> Response {
    let resources = state.model().resources().to_vec();
    let text = extraction::text(&resources);
    let tag: String = digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect();
    let tag = format!("\"{tag}\"");
    if headers.get(IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    match extraction::archive(&text) {
        Ok(archive) => ([(CONTENT_TYPE, "application/zip".to_owned()), (ETAG, tag)], archive).into_response(),
        Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problem}\n")).into_response(),
    }
}

async fn knobs(Held(state): Shared) -> axum::Json<Knobs> {
    axum::Json(lock(&state.knobs).clone())
}

async fn turn(Held(state): Shared, body: Bytes) -> Response {
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    match serde_json::from_slice(text) {
        Ok(knobs) => {
            *lock(&state.knobs) = knobs;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}

async fn seen(Held(state): Shared) -> axum::Json<Value> {
    axum::Json(json!(state.model().seen()))
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// An `OperationOutcome` (FHIR R4 §2.32): how a refusal is told.
fn outcome(status: StatusCode, diagnostics: &str) -> Response {
    let issue = json!({ "severity": "error", "code": "processing", "diagnostics": diagnostics });
    fhir(status, &json!({ "resourceType": "OperationOutcome", "issue": [issue] }))
}

fn fhir(status: StatusCode, resource: &Value) -> Response {
    (status, [(CONTENT_TYPE, FHIR_JSON)], Body::from(resource.to_string())).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
