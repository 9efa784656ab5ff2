//! The directory's FHIR API (MSSanté §9): search, page by page, and patch.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::pace::Pace;
use crate::accounts::https::{Answer, Call, Endpoint, Https, HttpsError, encoded};
use crate::telemetry::{Metrics, ResultLabel};
use crate::wire::sasl::Secret;

/// The header of the API key.
const KEY: HeaderName = HeaderName::from_static("esante-api-key");

/// FHIR's JSON.
const FHIR_JSON: &str = "application/fhir+json";

/// Pages of one search, at most: a directory that gives more gives them in a circle.
const MOST_PAGES: usize = 1_000;

/// Characters of the directory's words that are kept.
const WORDS: usize = 300;

/// Why the directory did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// There was no answer.
    #[error("{0}")]
    NoAnswer(#[from] HttpsError),
    /// It cannot now: 5xx, 429.
    #[error("it answered HTTP {status}{}", said(words))]
    Busy {
        /// The status.
        status: u16,
        /// Its own words.
        words: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// It does not know us by this key or certificate: 401; or this is not for us: 403, which may mean the one and the other.
    #[error("it refuses us, or our key or certificate (HTTP {status}){}", said(words))]
    Credentials {
        /// The status.
        status: u16,
        /// Its own words.
        words: String,
    },
    /// It refuses this for good: 400, 404, 412 and their like.
    #[error("it refuses (HTTP {status}){}", said(words))]
    Refused {
        /// The status.
        status: u16,
        /// Its own words.
        words: String,
    },
    /// It says that something is done, and does not show it.
    #[error("it says that it is done, and does not show it")]
    NotShown,
    /// What it says is not what the protocol asks for.
    #[error("its answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl DirectoryError {
    /// A stable kebab-case name, for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoAnswer(error) => error.name(),
            Self::Busy { .. } => "busy",
            Self::Credentials { .. } => "credentials",
            Self::Refused { .. } => "refused",
            Self::NotShown => "not-shown",
            Self::Nonsense(_) => "nonsense",
        }
    }

    /// Whether it is certain that it is our key or certificate that is refused (MSSanté §9).
    pub(super) fn is_of_our_key(&self) -> bool {
        matches!(self, Self::Credentials { status: 401, .. })
    }
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// Asks the directory. Cheap to clone.
#[derive(Clone)]
pub struct FhirClient {
    inner: Arc<Inner>,
}

struct Inner {
    read: String,
    write: String,
    https: Https,
    key: ArcSwapOption<HeaderValue>,
    pace: Pace,
    metrics: Metrics,
}

impl fmt::Debug for FhirClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FhirClient").field("read", &self.inner.read).field("write", &self.inner.write).finish()
    }
}

impl FhirClient {
    /// A client of the directory whose FHIR bases these are; it asks `rate` times a second at most.
    pub fn new(read: &str, write: &str, https: Https, rate: u32, metrics: Metrics) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        let (read, write, key) = (base(read), base(write), ArcSwapOption::empty());
        Self { inner: Arc::new(Inner { read, write, https, key, pace: Pace::new(rate), metrics }) }
    }

    /// The API key of requests from now on.
    pub fn put_key(&self, key: Option<&Secret>) {
        let value = key.and_then(|key| HeaderValue::from_bytes(key.expose()).ok());
        self.inner.key.store(value.map(Arc::new));
    }

    /// The first `most` resources of a type that a query finds, by its pages.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn search(
        &self,
        resource: &str,
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<Value>, DirectoryError> {
        let mut found = Vec::new();
        let mut page = self.first_page(resource, query).await?;
        for _ in 0..MOST_PAGES {
            found.append(&mut page.resources);
            match page.next.take() {
                Some(next) if found.len() < most => page = self.page(&next).await?,
                _ => {
                    found.truncate(most);
                    return Ok(found);
                }
            }
        }
        Err(DirectoryError::Nonsense("its pages do not end"))
    }

    /// The first page of what a query finds.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn first_page(&self, resource: &str, query: &[(&str, &str)]) -> Result<Page, DirectoryError> {
        self.page(&self.endpoint(&self.inner.read, &target(resource, query))?).await
    }

    /// A page: the first one, or the next one that a page names.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn page(&self, endpoint: &Endpoint) -> Result<Page, DirectoryError> {
        let answer = self.ask(Call::get(endpoint)).await?;
        Page::of(&json(&answer)?, endpoint)
    }

    /// Patches the resource at `target` (`Practitioner/…`, or `Practitioner?identifier=…`) by a `Parameters` resource. Gives the
    /// resource as it is now, where the directory tells.
    ///
    /// # Errors
    /// [`DirectoryError`]. After [`DirectoryError::NoAnswer`] and [`DirectoryError::Busy`] it may have been done.
    pub async fn patch(&self, target: &str, parameters: &Value) -> Result<Option<Value>, DirectoryError> {
        let endpoint = self.endpoint(&self.inner.write, target)?;
        let answer = self.ask(Call::patch(&endpoint, FHIR_JSON, parameters.to_string().into_bytes())).await?;
        if answer.body.is_empty() { Ok(None) } else { json(&answer).map(Some) }
    }

    fn endpoint(&self, base: &str, target: &str) -> Result<Endpoint, DirectoryError> {
        Endpoint::parse(&format!("{base}/{target}")).ok_or(DirectoryError::Nonsense("no address can be made for it"))
    }

    /// Sends a request at its turn; gives the answer if it is a good one.
    async fn ask(&self, call: Call<'_>) -> Result<Answer, DirectoryError> {
        let inner = &self.inner;
        inner.pace.turn().await;
        let call = call.accepting(FHIR_JSON);
        let call = match inner.key.load_full() {
            Some(key) => call.with_secret(KEY, HeaderValue::clone(&key)),
            None => call,
        };
        let outcome = inner.https.send(&call).await.map_err(DirectoryError::from).and_then(judged);
        let result = outcome.as_ref().err().map_or("ok", DirectoryError::name);
        inner.metrics.directory_requests.get_or_create(&ResultLabel { result }).inc();
        outcome
    }
}

/// A page of a search.
#[derive(Debug)]
pub struct Page {
    /// What was found.
    pub resources: Vec<Value>,
    /// Where the next page is; none: this is the last one.
    pub next: Option<Endpoint>,
}

impl Page {
    fn of(bundle: &Value, from: &Endpoint) -> Result<Self, DirectoryError> {
        if bundle["resourceType"] != "Bundle" {
            return Err(DirectoryError::Nonsense("a search is not answered by a Bundle"));
        }
        let items = |name: &str| bundle[name].as_array().into_iter().flatten();
        // FHIR R4 §3.1.1.4: what the search itself has to say stands among what was found.
        let is_found = |entry: &&Value| entry["search"]["mode"] != "outcome";
        let resources = items("entry").filter(is_found).map(|entry| entry["resource"].clone()).collect();
        let next = items("link").find(|link| link["relation"] == "next").and_then(|link| link["url"].as_str());
        let next = next.map(|url| {
            // Our key goes to no other server.
            let next = Endpoint::parse(url).filter(|next| next.is_beside(from));
            next.ok_or(DirectoryError::Nonsense("the next page is at another server"))
        });
        Ok(Self { resources, next: next.transpose()? })
    }
}

/// `Practitioner?identifier=…`, encoded.
pub fn target(resource: &str, query: &[(&str, &str)]) -> String {
    let pairs = query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    if query.is_empty() { resource.to_owned() } else { format!("{resource}?{query}") }
}

fn json(answer: &Answer) -> Result<Value, DirectoryError> {
    serde_json::from_slice(&answer.body).map_err(|_| DirectoryError::Nonsense("it is no JSON"))
}

/// The one table of what a status means (MSSanté §9).
fn judged(answer: Answer) -> Result<Answer, DirectoryError> {
    let status = answer.status.as_u16();
    match answer.status {
        good if good.is_success() => Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(DirectoryError::Credentials { status, words: words(&answer.body) })
        }
        // RFC 6585 §4: too many requests. RFC 9110 §15.5.9: it gave up waiting for ours.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(busy(&answer)),
        refused if refused.is_client_error() => Err(DirectoryError::Refused { status, words: words(&answer.body) }),
        failed if failed.is_server_error() => Err(busy(&answer)),
        _ => Err(DirectoryError::Nonsense("it points elsewhere, which is not followed")),
    }
}

fn busy(answer: &Answer) -> DirectoryError {
    let (status, retry_after) = (answer.status.as_u16(), answer.retry_after);
    DirectoryError::Busy { status, words: words(&answer.body), retry_after }
}

/// What an `OperationOutcome` (FHIR R4 §2.32) says, on one line and cut.
fn words(body: &[u8]) -> String {
    let Ok(outcome) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let issues = outcome["issue"].as_array().into_iter().flatten();
    let texts = issues.filter_map(|issue| issue["diagnostics"].as_str().or_else(|| issue["details"]["text"].as_str()));
    let line = texts.collect::<Vec<_>>().join("; ");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: &Value) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: None, body: body.to_string().into_bytes().into() }
    }

    #[test]
    fn every_status_means_one_thing() {
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": [
            { "severity": "error", "diagnostics": "l'index\nn'existe pas" }, { "details": { "text": "voir §3" } },
        ]});
        for (status, name) in [
            (200, "ok"),
            (302, "nonsense"),
            (400, "refused"),
            (401, "credentials"),
            (403, "credentials"),
            (404, "refused"),
            (408, "busy"),
            (412, "refused"),
            (422, "refused"),
            (429, "busy"),
            (500, "busy"),
            (503, "busy"),
        ] {
            let judged = judged(answer(status, &outcome));
            assert_eq!(judged.as_ref().err().map_or("ok", DirectoryError::name), name, "{status}");
        }
        let Err(refused) = judged(answer(412, &outcome)) else { panic!("412 is good") };
        assert_eq!(refused.to_string(), "it refuses (HTTP 412): l'index n'existe pas; voir §3");
    }

    #[test]
    fn a_page_leads_to_the_next_one_of_the_same_server_only() {
        let from = Endpoint::parse("https://annuaire.example/fhir/v2/Practitioner?x=y").unwrap();
        let bundle = |next: &str| {
            json!({ "resourceType": "Bundle", "link": [{ "relation": "next", "url": next }], "entry": [
                { "resource": { "id": "1" } }, { "resource": { "id": "2" }, "search": { "mode": "outcome" } },
            ]})
        };
        let page = Page::of(&bundle("https://annuaire.example/fhir/v2?_page=2"), &from).unwrap();
        assert_eq!((page.resources.len(), page.next.is_some()), (1, true));
        for elsewhere in ["https://autre.example/", "http://annuaire.example/", "/fhir"] {
            assert!(Page::of(&bundle(elsewhere), &from).is_err(), "{elsewhere}");
        }
        assert!(Page::of(&json!({ "resourceType": "OperationOutcome" }), &from).is_err());
    }

    #[test]
    fn a_condition_is_one_query() {
        let condition = [("identifier", "urn:oid:1.2.250.1.71.4.2.1|810003456789")];
        let wanted = "Practitioner?identifier=urn%3Aoid%3A1.2.250.1.71.4.2.1%7C810003456789";
        assert_eq!(target("Practitioner", &condition), wanted);
    }
}
