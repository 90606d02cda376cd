//! `POST /v1/campaigns/{campaignId}/events`: what dialers did. Read as fast as serde can; only where something is wrong
//! with it, once more and thoroughly.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::campaigns::answer_rate::{AnswerRateMonitor, DialerSample};
use crate::campaigns::model::Counts;
use crate::http::{
    Allowed, Faults, JsonBytes, Member, PathParam, Problem, ProblemKind, RequestInfo, Unknown, parse_json, required,
};
use crate::types::{CampaignId, Fault, parse_instant};

/// The contract's largest request.
const MOST_EVENTS: usize = 10_000;
/// The most that one event may stand for.
const MOST_COUNT: u32 = 1_000_000;
/// So far the clocks of dialers may be ahead.
const AHEAD: Duration = Duration::from_secs(5);

/// What a dialer did
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    /// It called someone.
    Attempt,
    /// Someone answered.
    Answer,
}

/// One event, or many of a kind at one moment
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DialerEvent)]
struct Event<'a> {
    r#type: EventType,
    /// When; now, where absent. At most 5 s ahead.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Timestamp>)]
    timestamp: Option<Cow<'a, str>>,
    /// How many; 1, where absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000)]
    count: Option<u32>,
}

/// What a dialer did, at most 10,000 events in any order
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DialerEvents)]
struct Events<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

/// How many events were taken
#[derive(Serialize, ToSchema)]
#[schema(as = EventsAccepted)]
struct Accepted {
    accepted: usize,
}

/// The route.
pub fn routes() -> OpenApiRouter<Arc<AnswerRateMonitor>> {
    OpenApiRouter::new().routes(routes!(post_events))
}

/// Report what a dialer did
///
/// Attempts and answers, which make the campaign's answer rate. They are counted, not kept: a replica that dies loses
/// those of its last quarter of a second. Events older than the window, and those of a campaign without `answerRate`
/// settings, are accepted and do not count.
#[utoipa::path(post, path = "/v1/campaigns/{campaignId}/events", operation_id = "postCampaignEvents", tag = "Campaigns",
    security(("key" = ["events:write"])), request_body = Events<'static>, params(("campaignId" = String, Path)),
    responses((status = 202, body = Accepted), (status = 422), (status = 503, description = "Too many campaigns at once")))]
async fn post_events(
    State(monitor): State<Arc<AnswerRateMonitor>>,
    _: Allowed<required::EventsWrite>,
    Extension(info): Extension<RequestInfo>,
    PathParam(campaign): PathParam<String>,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let id = CampaignId::parse(&campaign);
    let samples = match read_fast(&body, info.arrived_at) {
        Some(samples) if id.is_ok() => samples,
        _ => return Err(all_faults(&body, id.as_ref().err(), info.arrived_at)),
    };
    let id = id.map_err(|fault| Problem::fault("/campaignId", fault))?;
    monitor.record(&id, &samples).await?.map_err(|_| {
        Problem::new(ProblemKind::Unavailable, "more campaigns are reported on than this replica watches")
            .retry_after(60)
    })?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: samples.len() })))
}

/// None where there is anything wrong with it.
fn read_fast(body: &[u8], now: Timestamp) -> Option<Vec<DialerSample>> {
    let events = serde_json::from_slice::<Events<'_>>(body).ok()?.events;
    if events.len() > MOST_EVENTS {
        return None;
    }
    events.iter().map(|event| sample(event.r#type, event.timestamp.as_deref(), event.count, now).ok()).collect()
}

fn sample(kind: EventType, timestamp: Option<&str>, count: Option<u32>, now: Timestamp) -> Result<DialerSample, Fault> {
    let at = timestamp.map_or(Ok(now), |text| instant(text, now))?;
    let count = u64::from(bounded(count.unwrap_or(1))?);
    let counts = match kind {
        EventType::Attempt => Counts { attempts: count, answers: 0 },
        EventType::Answer => Counts { attempts: 0, answers: count },
    };
    Ok(DialerSample { at, counts })
}

fn bounded(count: u32) -> Result<u32, Fault> {
    if count <= MOST_COUNT {
        return Ok(count);
    }
    Err(Fault::new("out-of-range", format!("must be at most {MOST_COUNT}")))
}

fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let at = parse_instant(text)?;
    if at <= now + AHEAD {
        return Ok(at);
    }
    Err(Fault::new("in-the-future", "must lie at most 5 seconds ahead"))
}

#[derive(Deserialize)]
struct EventsRequest {
    #[serde(default)]
    events: Member<Vec<Value>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Deserialize)]
struct EventRequest {
    #[serde(default)]
    r#type: Member<String>,
    #[serde(default)]
    timestamp: Member<String>,
    #[serde(default)]
    count: Member<u32>,
    #[serde(flatten)]
    unknown: Unknown,
}

fn all_faults(body: &[u8], campaign: Option<&Fault>, now: Timestamp) -> Problem {
    let request: EventsRequest = match parse_json(body) {
        Ok(request) => request,
        Err(problem) => return problem,
    };
    let mut faults = Faults::new();
    if let Some(fault) = campaign {
        faults.add("campaignId", fault.clone());
    }
    let events = faults.required("events", &request.events, |events| {
        if events.len() <= MOST_EVENTS {
            return Ok(events.clone());
        }
        Err(Fault::new("out-of-range", format!("must have at most {MOST_EVENTS} events")))
    });
    faults.within("events", |faults| {
        for (index, event) in events.into_iter().flatten().enumerate() {
            faults.object(&index.to_string(), &Member::Given(event), |event, faults| read_event(&event, now, faults));
        }
    });
    faults.unknown(&request.unknown);
    let found = faults.finish::<()>(None);
    found.err().unwrap_or_else(|| Problem::new(ProblemKind::Internal, "the events could not be read"))
}

fn read_event(event: &EventRequest, now: Timestamp, faults: &mut Faults) -> Option<()> {
    faults.required("type", &event.r#type, |text| match text.as_str() {
        "ATTEMPT" | "ANSWER" => Ok(()),
        _ => Err(Fault::new("unknown-event-type", "must be ATTEMPT or ANSWER")),
    });
    faults.optional("timestamp", &event.timestamp, |text| instant(text, now));
    faults.optional("count", &event.count, |count| bounded(*count));
    faults.unknown(&event.unknown);
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T15:00:00Z".parse().unwrap()
    }

    fn faults(body: &str) -> Vec<String> {
        assert!(read_fast(body.as_bytes(), now()).is_none(), "{body}");
        all_faults(body.as_bytes(), None, now()).fault_codes()
    }

    #[test]
    fn events_are_counted_at_their_moment() {
        let body = json!({"events": [
            {"type": "ATTEMPT"},
            {"type": "ANSWER", "timestamp": "2026-11-20T09:59:58-05:00", "count": 1_000_000},
            {"type": "ATTEMPT", "timestamp": "2026-11-20T15:00:05Z", "count": 0},
        ]});
        let samples = read_fast(body.to_string().as_bytes(), now()).unwrap();
        let counts = samples.iter().map(|sample| (sample.counts.attempts, sample.counts.answers));
        assert_eq!(counts.collect::<Vec<_>>(), [(1, 0), (0, 1_000_000), (0, 0)]);
        assert_eq!(samples[1].at.to_string(), "2026-11-20T14:59:58Z");
        assert_eq!(read_fast(br#"{"events": []}"#, now()), Some(vec![]));
    }

    #[test]
    fn every_fault_of_the_events_is_found_at_once() {
        let body = json!({"events": [
            {"type": "ATTEMPT"}, {"type": "HANGUP"}, {"count": -1}, 7,
            {"type": "ANSWER", "timestamp": "2026-11-20T15:00:05.001Z"}, {"type": "ANSWER", "timestamp": "noon", "who": 1},
            {"type": "ATTEMPT", "count": 1_000_001},
        ], "campaign": 1});
        assert_eq!(
            faults(&body.to_string()),
            [
                "/events/1/type unknown-event-type",
                "/events/2/type required",
                "/events/2/count wrong-type",
                "/events/3 wrong-type",
                "/events/4/timestamp in-the-future",
                "/events/5/timestamp not-a-timestamp",
                "/events/5/who unknown-member",
                "/events/6/count out-of-range",
                "/campaign unknown-member",
            ]
        );
        assert_eq!(faults(r#"{"events": [{"type": "ANSWER", "count": 1000001}]}"#), ["/events/0/count out-of-range"]);
        assert_eq!(faults("{}"), ["/events required"]);
        let too_many =
            format!(r#"{{"events": [{}{{"type": "ANSWER"}}]}}"#, r#"{"type": "ANSWER"},"#.repeat(MOST_EVENTS));
        assert_eq!(faults(&too_many), ["/events out-of-range"]);
        assert_eq!(all_faults(b"{", None, now()).kind, ProblemKind::MalformedJson);
    }
}
