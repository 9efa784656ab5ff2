//! What handlers take out of a request: JSON, the query, the path. Bounded in size and time, refused as problems.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::problem::{Problem, Rule};

/// The largest JSON body: a mailbox with a long access list is some kilobytes.
pub const JSON_LIMIT: usize = 256 << 10;

/// How long a JSON body may take in all.
const JSON_TIME: Duration = Duration::from_secs(15);

/// How long the next piece of a message may take to come.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// A JSON body. With an optional body (`Json<Option<T>>`) nothing at all is `None`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let kind = media_type(request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()));
        let bytes = tokio::time::timeout(JSON_TIME, whole(request.into_body(), JSON_LIMIT))
            .await
            .map_err(|_| Problem::new(Rule::BodyTooSlow, "The body did not come in time."))??;
        if bytes.is_empty() {
            return parse(b"null").map_err(|_| Problem::new(Rule::BadJson, "A body is needed."));
        }
        if kind.as_deref() != Some("application/json") {
            return Err(Problem::new(Rule::BadMediaType, "Send application/json."));
        }
        parse(&bytes)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|problem| {
        let path = problem.path().to_string();
        let problem = problem.into_inner();
        let (rule, text) = match problem.classify() {
            // Well-formed, but not what is expected here: that is about a field.
            serde_json::error::Category::Data => (Rule::BadField, problem.to_string()),
            _ => (Rule::BadJson, problem.to_string()),
        };
        let refusal = Problem::new(rule, text);
        if path == "." { refusal } else { refusal.at(&path) }
    })?;
    reader.end().map_err(|problem| Problem::new(Rule::BadJson, problem.to_string()))?;
    Ok(Json(value))
}

/// The type before its parameters, in lower case.
fn media_type(header: Option<&str>) -> Option<String> {
    header.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Requires a body of this media type.
///
/// # Errors
/// A problem for anything else.
pub fn expect_media_type(request: &Request, expected: &str) -> Result<(), Problem> {
    let kind = media_type(request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()));
    if kind.as_deref() == Some(expected) {
        Ok(())
    } else {
        Err(Problem::new(Rule::BadMediaType, format!("Send {expected}.")))
    }
}

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(query) => Ok(Self(query.0)),
            Err(problem) => Err(Problem::field("?", problem.body_text())),
        }
    }
}

/// The parts of the path that the route names.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(problem) => Err(Problem::new(Rule::NoSuchEndpoint, problem.body_text())),
        }
    }
}

async fn whole(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut pieces = Pieces::of(body);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await? {
        if bytes.len() + piece.len() > limit {
            return Err(Problem::new(Rule::BodyTooLarge, format!("At most {limit} bytes are taken here.")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// A body as it comes in, piece by piece, each within its time.
#[derive(Debug)]
pub struct Pieces {
    body: Body,
    wait: Duration,
}

impl Pieces {
    /// The pieces of a request's body.
    pub fn of(body: Body) -> Self {
        Self { body, wait: PIECE_TIME }
    }

    /// The next piece, none at the end.
    ///
    /// # Errors
    /// A problem if it does not come in time or the body breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = tokio::time::timeout(self.wait, self.body.frame())
                .await
                .map_err(|_| Problem::new(Rule::BodyTooSlow, "The body stopped coming."))?;
            match frame {
                None => return Ok(None),
                Some(Err(problem)) => {
                    return Err(Problem::new(Rule::BodyBroken, "The body ended before its end.").because(problem));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Ok(Some(data)),
                    // Trailers mean nothing here.
                    Err(_trailers) => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::types::{NewMailbox, StateRequest};

    fn request(kind: Option<&str>, body: impl Into<Body>) -> Request {
        let mut builder = Request::builder().method("POST").uri("/");
        if let Some(kind) = kind {
            builder = builder.header(CONTENT_TYPE, kind);
        }
        builder.body(body.into()).unwrap()
    }

    async fn refused(kind: Option<&str>, body: impl Into<Body>) -> Problem {
        Json::<NewMailbox>::from_request(request(kind, body), &()).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_is_no_json_is_refused_as_what_it_is() {
        let json = Some("application/json; charset=utf-8");
        assert_eq!(refused(json, "{").await.rule(), Rule::BadJson);
        assert_eq!(refused(json, &b"{\"address\":\"\xff\"}"[..]).await.rule(), Rule::BadJson);
        assert_eq!(refused(json, r#"{"address":"a@b","kind":"PER"} x"#).await.rule(), Rule::BadJson);
        assert_eq!(refused(Some("text/plain"), "{}").await.rule(), Rule::BadMediaType);
        assert_eq!(refused(json, vec![b' '; JSON_LIMIT + 1]).await.rule(), Rule::BodyTooLarge);
        let deep = format!("{{\"holder\":{}", "[".repeat(100_000));
        assert_eq!(refused(json, deep).await.rule(), Rule::BadField);
    }

    #[tokio::test]
    async fn a_wrong_field_is_named() {
        let text = r#"{"address":"a@b","kind":"PER","holder":{"last_name":5}}"#;
        let problem = refused(Some("application/json"), text).await;
        assert_eq!(problem.rule(), Rule::BadField);
        assert_eq!(problem.body("").field.as_deref(), Some("holder.last_name"));
    }

    #[tokio::test]
    async fn an_optional_body_may_be_left_out() {
        let none = Json::<Option<StateRequest>>::from_request(request(None, Body::empty()), &()).await.unwrap();
        assert!(none.0.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up() {
        let (_sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let body = Body::new(Never(receiver));
        assert_eq!(refused(Some("application/json"), body).await.rule(), Rule::BodyTooSlow);
    }

    /// A body whose sender says nothing.
    struct Never(tokio::sync::mpsc::Receiver<Bytes>);

    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
            self.0.poll_recv(context).map(|data| data.map(|data| Ok(hyper::body::Frame::data(data))))
        }
    }
}
