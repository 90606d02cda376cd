//! `Idempotency-Key`: the same request again is answered as the first one was, and done once.
//!
//! The first run of a request with a key claims it, with the id that whatever it makes will have, and renews its lease
//! while it works. A run that crashes, or is answered with a 5xx, leaves the key and its id behind: the next one takes them
//! on, finds what was made under that id, and so makes nothing twice. Only a request that certainly did nothing frees its
//! key. Each write names the run that it belongs to.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

use super::body::read_body;
use super::caller::Caller;
use super::idempotency_store::{Claim, Found, KeptAnswer, KeyedAnswers, LEASE, ResourceId};
use super::layers::{RequestInfo, panicked, rendered};
use super::problem::{Problem, ProblemKind};
use crate::clock::Clock;
use crate::db::Db;
use crate::types::Fault;

/// A run renews its lease so often.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// An answer waits so long for what is written about it; the writing goes on behind it. One that says "try again" does not
/// wait twice for a Postgres that answers nothing.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);
const OPENED_WITHIN: Duration = Duration::from_millis(100);
/// Between two tries to write.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// What a client that meets a request still running should wait, in seconds.
const IN_USE_RETRY_AFTER: u64 = 2;
/// The headers that belong to an answer; the others belong to the exchange.
const KEPT_HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER, header::ETAG];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is kept of an answer that holds what is shown only once.
#[derive(Clone, Debug)]
pub struct KeptBody(pub Bytes);

/// Who keeps the answers.
#[derive(Clone, Debug)]
pub struct Idempotency {
    answers: KeyedAnswers,
    clock: Clock,
}

/// What becomes of a key after a run.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Its request is answered so from now on.
    Kept(KeptAnswer),
    /// The run certainly did nothing.
    Freed,
    /// It may have done something: the next request goes on under the same resource id.
    Open,
}

/// Runs a POST once for each key.
pub async fn idempotent(
    State(idempotency): State<Idempotency>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let Some(key) = idempotency_key(request.headers())? else {
        let id = idempotency.clock.new_id();
        request.extensions_mut().insert(ResourceId { id, repeated: false });
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let (Some(caller), Some(info)) =
        (parts.extensions.get::<Caller>().cloned(), parts.extensions.get::<RequestInfo>().cloned())
    else {
        return Err(Problem::new(ProblemKind::Unauthorized, "an API key is needed"));
    };
    let body = read_body(Request::new(body), &()).await?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let hash = request_hash(target, &body);

    let claim = idempotency.answers.new_claim(caller.key_id, key);
    match idempotency.claim(&claim, &hash).await? {
        Found::Answered(answer) => Ok(replayed(answer)),
        Found::Running => Err(in_use()),
        Found::OfAnotherRequest => Err(Problem::new(
            ProblemKind::IdempotencyKeyReused,
            "this key came with another body, or to another route, before",
        )),
        Found::Ours(resource) => {
            parts.extensions.insert(resource);
            // In a task of its own: a caller that hangs up finds the answer when it comes back with the key.
            let answered = async move {
                let run = AssertUnwindSafe(next.run(Request::from_parts(parts, Body::from(body)))).catch_unwind();
                let response = idempotency.renewing(&claim, run).await.unwrap_or_else(panicked);
                idempotency.settle(claim, rendered(response, &info), resource.repeated).await
            };
            tokio::spawn(answered.in_current_span())
                .await
                .map_err(|_| Problem::new(ProblemKind::Internal, "the request could not be worked on"))
        }
    }
}

fn in_use() -> Problem {
    Problem::new(ProblemKind::IdempotencyKeyInUse, "the first request with this key has not been answered yet")
        .retry_after(IN_USE_RETRY_AFTER)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if (1..=255).contains(&key.len()) {
        return Ok(Some(key.to_owned()));
    }
    let fault = Fault::new("bad-idempotency-key", "the Idempotency-Key header must be 1 to 255 visible characters");
    Err(Problem::fault("/Idempotency-Key", fault))
}

fn request_hash(target: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(target).chain_update([0]).chain_update(body).finalize().into()
}

impl Idempotency {
    /// Over this database.
    pub fn new(pool: Db, clock: Clock) -> Self {
        Self { answers: KeyedAnswers::new(pool, clock.clone()), clock }
    }

    /// Deletes what is older than it need be kept.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        self.answers.purge().await
    }

    async fn claim(&self, claim: &Claim, hash: &[u8; 32]) -> Result<Found, sqlx::Error> {
        let found = self.answers.claim(claim, hash).await;
        if found.is_err() {
            // The key may be taken, by a run that there will never be.
            self.write(claim.clone(), Fate::Open);
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

    /// The answer is given whatever becomes of the key.
    async fn settle(&self, claim: Claim, response: Response, repeated: bool) -> Response {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let kept = parts.extensions.get::<KeptBody>().map_or(&body, |kept| &kept.0);
        let leaves_nothing = parts.extensions.get::<Problem>().is_some_and(Problem::leaves_nothing);
        let fate = match is_final(parts.status, leaves_nothing) {
            Some(true) => Fate::Kept(KeptAnswer {
                status: i16::try_from(parts.status.as_u16()).unwrap_or(200),
                headers: kept_headers(&parts.headers),
                body: kept.to_vec(),
            }),
            // What an earlier run made is still to be found.
            Some(false) if !repeated => Fate::Freed,
            Some(false) | None => Fate::Open,
        };
        let within = if fate == Fate::Open { OPENED_WITHIN } else { WRITTEN_WITHIN };
        let _ = timeout(within, self.write(claim, fate)).await;
        Response::from_parts(parts, Body::from(body))
    }

    /// Writes what becomes of a key, again and again until the lease is over by itself.
    fn write(&self, claim: Claim, fate: Fate) -> tokio::task::JoinHandle<()> {
        let answers = self.answers.clone();
        let give_up_at = Instant::now() + LEASE;
        let writing = async move {
            loop {
                let written = match &fate {
                    Fate::Kept(answer) => answers.keep(&claim, answer).await,
                    Fate::Freed => answers.free(&claim).await,
                    Fate::Open => answers.end(&claim).await,
                };
                let Err(error) = written else { return };
                if Instant::now() >= give_up_at {
                    tracing::error!(error = %error, "what became of an idempotency key could not be written");
                    return;
                }
                sleep(WRITE_AGAIN_AFTER).await;
            }
        };
        tokio::spawn(writing.in_current_span())
    }
}

/// Whether an answer is final: true, where the request brought it about, good or bad; false, where the request was refused
/// before anything was done. None, where it is unknown what was done.
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

fn kept_headers(headers: &HeaderMap) -> Value {
    let kept = KEPT_HEADERS.iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), json!(value)))
    });
    Value::Object(kept.collect::<Map<_, _>>())
}

fn replayed(answer: KeptAnswer) -> Response {
    let KeptAnswer { status, headers, body } = answer;
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = (status.unwrap_or(StatusCode::OK), Bytes::from(body)).into_response();
    let kept = KEPT_HEADERS.into_iter().filter_map(|name| {
        let value = headers.get(name.as_str())?.as_str()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    response.headers_mut().extend(kept);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_by_what_was_done_freed_by_what_was_not_and_left_open_by_what_is_unknown() {
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
