//! `Idempotency-Key`: a repeated request is executed once and gets the first response again.
//!
//! The first run of a request claims its key, together with the id of the resource it will create, and renews the lease of
//! the claim while it runs. After a crash or a 5xx the key stays without a response: the next run takes it over with the
//! same id, finds what exists under that id, and creates nothing twice. Only a request that certainly did nothing releases
//! its key. Each write names the run it belongs to.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use super::body::read_body;
use super::caller::Caller;
use super::idempotency_store::{Claim, IdempotencyStore, LEASE, Lookup, StoredResponse};
use super::layers::{has_large_body, panicked, refuse_large_body, rendered};
use super::problem::{Problem, ProblemKind};
use super::refusal::{Received, Recorded, RefusalLog};
use super::request_info::RequestInfo;
use crate::clock::Clock;
use crate::db::Db;
use crate::types::{Fault, parse_uuid};

/// The interval at which a run renews its lease.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long a response waits until it is stored; storing continues in the background. A response that asks the sender to
/// try again waits less.
const WRITE_TIMEOUT: Duration = Duration::from_millis(500);
const UNFINISHED_WRITE_TIMEOUT: Duration = Duration::from_millis(100);
/// The pause before a failed write is repeated.
const RETRY_AFTER_FAILURE: Duration = Duration::from_millis(250);
/// The `Retry-After` for a request whose first run has not finished, in seconds.
const IN_USE_RETRY_AFTER: u64 = 2;
/// The headers that are stored with a response.
const STORED_HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER, header::ETAG];

/// The paths of requests about a person.
const PRIVATE: &str = "/v1/privacy/";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The body to store instead of the response's own, which has a secret that is shown only once.
#[derive(Clone, Debug)]
pub struct StoredBody(pub Bytes);

/// Runs requests once for each key, and stores their responses.
#[derive(Clone)]
pub struct Idempotency {
    answers: IdempotencyStore,
    refusals: Arc<dyn RefusalLog>,
}

/// The state of a key after a run.
#[derive(Debug, PartialEq, Eq)]
enum KeyOutcome {
    /// Repeated requests get this response.
    Answered(StoredResponse),
    /// The run certainly did nothing.
    Released,
    /// The run may have done something. The next run continues with the same resource id.
    Unfinished,
}

/// Runs a POST once for each key. The body of any request is refused if it is too large.
///
/// # Errors
/// A 422 for a bad key, and for a key of another request; a 409 while the first request runs; the faults of the body.
pub async fn idempotent(idempotency: &Arc<Idempotency>, request: Request, next: Next) -> Result<Response, Problem> {
    if has_large_body(&request) {
        return Ok(refuse_large_body(request).await);
    }
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let Some(key) = idempotency_key(request.headers())? else { return Ok(next.run(request).await) };
    let received = Received::of(&request);
    let (mut parts, body) = request.into_parts();
    let (Some(caller), Some(info)) =
        (parts.extensions.get::<Caller>().cloned(), parts.extensions.get::<Arc<RequestInfo>>().cloned())
    else {
        return Err(Problem::new(ProblemKind::Unauthorized, "an API key is needed"));
    };
    let body = read_body(Request::new(body), &()).await?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let hash = request_hash(target, &body, request_secret(target, &parts.headers));

    let claim = idempotency.answers.new_claim(caller.key_id, key, callback_in(parts.uri.path()));
    match idempotency.claim(&claim, &hash).await? {
        Lookup::Answered(answer) => Ok(replayed(answer)),
        Lookup::Running => Err(in_use()),
        Lookup::Erased => {
            Err(Problem::new(ProblemKind::IdempotencyKeyReused, "what was requested with this key has been erased"))
        }
        Lookup::OtherRequest => {
            Err(Problem::new(ProblemKind::IdempotencyKeyReused, "this key was used before with another body or route"))
        }
        Lookup::Claimed(resource) => {
            parts.extensions.insert(resource);
            // In a task of its own: a client that disconnects gets the response when it repeats the request.
            let idempotency = Arc::clone(idempotency);
            let answered = async move {
                let run = AssertUnwindSafe(next.run(Request::from_parts(parts, Body::from(body)))).catch_unwind();
                let response = idempotency.renewing(&claim, run).await.unwrap_or_else(panicked);
                // Here, so that it is recorded also if the client disconnects: its next request gets the stored response.
                let response = received.recorded(rendered(response, &info), &*idempotency.refusals).await;
                idempotency.settle(claim, response, resource.repeated).await
            };
            tokio::spawn(answered.in_current_span())
                .await
                .map_err(|_| Problem::new(ProblemKind::Internal, "internal error"))
        }
    }
}

fn in_use() -> Problem {
    Problem::new(ProblemKind::IdempotencyKeyInUse, "the first request with this key has not been answered yet")
        .retry_after(IN_USE_RETRY_AFTER)
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if (1..=255).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"') {
        return Ok(Some(key.to_owned()));
    }
    let fault = Fault::new(
        "bad-idempotency-key",
        "the Idempotency-Key header must be 1 to 255 characters of ASCII, none of them a quote or a control character",
    );
    Err(Problem::fault("/Idempotency-Key", fault))
}

/// The callback that the path of a request names.
fn callback_in(path: &str) -> Option<Uuid> {
    let id = path.strip_prefix("/v1/callbacks/")?.split('/').next()?;
    parse_uuid(id).ok()
}

/// What is hashed with a request whose body is little more than a phone number: the API key, which the database does not have.
/// A plain hash could be tried with all numbers.
fn request_secret<'a>(target: &str, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let authorization = headers.get(header::AUTHORIZATION).filter(|_| target.starts_with(PRIVATE))?;
    authorization.as_bytes().rsplit(|byte| *byte == b' ').next()
}

fn request_hash(target: &str, body: &[u8], secret: Option<&[u8]>) -> [u8; 32] {
    let hash = Sha256::new().chain_update(target).chain_update([0]).chain_update(body);
    secret.map_or(hash.clone(), |secret| hash.chain_update([0]).chain_update(secret)).finalize().into()
}

impl Idempotency {
    /// Stores keys in this database, and records refusals there.
    pub fn new(pool: Db, refusals: Arc<dyn RefusalLog>, clock: Clock) -> Self {
        Self { answers: IdempotencyStore::new(pool, clock), refusals }
    }

    /// Deletes expired keys.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        self.answers.purge().await
    }

    async fn claim(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Lookup, sqlx::Error> {
        let found = self.answers.claim(claim, hash).await;
        if found.is_err() {
            // The claim may have been committed, but there will be no run.
            self.write(claim.clone(), KeyOutcome::Unfinished);
        }
        found
    }

    async fn renewing<T>(&self, claim: &Claim, run: impl Future<Output = T>) -> T {
        let renew = async || -> std::convert::Infallible {
            loop {
                sleep(RENEW_EVERY).await;
                if let Err(error) = self.answers.renew(claim).await {
                    tracing::warn!(error = %error, "the lease of an idempotency key could not be renewed");
                }
            }
        };
        tokio::select! {
            response = run => response,
            never = renew() => match never {},
        }
    }

    /// Stores the outcome and returns the response, even where storing fails.
    async fn settle(&self, claim: Claim, response: Response, repeated: bool) -> Response {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let kept = parts.extensions.get::<StoredBody>().map_or(&body, |kept| &kept.0);
        let leaves_nothing = parts.extensions.get::<Problem>().is_some_and(Problem::leaves_nothing);
        let outcome = match is_final(parts.status, leaves_nothing) {
            Some(true) => {
                let status = i16::try_from(parts.status.as_u16()).unwrap_or(200);
                let answer = StoredResponse { status, headers: stored_headers(&parts.headers), body: kept.to_vec() };
                KeyOutcome::Answered(answer)
            }
            // An earlier run may have created something.
            Some(false) if !repeated => KeyOutcome::Released,
            Some(false) | None => KeyOutcome::Unfinished,
        };
        let within = if outcome == KeyOutcome::Unfinished { UNFINISHED_WRITE_TIMEOUT } else { WRITE_TIMEOUT };
        let _ = timeout(within, self.write(claim, outcome)).await;
        Response::from_parts(parts, Body::from(body))
    }

    /// Stores the outcome of a run, with retries until the lease ends by itself.
    fn write(&self, claim: Claim, outcome: KeyOutcome) -> tokio::task::JoinHandle<()> {
        let answers = self.answers.clone();
        let give_up_at = Instant::now() + LEASE;
        let writing = async move {
            loop {
                let written = match &outcome {
                    KeyOutcome::Answered(answer) => answers.keep(&claim, answer).await,
                    KeyOutcome::Released => answers.free(&claim).await,
                    KeyOutcome::Unfinished => answers.end(&claim).await,
                };
                let Err(error) = written else { return };
                if Instant::now() >= give_up_at {
                    tracing::error!(error = %error, "the outcome of an idempotency key could not be stored");
                    return;
                }
                sleep(RETRY_AFTER_FAILURE).await;
            }
        };
        tokio::spawn(writing.in_current_span())
    }
}

/// Whether a response is final: true if the request was executed, successfully or not; false if it was refused before
/// anything was done; none if that is unknown.
fn is_final(status: StatusCode, leaves_nothing: bool) -> Option<bool> {
    match status {
        StatusCode::CONFLICT => Some(true),
        StatusCode::UNPROCESSABLE_ENTITY => Some(!leaves_nothing),
        status if status.is_success() => Some(true),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => None,
        status if status.is_client_error() => Some(false),
        _ => None,
    }
}

fn stored_headers(headers: &HeaderMap) -> Value {
    let kept = STORED_HEADERS.iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), json!(value)))
    });
    Value::Object(kept.collect::<Map<_, _>>())
}

fn replayed(answer: StoredResponse) -> Response {
    let StoredResponse { status, headers, body } = answer;
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let kept = STORED_HEADERS.into_iter().filter_map(|name| {
        let value = headers.get(name.as_str())?.as_str()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    response.headers_mut().extend(kept);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response.extensions_mut().insert(Recorded);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_characters_with_or_without_quotes() {
        let key = |value: &str| {
            let headers = HeaderMap::from_iter([(IDEMPOTENCY_KEY, value.parse().unwrap())]);
            idempotency_key(&headers).ok().flatten()
        };
        let longest = "k".repeat(255);
        for (value, expected) in [
            ("order-1", "order-1"),
            ("\"order-1\"", "order-1"),
            ("order 1", "order 1"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(key(value).as_deref(), Some(expected));
        }
        for value in ["", "\"\"", "a\tb", "a\"b", "\"a", &"k".repeat(256)] {
            assert_eq!(key(value), None, "{value}");
        }
    }

    #[test]
    fn an_executed_request_keeps_its_key_a_refused_one_releases_it_and_an_unknown_outcome_leaves_it_unfinished() {
        let final_of = |status: u16| is_final(StatusCode::from_u16(status).unwrap(), false);
        for status in [200, 201, 202, 204, 409] {
            assert_eq!(final_of(status), Some(true), "{status}");
        }
        assert_eq!(final_of(422), Some(true));
        assert_eq!(is_final(StatusCode::UNPROCESSABLE_ENTITY, true), Some(false));
        for status in [400, 401, 403, 404, 405, 413, 415] {
            assert_eq!(final_of(status), Some(false), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(final_of(status), None, "{status}");
        }
    }
}
