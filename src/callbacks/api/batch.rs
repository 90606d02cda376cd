use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::request::CallbackRequest;
use super::window::ParseContext;
use crate::callbacks::intake::Callbacks;
use crate::http::validation::{JsonType, Length, Member, Unknown, valid};
use crate::http::{AuthorizedForCampaigns, JsonBody, Problem, RefusedItems, required};
use crate::types::Fault;

/// The `instance` of the problems of items.
const PATH: &str = "/v1/callbacks/batch";

/// Several callbacks
#[derive(Debug, Deserialize, ToSchema, Validate)]
pub(super) struct Batch {
    /// The callbacks, 1 to 1000.
    #[schema(value_type = Vec<CallbackRequest>, required, min_items = 1, max_items = 1000)]
    #[serde(default)]
    #[validate(required, length(min = 1, max = 1000, message = "must have 1 to 1000 callbacks"))]
    pub(super) callbacks: Member<Items>,
    #[serde(flatten)]
    #[schema(ignore)]
    #[validate(nested)]
    unknown: Unknown,
}

/// The callbacks of a batch, each to be read by itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Items(pub(super) Vec<Value>);

impl JsonType for Items {
    const NAME: &'static str = <Vec<Value>>::NAME;

    fn read(value: Value) -> Option<Self> {
        if let Value::Array(items) = value { Some(Self(items)) } else { None }
    }
}

impl Length for Items {
    fn length(&self) -> usize {
        self.0.len()
    }
}

/// The result of each callback of a batch, in the order of the batch
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"results": [
    {"index": 0, "id": "01a1fcff-84aa-720d-83ca-60abacb44d8c"},
    {"index": 1, "id": "01a1fcff-84ab-7b53-a1c6-8d0f3f6f2f51"}]}))]
pub(super) struct BatchResults {
    results: Vec<BatchResult>,
}

/// The result of one callback of a batch: an id or a problem
#[derive(Debug, Serialize, ToSchema)]
struct BatchResult {
    /// Its index in the batch, from 0.
    index: usize,
    /// The callback: a new one, or the open one of this API key with the same `externalId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::http::ProblemSchema>)]
    problem: Option<Value>,
}

/// Request several callbacks
///
/// Each is accepted or refused by itself. All accepted ones are stored before the response is sent. An item with the
/// `externalId` of an open callback of the same API key creates none: its result is the id of that callback. For the rate of an
/// API key, a batch is one request.
#[utoipa::path(post, path = "/v1/callbacks/batch", operation_id = "postCallbacks", tag = "Callbacks",
    security(("key" = ["callbacks:write"])),
    request_body(content = Batch, example = json!({"callbacks": [
        {"phoneNumber": "+12025550121", "requestedStart": "2026-11-20T15:00:00Z",
            "requestedEnd": "2026-11-20T17:00:00Z", "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8",
            "language": "en-US", "externalId": "ticket-4712"},
        {"phoneNumber": "+12025550122", "requestedStart": "2026-11-20T16:00:00Z",
            "requestedEnd": "2026-11-20T20:00:00Z", "campaignId": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8",
            "language": "fr-CA", "timezone": "America/Toronto"}]})),
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = BatchResults), (status = 422, description = "The batch is invalid")))]
pub(super) async fn create_batch(
    State(callbacks): State<Arc<Callbacks>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::CallbacksWrite>,
    JsonBody(batch): JsonBody<Batch>,
) -> Result<(Extension<RefusedItems>, Json<BatchResults>), Problem> {
    valid(batch.validate())?;
    let items: Vec<_> = batch.callbacks.into_value().unwrap_or_default().0.into_iter().map(parse_item).collect();
    let campaigns = items.iter().flatten().filter_map(CallbackRequest::campaign_id);
    let rules = callbacks.rules.rules_of_each(campaigns).await?;
    let (region, now) = (&callbacks.region, context.clock.now());
    let parse = |item: CallbackRequest| {
        item.campaign_id().map_or(Ok(()), |campaign| context.require_campaign(campaign))?;
        let rules = item.campaign_id().and_then(|campaign| rules.get(campaign)).map(Arc::as_ref);
        item.parse(&ParseContext { region, now, rules })
    };
    let new = items.into_iter().map(|item| parse(item?)).collect();
    let results = callbacks.accept_batch(new, &context).await?;
    let mut refused = RefusedItems::default();
    results.iter().filter_map(|result| result.as_ref().err()).for_each(|problem| refused.add(problem));
    let results = results.into_iter().enumerate();
    let results = results.map(|result| BatchResult::new(result, &context.request_id)).collect();
    Ok((Extension(refused), Json(BatchResults { results })))
}

pub(super) fn parse_item(item: Value) -> Result<CallbackRequest, Problem> {
    serde_json::from_value(item).map_err(|_| Problem::fault("", Fault::new("wrong-type", "must be a JSON object")))
}

impl BatchResult {
    fn new((index, result): (usize, Result<Uuid, Problem>), request_id: &str) -> Self {
        match result {
            Ok(id) => Self { index, id: Some(id), problem: None },
            Err(problem) => Self { index, id: None, problem: Some(problem.body(Some(PATH), Some(request_id))) },
        }
    }
}
