//! What holds for every page: its time, its headers, its line in the log, and how refusals look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use maud::Markup;

use super::refusal::Refusal;
use super::{Desk, pages, texts};

/// What every answer says to the browser. No script runs, nothing is fetched from elsewhere, no other site frames a page;
/// nothing is kept. `same-origin` keeps the `Origin` of our own forms, which [`super::form`] looks at.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Runs a request within its time, and to its end whoever goes away meanwhile: a change that was made has its consequences (sessions
/// end with what opened them). Makes a page of a refusal, puts the headers on. The log has the route, never the path.
pub(super) async fn around(State(desk): State<Arc<Desk>>, request: Request<Body>, next: Next) -> Response {
    let reference = next_reference();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let longest = desk.shared.config.load().portal.request_timeout;
    let running = tokio::spawn(next.run(request));
    let mut response = match tokio::time::timeout(longest, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => Refusal::internal(error).into_response(),
        Err(_) => Refusal::unavailable(texts::LATER, "the request took too long").into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Arc<Refusal>>() {
        response = desk.refused(&refusal, &reference, response.headers());
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if is_of_a_name(&desk.shared.config.load().portal.url) {
        let year = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    tracing::debug!(reference, %method, route, status = response.status().as_u16(), "portal request");
    response
}

/// Whether browsers may be told to speak nothing but HTTPS to this host from now on: not to a bare address (RFC 6797 §8.1.1),
/// and not to a developer's own machine, where everything else would break.
fn is_of_a_name(url: &str) -> bool {
    let host = url.trim_start_matches("https://").split(':').next().unwrap_or_default();
    host.contains('.') && host.chars().any(|c| c.is_ascii_alphabetic())
}

impl Desk {
    /// A refusal as a page; what it kept of cookies stays.
    fn refused(&self, refusal: &Refusal, reference: &str, headers: &HeaderMap) -> Response {
        let because = refusal.because.as_deref();
        if refusal.status.is_server_error() {
            tracing::error!(reference, status = refusal.status.as_u16(), because, "portal page failed");
        } else {
            tracing::info!(reference, status = refusal.status.as_u16(), because, "portal page refused");
        }
        let mut response = self.page(refusal.status, refusal.title, pages::refusal(refusal, reference));
        if let Some(again) = refusal.again {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(again.as_secs().max(1)));
        }
        for value in headers.get_all(header::SET_COOKIE) {
            response.headers_mut().append(header::SET_COOKIE, value.clone());
        }
        response
    }

    /// A page for whom nobody is logged in.
    pub(super) fn page(&self, status: StatusCode, title: &str, body: Markup) -> Response {
        (status, Html(pages::whole(&self.house(), None, title, &body).into_string())).into_response()
    }

    /// Whose page it is.
    pub(super) fn house(&self) -> pages::House {
        let config = self.shared.config.load();
        let named = Some(config.portal.title.clone()).filter(|title| !title.is_empty());
        pages::House {
            title: named.unwrap_or_else(|| config.server.name.clone()),
            contact: config.portal.contact.clone(),
        }
    }
}

/// A reference that no other request of this process has.
fn next_reference() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("P{:08x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::is_of_a_name;

    #[test]
    fn only_a_host_with_a_name_is_for_https_alone() {
        for (url, so) in [
            ("https://portail.example.mssante.fr", true),
            ("https://portail.example:8443", true),
            ("https://localhost:10443", false),
            ("https://192.0.2.1", false),
            ("https://[2001:db8::1]:443", false),
            ("", false),
        ] {
            assert_eq!(is_of_a_name(url), so, "{url}");
        }
    }
}
