//! The callbacks' routes: read, call one thing, answer.

mod request;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::request::{CallbackRequest, Read, Wish};
use super::model::{Callback, Confirmation, Failure, SkipReason, Status};
use super::outcome::{Waiter, Waiting};
use super::store::{CallbackStore, Filter, Inserted};
use super::worker::{AttemptJob, Worker};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::{PlacementRules, SettingsStore};
use crate::clock::Clock;
use crate::cxone::Class;
use crate::db::{Page, release_in_background};
use crate::http::{
    Allowed, Caller, Faults, JsonBody, Member, PathParam, Problem, ProblemKind, Query, RequestInfo, ResourceId,
    Unknown, preferred_wait, required,
};
use crate::types::{CampaignId, Fault, PhoneNumber, Region, parse_instant};

/// What a caller that was told 202 should wait before it looks, in seconds.
const LOOK_AGAIN_AFTER: u32 = 2;
/// The contract's largest batch.
const MAX_BATCH: usize = 1000;

/// What the routes work with.
#[derive(Clone)]
pub struct Callbacks {
    pub store: Arc<CallbackStore>,
    pub campaigns: SettingsStore,
    pub worker: Arc<Worker>,
    pub waiting: Waiting,
    pub clock: Clock,
    pub region: Region,
    /// How long a POST waits where its caller does not say.
    pub default_wait: Duration,
    /// Ends when the service drains: nobody is kept waiting then.
    pub draining: CancellationToken,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Callbacks> {
    OpenApiRouter::new()
        .routes(routes!(post, list))
        .routes(routes!(post_batch))
        .routes(routes!(get))
        .routes(routes!(cancel))
}

/// A callback, as it is shown
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Callback)]
struct CallbackView {
    id: Uuid,
    status: Status,
    #[schema(value_type = String, example = "+12025550198")]
    phone_number: PhoneNumber,
    #[schema(value_type = String, example = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    campaign_id: CampaignId,
    requested_start: Timestamp,
    requested_end: Timestamp,
    #[schema(example = "en-US")]
    language: String,
    #[schema(example = "America/New_York")]
    timezone: Option<String>,
    /// When CXone calls: in the requested window.
    dispatch_time: Option<Timestamp>,
    /// CXone's contact, once it is there.
    contact_id: Option<Uuid>,
    confirmation: ConfirmationView,
    /// A hold of the campaign covers the time at which CXone is to call.
    at_risk: bool,
    /// Why it ended, or what the last attempt met with.
    failure: Option<Failure>,
    /// Attempts so far.
    attempts: i32,
    /// When it is next worked on; while an attempt runs, when it would be taken over. Null when nothing is left to do.
    next_attempt_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The text that confirms it
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CallbackConfirmation)]
struct ConfirmationView {
    status: Confirmation,
    /// Why it is skipped.
    reason: Option<SkipReason>,
    /// CXone's messaging session, once the text is sent.
    sms_session_id: Option<String>,
}

impl From<&Callback> for CallbackView {
    fn from(callback: &Callback) -> Self {
        Self {
            id: callback.id,
            status: callback.status,
            phone_number: callback.phone_number.clone(),
            campaign_id: callback.campaign_id.clone(),
            requested_start: callback.window.start(),
            requested_end: callback.window.end(),
            language: callback.language.as_str().to_owned(),
            timezone: callback.timezone.as_ref().map(|zone| zone.name().to_owned()),
            dispatch_time: callback.shown_dispatch_time(),
            contact_id: callback.contact_id,
            confirmation: ConfirmationView {
                status: callback.confirmation,
                reason: callback.skip_reason,
                sms_session_id: callback.sms_session_id.clone(),
            },
            at_risk: callback.at_risk,
            failure: callback.failure.clone(),
            attempts: callback.attempts,
            next_attempt_at: callback.due_at,
            created_at: callback.created_at,
            updated_at: callback.updated_at,
        }
    }
}

/// Ask for a callback
///
/// Accepted and kept before it is answered. 201 when its contact is in CXone before the wait is over (3 s, unless
/// `Prefer` says otherwise), else 202: it is then under way, and `Location` shows how far it is.
#[utoipa::path(post, path = "/v1/callbacks", operation_id = "postCallback", tag = "Callbacks", security(("key" = ["callbacks:write"])),
    request_body = CallbackRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters: sent again with the same body, it is answered as the first time"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait. `wait=N`: wait N seconds, 0 to 30"),
    ),
    responses((status = 201, description = "CXone has the contact", body = CallbackView),
        (status = 202, description = "Kept; work on it goes on", body = CallbackView,
            headers(("Location" = String), ("Retry-After" = u32))),
        (status = 409, description = "`duplicate-callback`, with `existingId`"),
        (status = 422, description = "Bad input, `cxone-rejected` or `no-forecast`; `campaign-held` or \
            `outside-regulatory-window`, with `earliestStart`")))]
async fn post(
    State(callbacks): State<Callbacks>,
    allowed: Allowed<required::CallbacksWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CallbackRequest>,
) -> Result<Response, Problem> {
    let preferred = preferred_wait(&headers);
    let wait = preferred.unwrap_or(callbacks.default_wait);
    // What an earlier run of this request has made is answered with, also where it could no longer be asked for.
    if resource.repeated
        && let Some(made) = callbacks.store.find(resource.id).await?
    {
        let waiter = callbacks.waiting.wait_for(made.id);
        let callback = callbacks.outcome_of(made, waiter, Instant::now() + wait).await;
        return answer(&callback, preferred);
    }
    let read = request.read(&callbacks.region, callbacks.clock.now());
    let rules = callbacks.rules_of(read.campaign_id()).await?;
    let wish = read.finish(&rules)?;
    let callback = callbacks.accept(wish, resource, &info, &allowed.caller, wait).await?;
    answer(&callback, preferred)
}

/// See a callback
#[utoipa::path(get, path = "/v1/callbacks/{id}", operation_id = "getCallback", tag = "Callbacks", security(("key" = ["callbacks:read"])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CallbackView), (status = 404)))]
async fn get(
    State(callbacks): State<Callbacks>,
    _: Allowed<required::CallbacksRead>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<CallbackView>, Problem> {
    let found = callbacks.store.find(id).await?;
    found.map(|callback| Json(CallbackView::from(&callback))).ok_or_else(|| Problem::not_found("callback"))
}

/// List callbacks
///
/// Newest first.
#[utoipa::path(get, path = "/v1/callbacks", operation_id = "listCallbacks", tag = "Callbacks", security(("key" = ["callbacks:read"])),
    params(
        ("status" = Option<Status>, Query), ("campaignId" = Option<String>, Query),
        ("phoneNumber" = Option<String>, Query, description = "In any form that a POST takes"),
        ("from" = Option<String>, Query, format = DateTime, description = "Accepted from this instant on"),
        ("to" = Option<String>, Query, format = DateTime, description = "Accepted before this instant"),
        ("limit" = Option<u8>, Query, description = "1 to 200; 50 where absent"), ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = Page<CallbackView>), (status = 422)))]
async fn list(
    State(callbacks): State<Callbacks>,
    _: Allowed<required::CallbacksRead>,
    mut query: Query,
) -> Result<Json<Page<CallbackView>>, Problem> {
    let filter = Filter {
        status: query.take("status", parse_status),
        campaign_id: query.take("campaignId", CampaignId::parse),
        phone_number: query.take("phoneNumber", |text| PhoneNumber::parse(text, &callbacks.region)),
        from: query.take("from", parse_instant),
        to: query.take("to", parse_instant),
    };
    let page = query.page();
    query.finish()?;
    let page = callbacks.store.page(&filter, &page).await?;
    Ok(Json(page.map(|callback| CallbackView::from(&callback))))
}

/// Cancel a callback
///
/// Possible until CXone has, or may have, its contact.
#[utoipa::path(post, path = "/v1/callbacks/{id}/cancel", operation_id = "cancelCallback", tag = "Callbacks", security(("key" = ["callbacks:write"])),
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "It is cancelled, or was before", body = CallbackView),
        (status = 404),
        (status = 409, description = "`already-scheduled`, or `already-ended`")))]
async fn cancel(
    State(callbacks): State<Callbacks>,
    allowed: Allowed<required::CallbacksWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(id): PathParam<Uuid>,
) -> Result<Json<CallbackView>, Problem> {
    let callback = callbacks.cancel(id, &info, &allowed.caller).await?;
    Ok(Json(CallbackView::from(&callback)))
}

/// Many callbacks at once
#[derive(Debug, Deserialize, ToSchema)]
struct Batch {
    /// 1 to 1000 of them.
    #[schema(value_type = Vec<CallbackRequest>, required, min_items = 1, max_items = 1000)]
    #[serde(default)]
    callbacks: Member<Vec<Value>>,
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: Unknown,
}

/// What became of each callback of a batch, in the batch's order
#[derive(Debug, Serialize, ToSchema)]
struct BatchResults {
    results: Vec<BatchResult>,
}

/// What became of one callback of a batch: it has an id, or a problem
#[derive(Debug, Serialize, ToSchema)]
struct BatchResult {
    /// Its place in the batch, from 0.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::http::ProblemSchema>)]
    problem: Option<Value>,
}

/// Ask for many callbacks
///
/// Each is accepted or refused on its own; all that are accepted are kept before the answer.
#[utoipa::path(post, path = "/v1/callbacks/batch", operation_id = "postCallbacks", tag = "Callbacks", security(("key" = ["callbacks:write"])),
    request_body = Batch, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = BatchResults), (status = 422, description = "The batch itself is no batch")))]
async fn post_batch(
    State(callbacks): State<Callbacks>,
    allowed: Allowed<required::CallbacksWrite>,
    Extension(info): Extension<RequestInfo>,
    Extension(resource): Extension<ResourceId>,
    JsonBody(batch): JsonBody<Batch>,
) -> Result<Json<BatchResults>, Problem> {
    let mut faults = Faults::new();
    let items = faults.required("callbacks", &batch.callbacks, |items| {
        if (1..=MAX_BATCH).contains(&items.len()) {
            return Ok(items.clone());
        }
        Err(Fault::new("out-of-range", format!("must have 1 to {MAX_BATCH} callbacks")))
    });
    faults.unknown(&batch.unknown);
    let items = faults.finish(items)?;
    let results = callbacks.accept_batch(items, resource, &info, &allowed.caller).await?;
    Ok(Json(BatchResults { results }))
}

impl Callbacks {
    async fn rules_of(
        &self,
        campaigns: impl IntoIterator<Item = &CampaignId>,
    ) -> Result<HashMap<String, PlacementRules>, sqlx::Error> {
        let mut campaigns: Vec<_> = campaigns.into_iter().collect();
        campaigns.sort_unstable();
        campaigns.dedup();
        if campaigns.is_empty() {
            return Ok(HashMap::new());
        }
        self.campaigns.placement_rules_of_each(&campaigns).await
    }

    /// Keeps a callback, starts on it, and waits for its outcome as long as its caller wants to.
    async fn accept(
        &self,
        wish: Wish,
        resource: ResourceId,
        info: &RequestInfo,
        caller: &Caller,
        wait: Duration,
    ) -> Result<Callback, Problem> {
        let deadline = Instant::now() + wait;
        let class = if wait.is_zero() { Class::Background } else { Class::Waiting };
        let may_start = !self.draining.is_cancelled() && !resource.repeated;
        let slot = if may_start && self.worker.queue().may_start(class) { self.worker.free_slot() } else { None };
        let due_at = if slot.is_some() { self.worker.queue().lease_end() } else { info.arrived_at };
        let callback = new_callback(wish, resource.id, info, i32::from(slot.is_some()), due_at);
        let waiter = self.waiting.wait_for(callback.id);
        let entry = self.accepted_entry(&callback, caller);
        let inserted = self.store.insert(vec![(&callback, entry)]).await;
        if inserted.is_err() && slot.is_some() {
            self.give_back(&callback);
        }
        match inserted?.remove(&callback.id) {
            Some(Inserted::Duplicate(existing)) => return Err(duplicate(existing)),
            // `Before`, under an id that is new: a try whose answer was lost has kept it.
            Some(Inserted::New | Inserted::Before) if !resource.repeated => {
                metrics::counter!("ringback_callbacks_total", "status" => "accepted").increment(1);
                match slot {
                    Some(slot) => self.worker.start(AttemptJob { callback: callback.clone(), class }, slot),
                    None => self.worker.wake(),
                }
                if wait.is_zero() {
                    return Ok(callback);
                }
            }
            Some(Inserted::New | Inserted::Before) | None => self.worker.wake(),
        }
        Ok(self.outcome_of(callback, waiter, deadline).await)
    }

    /// The callback may be kept all the same, with a claim of this replica, which will not work on it.
    fn give_back(&self, callback: &Callback) {
        let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
        let (id, attempts) = (callback.id, callback.attempts);
        release_in_background(move || {
            let (store, now) = (Arc::clone(&store), clock.now());
            async move { store.release(id, attempts, now).await }
        });
    }

    /// The callback as it is when there is news of it, or when its caller waits no longer. It is kept: where Postgres
    /// cannot be asked, it is answered as it was known.
    async fn outcome_of(&self, callback: Callback, mut waiter: Waiter, deadline: Instant) -> Callback {
        let news = async {
            // The sender lives as long as the waiter does.
            while waiter.news.changed().await.is_ok() {
                let news = waiter.news.borrow_and_update().clone();
                if let Some(news) = news.filter(|news| self.is_answer(news, deadline)) {
                    return Some(news);
                }
            }
            None
        };
        let news = async { if callback.due_at.is_none() { Some(callback.clone()) } else { news.await } };
        let news = tokio::select! {
            news = news => news,
            () = tokio::time::sleep_until(deadline) => None,
            () = self.draining.cancelled() => None,
            () = self.nothing_can_come() => None,
        };
        match news {
            Some(news) => news,
            None => self.store.find(callback.id).await.ok().flatten().unwrap_or(callback),
        }
    }

    /// Returns at once where CXone is not asked at all now, else never.
    async fn nothing_can_come(&self) {
        if self.worker.queue().can_ask(Status::Accepted) {
            std::future::pending::<()>().await;
        }
    }

    /// Worth answering with: it has settled, or nothing more will happen before the caller's wait is over. Where the
    /// contact is there and its text is being sent, the answer waits for that as long as its caller does.
    fn is_answer(&self, news: &Callback, deadline: Instant) -> bool {
        let left = SignedDuration::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let is_put_off = |due| due > self.clock.now() + left || !self.worker.queue().can_ask(news.status);
        news.due_at.is_none_or(|due| news.failure.is_some() && is_put_off(due))
    }

    async fn accept_batch(
        &self,
        items: Vec<Value>,
        batch: ResourceId,
        info: &RequestInfo,
        caller: &Caller,
    ) -> Result<Vec<BatchResult>, Problem> {
        let now = self.clock.now();
        let read: Vec<Result<Read, Problem>> = items
            .into_iter()
            .map(|item| {
                serde_json::from_value::<CallbackRequest>(item)
                    .map(|request| request.read(&self.region, now))
                    .map_err(|_| Problem::fault("", Fault::new("wrong-type", "must be a JSON object")))
            })
            .collect();
        let rules = self.rules_of(read.iter().flatten().filter_map(Read::campaign_id)).await?;
        // The same request again finds the same ids, and what it has made under them.
        let ids: Vec<Uuid> = (0..read.len()).map(|index| Uuid::new_v5(&batch.id, &index.to_be_bytes())).collect();
        let made = if batch.repeated { self.store.existing(&ids).await? } else { HashSet::new() };
        let to_keep = |(&id, read): (&Uuid, Result<Read, Problem>)| {
            Ok(new_callback(read?.finish(&rules)?, id, info, 0, info.arrived_at))
        };
        let callbacks: Vec<Result<Callback, Problem>> = ids.iter().zip(read).map(to_keep).collect();
        let new = callbacks.iter().flatten().filter(|callback| !made.contains(&callback.id));
        let new = new.map(|callback| (callback, self.accepted_entry(callback, caller)));
        let inserted = self.store.insert(new.collect()).await?;
        self.worker.wake();
        let accepted = inserted.values().filter(|inserted| **inserted == Inserted::New).count();
        metrics::counter!("ringback_callbacks_total", "status" => "accepted").increment(accepted as u64);
        let results = callbacks.into_iter().zip(ids).enumerate().map(|(index, (callback, id))| {
            if made.contains(&id) {
                return BatchResult { index, id: Some(id), problem: None };
            }
            let kept = callback.and_then(|callback| match inserted.get(&callback.id) {
                Some(Inserted::Duplicate(existing)) => Err(duplicate(*existing)),
                Some(Inserted::New | Inserted::Before) | None => Ok(callback.id),
            });
            match kept {
                Ok(id) => BatchResult { index, id: Some(id), problem: None },
                Err(problem) => BatchResult { index, id: None, problem: Some(problem.body(None, None)) },
            }
        });
        Ok(results.collect())
    }

    async fn cancel(&self, id: Uuid, info: &RequestInfo, caller: &Caller) -> Result<Callback, Problem> {
        let callback = self.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
        let now = self.clock.now();
        let entry = Entry {
            actor: Actor::caller(caller),
            request_id: Some(info.request_id.clone()),
            new_state: Some(Status::Cancelled.as_str().into()),
            ..callback.entry(self.clock.new_id(), now, Action::CallbackCancelled, Outcome::Succeeded, Status::Accepted)
        };
        if let Some(cancelled) = self.store.cancel(id, now, entry.with_event(&callback.event())).await? {
            metrics::counter!("ringback_callbacks_total", "status" => "cancelled").increment(1);
            self.waiting.tell(&cancelled);
            return Ok(cancelled);
        }
        let callback = self.store.find(id).await?.ok_or_else(|| Problem::not_found("callback"))?;
        match callback.status {
            Status::Cancelled => Ok(callback),
            Status::Scheduled => Err(Problem::new(ProblemKind::AlreadyScheduled, "CXone has the contact")),
            Status::Accepted => Err(Problem::new(
                ProblemKind::AlreadyScheduled,
                "the contact is on its way to CXone, which may have it already",
            )),
            Status::Failed | Status::Expired => {
                let detail = format!("the callback has ended as {}", callback.status.as_str());
                Err(Problem::new(ProblemKind::AlreadyEnded, detail))
            }
        }
    }

    fn accepted_entry(&self, callback: &Callback, caller: &Caller) -> Entry {
        let now = self.clock.now();
        let entry =
            callback.entry(self.clock.new_id(), now, Action::CallbackAccepted, Outcome::Succeeded, Status::Accepted);
        Entry { actor: Actor::caller(caller), previous_state: None, ..entry }
    }
}

fn new_callback(wish: Wish, id: Uuid, info: &RequestInfo, attempts: i32, due_at: Timestamp) -> Callback {
    Callback {
        id,
        status: Status::Accepted,
        phone_number: wish.phone_number,
        campaign_id: wish.campaign_id,
        window: wish.window,
        language: wish.language,
        timezone: wish.timezone,
        dispatch_time: None,
        earlier_dispatch_time: None,
        contact_id: None,
        confirmation: Confirmation::Pending,
        skip_reason: None,
        confirmation_started_at: None,
        sms_session_id: None,
        at_risk: false,
        failure: None,
        attempts,
        due_at: Some(due_at),
        request_id: info.request_id.clone(),
        trace: info.traceparent.clone(),
        created_at: info.arrived_at,
        updated_at: info.arrived_at,
    }
}

/// 201 with a contact, 202 without one; a problem where the callback could not be done.
fn answer(callback: &Callback, preferred: Option<Duration>) -> Result<Response, Problem> {
    if callback.status == Status::Failed {
        let failure = callback.failure.clone().unwrap_or_else(|| Failure::new("cxone-rejected", "CXone refused"));
        let no_forecast = failure.code == "no-forecast";
        let kind = if no_forecast { ProblemKind::NoForecast } else { ProblemKind::CxoneRejected };
        return Err(Problem::new(kind, failure.detail).with("callbackId", callback.id));
    }
    let done = callback.status == Status::Scheduled;
    let status = if done { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(CallbackView::from(callback))).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/callbacks/{}", callback.id)) {
        headers.insert(header::LOCATION, location);
    }
    if !done {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(LOOK_AGAIN_AFTER));
    }
    let applied = preferred.map(|wait| match wait.as_secs() {
        0 => "respond-async".to_owned(),
        seconds => format!("wait={seconds}"),
    });
    if let Some(applied) = applied.and_then(|applied| HeaderValue::from_str(&applied).ok()) {
        headers.insert(HeaderName::from_static("preference-applied"), applied);
    }
    Ok(response)
}

fn duplicate(existing: Uuid) -> Problem {
    let detail = "the number has an open callback for this campaign in an overlapping window";
    Problem::new(ProblemKind::DuplicateCallback, detail).with("existingId", json!(existing))
}

fn parse_status(text: &str) -> Result<Status, Fault> {
    let known = Status::ALL.into_iter().find(|(_, name)| *name == text);
    known.map(|(status, _)| status).ok_or_else(|| {
        let names = Status::ALL.map(|(_, name)| name).join(", ");
        Fault::new("unknown-status", format!("must be one of {names}"))
    })
}
