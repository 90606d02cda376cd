//! `POST /v1/campaigns/{campaignId}/events`: what dialers report. A valid body is deserialized once, without allocation per
//! member; only a body with a fault is validated by the rules of [`super::dialer_event_rules`].

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dialer_event_rules::{MAX_EVENTS, all_faults, count_in_range, instant};
use crate::campaigns::answer_rate::{AnswerRateMonitor, DialerSample};
use crate::campaigns::model::Counts;
use crate::http::validation::whole_number;
use crate::http::{AuthorizedForCampaigns, JsonBytes, PathParam, Problem, ProblemKind, required};
use crate::types::{CampaignId, Fault};

/// The type of a dialer event
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum DialerEventType {
    /// The dialer called someone.
    Attempt,
    /// Someone answered.
    Answer,
}

/// One event, or several of a type at one time
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DialerEvent)]
struct Event<'a> {
    r#type: DialerEventType,
    /// The time of the event; now if absent. At most 5 s in the future.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Timestamp>)]
    timestamp: Option<Cow<'a, str>>,
    /// The number of events; 1 if absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    count: Option<u32>,
}

/// Events of a dialer, at most 10,000 in any order
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DialerEvents)]
struct Events<'a> {
    #[serde(borrow)]
    #[schema(value_type = Vec<Event<'a>>, max_items = 10_000)]
    events: Vec<OfObject<Event<'a>>>,
}

/// What is read from an object only: serde also reads a struct from an array of its members' values.
struct OfObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OfObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Object(PhantomData)).map(Self)
    }
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    whole_number(&number).map(Some).ok_or_else(|| D::Error::custom("not a whole number"))
}

/// The number of accepted events
#[derive(Serialize, ToSchema)]
#[schema(as = EventsAccepted)]
struct Accepted {
    accepted: usize,
}

/// The route.
pub fn event_routes() -> OpenApiRouter<Arc<AnswerRateMonitor>> {
    OpenApiRouter::new().routes(routes!(post_events))
}

/// Report the events of a dialer
///
/// Attempts and answers, from which the answer rate of the campaign is calculated. They are counted, not stored: a replica
/// that crashes loses those of the last 250 ms. Events that are older than the window, and events of a campaign without
/// `answerRate` settings or with the `source` `cxone`, are accepted but not counted.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/events", operation_id = "postCampaignEvents", tag = "Campaigns",
    security(("key" = ["events:write"])), params(("campaignId" = String, Path)),
    request_body(content = Events<'static>, example = json!({"events": [
        {"type": "ATTEMPT", "count": 40}, {"type": "ANSWER", "timestamp": "2026-11-20T13:59:58Z", "count": 9}]})),
    responses((status = 202, body = Accepted), (status = 422), (status = 503, description = "Too many campaigns at once")))]
async fn post_events(
    State(monitor): State<Arc<AnswerRateMonitor>>,
    AuthorizedForCampaigns(context, _): AuthorizedForCampaigns<required::EventsWrite>,
    PathParam(campaign): PathParam<String>,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let id = CampaignId::parse(&campaign);
    id.as_ref().map_or(Ok(()), |id| context.require_campaign(id))?;
    let (id, samples) = match (id, samples(&body, context.arrived_at)) {
        (Ok(id), Some(samples)) => (id, samples),
        (id, _) => return Err(all_faults(&body, id.err(), context.arrived_at)),
    };
    monitor.record(&id, &samples).await?.map_err(|_| {
        Problem::new(ProblemKind::Unavailable, "this replica counts the events of too many campaigns already")
            .retry_after(60)
    })?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: samples.len() })))
}

/// The samples of a valid body; `None` if it has a fault.
pub(super) fn samples(body: &[u8], now: Timestamp) -> Option<Vec<DialerSample>> {
    let OfObject(Events { events }) = serde_json::from_slice(body).ok()?;
    if events.len() > MAX_EVENTS {
        return None;
    }
    events.iter().map(|OfObject(event)| sample(event, now).ok()).collect()
}

fn sample(event: &Event<'_>, now: Timestamp) -> Result<DialerSample, Fault> {
    let at = event.timestamp.as_deref().map_or(Ok(now), |text| instant(text, now))?;
    let count = event.count.unwrap_or(1);
    count_in_range(count)?;
    let counts = match event.r#type {
        DialerEventType::Attempt => Counts { attempts: count.into(), answers: 0 },
        DialerEventType::Answer => Counts { attempts: 0, answers: count.into() },
    };
    Ok(DialerSample { at, counts })
}

#[cfg(test)]
#[path = "dialer_events_test.rs"]
mod tests;
