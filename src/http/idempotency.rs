//! `Idempotency-Key`: the same request again is answered as the first one was, and done once.
//!
//! The first request with a key claims it, with the id that whatever it makes will have. A request that crashes leaves
//! its claim behind; once the lease is over, the next one with the key takes the claim on under the same id, finds what
//! the first had made under it, and so makes nothing twice.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff_sqlx::ToSqlx as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tracing::Instrument as _;
use uuid::Uuid;

use super::caller::Caller;
use super::edge::{RequestInfo, rendered};
use super::input::read_body;
use super::problem::{Problem, ProblemKind};
use crate::clock::Clock;
use crate::types::Fault;

/// How long answers are kept (the contract's 7 days).
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longer than any request may run, so that two never run under one key.
const LEASE: Duration = Duration::from_secs(45);
/// What a client that meets a request still running should wait, in seconds.
const IN_USE_RETRY_AFTER: u64 = 2;
/// The headers that belong to an answer; the others belong to the exchange.
const KEPT_HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER, header::ETAG];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The id that what this POST makes will have: the same one where the request is repeated under its key.
#[derive(Clone, Copy, Debug)]
pub struct ResourceId {
    /// The id.
    pub id: Uuid,
    /// Whether an earlier run of the same request may have used it.
    pub repeated: bool,
}

/// What is kept of an answer that holds what is shown only once.
#[derive(Clone, Debug)]
pub struct KeptBody(pub Bytes);

/// Who keeps the answers.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pool: PgPool,
    clock: Clock,
}

/// What a key turns out to be.
enum Claim {
    Ours(ResourceId),
    Answered(Response),
    Running,
    OfAnotherRequest,
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

    match idempotency.claim(caller.key_id, &key, &hash).await? {
        Claim::Answered(answer) => Ok(answer),
        Claim::Running => Err(in_use()),
        Claim::OfAnotherRequest => Err(Problem::new(
            ProblemKind::IdempotencyKeyReused,
            "this key came with another body, or to another route, before",
        )),
        Claim::Ours(resource) => {
            parts.extensions.insert(resource);
            // In a task of its own: a caller that hangs up finds the answer when it comes back with the key.
            let answered = async move {
                let response = next.run(Request::from_parts(parts, Body::from(body))).await;
                idempotency.settle(caller.key_id, &key, rendered(response, &info)).await
            };
            tokio::spawn(answered.in_current_span())
                .await
                .map_err(|_| Problem::new(ProblemKind::Internal, "the request could not be worked on"))?
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
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    async fn claim(&self, caller: Uuid, key: &str, hash: &[u8; 32]) -> Result<Claim, sqlx::Error> {
        let now = self.clock.now();
        let fresh = self.clock.new_id();
        // Takes the key where nobody has it, where its answer is too old, or where its first request has crashed.
        let claimed = sqlx::query!(
            "insert into idempotency_keys as kept
                 (api_key_id, key, request_hash, resource_id, leased_until, created_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (api_key_id, key) do update set
                 request_hash = excluded.request_hash,
                 resource_id = case when kept.created_at < $7 then excluded.resource_id else kept.resource_id end,
                 leased_until = excluded.leased_until,
                 created_at = excluded.created_at,
                 answer_status = null, answer_headers = null, answer_body = null
             where kept.created_at < $7
                or (kept.answer_status is null and kept.leased_until < $6
                    and kept.request_hash = excluded.request_hash)
             returning resource_id",
            caller,
            key,
            hash,
            fresh,
            (now + LEASE).to_sqlx() as _,
            now.to_sqlx() as _,
            (now - KEPT_FOR).to_sqlx() as _
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = claimed {
            let repeated = row.resource_id != fresh;
            return Ok(Claim::Ours(ResourceId { id: row.resource_id, repeated }));
        }
        let kept = sqlx::query!(
            "select request_hash, answer_status, answer_headers, answer_body from idempotency_keys
             where api_key_id = $1 and key = $2",
            caller,
            key
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match kept {
            None => Claim::Running,
            Some(kept) if kept.request_hash != hash => Claim::OfAnotherRequest,
            Some(kept) => match (kept.answer_status, kept.answer_headers, kept.answer_body) {
                (Some(status), Some(headers), Some(body)) => Claim::Answered(replayed(status, &headers, body)),
                _ => Claim::Running,
            },
        })
    }

    /// Keeps the answer, or frees the key where the request did nothing.
    async fn settle(&self, caller: Uuid, key: &str, response: Response) -> Result<Response, Problem> {
        if !is_kept(&response) {
            sqlx::query!("delete from idempotency_keys where api_key_id = $1 and key = $2", caller, key)
                .execute(&self.pool)
                .await?;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let kept = parts.extensions.get::<KeptBody>().map_or(&body, |kept| &kept.0);
        sqlx::query!(
            "update idempotency_keys set answer_status = $3, answer_headers = $4, answer_body = $5
             where api_key_id = $1 and key = $2",
            caller,
            key,
            i16::try_from(parts.status.as_u16()).unwrap_or(200),
            kept_headers(&parts.headers),
            &kept[..]
        )
        .execute(&self.pool)
        .await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    /// Deletes what is older than it need be kept; a bounded piece at a time.
    ///
    /// # Errors
    /// Where Postgres refuses.
    pub async fn purge(&self) -> Result<u64, sqlx::Error> {
        let purged = sqlx::query!(
            "delete from idempotency_keys where (api_key_id, key) in
                 (select api_key_id, key from idempotency_keys where created_at < $1 limit 10000)",
            (self.clock.now() - KEPT_FOR).to_sqlx() as _
        );
        Ok(purged.execute(&self.pool).await?.rows_affected())
    }
}

/// What the request brought about is kept, good or bad; what was refused before anything was done is not, nor is what
/// failed in the service itself.
fn is_kept(response: &Response) -> bool {
    match response.status() {
        StatusCode::CONFLICT => true,
        StatusCode::UNPROCESSABLE_ENTITY => {
            !response.extensions().get::<Problem>().is_some_and(Problem::leaves_nothing)
        }
        status => status.is_success(),
    }
}

fn kept_headers(headers: &HeaderMap) -> Value {
    let kept = KEPT_HEADERS.iter().filter_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), json!(value)))
    });
    Value::Object(kept.collect::<Map<_, _>>())
}

fn replayed(status: i16, headers: &Value, body: Vec<u8>) -> Response {
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
