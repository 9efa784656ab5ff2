//! A form that was sent: bounded in size and time, from our own page, with the token of this browser.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use super::visit::{Purpose, Visitor};
use super::{Desk, texts};

/// The name of the field that carries the token.
pub(super) const TOKEN: &str = "jeton";

/// The largest form: a certificate request of an RSA key of 4096 bits is two kilobytes.
const LARGEST: usize = 32 << 10;

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

/// A form without fields of its own.
#[derive(Deserialize)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    jeton: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<Desk>> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        if !comes_from_here(&parts.headers) {
            return Err(Refusal::stale_form("a form of another site"));
        }
        let visitor = Visitor::from_request_parts(&mut parts, desk).await?;
        let longest = desk.shared.config.load().portal.request_timeout;
        let body = tokio::time::timeout(longest, to_bytes(body, LARGEST)).await;
        let body = body.map_err(|_| bad_form("the body did not come in time"))?.map_err(bad_form)?;
        let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
        let token: Token = fields(kind.as_ref(), body.clone()).await?;
        let cookie = visitor.cookie.ok_or_else(|| Refusal::stale_form("a form without a cookie"))?;
        if !desk.seal.fits(Purpose::Form, &cookie, &token.jeton) {
            return Err(Refusal::stale_form("a form without its token"));
        }
        Ok(Self(fields(kind.as_ref(), body).await?))
    }
}

async fn fields<T: DeserializeOwned>(kind: Option<&header::HeaderValue>, body: Bytes) -> Result<T, Refusal> {
    let mut request = Request::post("/").body(Body::from(body)).map_err(Refusal::internal)?;
    if let Some(kind) = kind {
        request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    let form = axum::Form::<T>::from_request(request, &()).await;
    form.map(|axum::Form(fields)| fields).map_err(|problem| bad_form(problem.body_text()))
}

fn bad_form(because: impl std::fmt::Display) -> Refusal {
    let mut refusal = Refusal::new(StatusCode::BAD_REQUEST, texts::BAD_FORM_TITLE, texts::BAD_FORM);
    // A parser's words may hold what was typed: their kind is enough.
    refusal.because = Some(because.to_string().chars().take_while(|c| *c != ':').collect());
    refusal
}

/// Whether a browser says that the form is one of ours. A program that says nothing has no one else's cookies.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    match text(header::ORIGIN) {
        None => !headers.contains_key(header::ORIGIN),
        Some(origin) => text(header::HOST).is_some_and(|host| origin.strip_prefix("https://") == Some(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_form_of_another_site_is_none_of_ours() {
        let headers = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("portail.example"))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            headers
        };
        for (origin, ours) in [
            (None, true),
            (Some("https://portail.example"), true),
            (Some("http://portail.example"), false),
            (Some("https://portail.example:8443"), false),
            (Some("https://portail.example.evil"), false),
            (Some("null"), false),
            (Some(""), false),
        ] {
            assert_eq!(comes_from_here(&headers(origin)), ours, "{origin:?}");
        }
    }
}
