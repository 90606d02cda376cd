//! The rules of dialer events, and every fault of a body that breaks them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use validator::{Validate, ValidateArgs as _, ValidationError, ValidationErrors, ValidationErrorsKind};

use crate::http::validation::{Element, Faults, JsonType, Member, Unknown};
use crate::http::{Problem, parse_json};
use crate::types::{Fault, parse_instant};

/// The maximum number of events of a request.
pub const MAX_EVENTS: usize = 10_000;
/// The maximum `count` of an event.
const MAX_COUNT: u32 = 1_000_000;
/// The clocks of dialers may be ahead by this much.
const MAX_AHEAD: Duration = Duration::from_secs(5);

/// The rule of `count`.
///
/// # Errors
/// `out-of-range` over 1,000,000.
pub fn count_in_range(count: u32) -> Result<(), Fault> {
    if count <= MAX_COUNT {
        return Ok(());
    }
    Err(Fault::new("out-of-range", format!("must be at most {MAX_COUNT}")))
}

/// The rule of `timestamp`.
///
/// # Errors
/// Those of [`parse_instant`], and `in-the-future` more than 5 s ahead of `now`.
pub fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let at = parse_instant(text)?;
    if at <= now + MAX_AHEAD {
        return Ok(at);
    }
    Err(Fault::new("in-the-future", "must be at most 5 seconds in the future"))
}

/// The same request as in [`super::dialer_events`], read so that every fault is found.
#[derive(Deserialize, Validate)]
struct EventsRequest {
    #[serde(default)]
    #[validate(required, length(max = 10_000, message = "must have at most 10000 events"))]
    events: Member<Vec<Element<EventRequest>>>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

#[derive(Deserialize, Validate)]
#[validate(context = Timestamp)]
struct EventRequest {
    #[serde(default)]
    #[validate(required, custom(function = "event_type"))]
    r#type: Member<String>,
    #[serde(default)]
    #[validate(custom(function = "timestamp", use_context))]
    timestamp: Member<String>,
    #[serde(default)]
    #[validate(custom(function = "count"))]
    count: Member<u32>,
    #[serde(flatten)]
    #[validate(nested)]
    unknown: Unknown,
}

impl JsonType for EventRequest {
    const NAME: &'static str = "an object";
}

fn event_type(member: &Member<String>) -> Result<(), ValidationError> {
    member.check(|text| match text.as_str() {
        "ATTEMPT" | "ANSWER" => Ok(()),
        _ => Err(Fault::new("unknown-event-type", "must be ATTEMPT or ANSWER")),
    })
}

fn timestamp(member: &Member<String>, now: &Timestamp) -> Result<(), ValidationError> {
    member.check(|text| instant(text, *now).map(drop))
}

fn count(member: &Member<u32>) -> Result<(), ValidationError> {
    member.check(|count| count_in_range(*count))
}

impl EventsRequest {
    /// Every fault. The events are validated by hand, because `nested` passes no context on.
    fn validate_all(&self, now: Timestamp) -> Result<(), ValidationErrors> {
        let mut errors = self.validate().err().unwrap_or_default();
        let events = self.events.value().filter(|events| events.len() <= MAX_EVENTS).into_iter().flatten();
        let faults = events.enumerate().filter_map(|(index, event)| {
            let validated = event.validate_with(|event| event.validate_with_args(&now));
            validated.err().map(|errors| (index, Box::new(errors)))
        });
        let faults: BTreeMap<_, _> = faults.collect();
        if !faults.is_empty() {
            errors.errors_mut().insert("events".into(), ValidationErrorsKind::List(faults));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// The problem with every fault of a request that was refused.
pub fn all_faults(body: &[u8], campaign: Option<Fault>, now: Timestamp) -> Problem {
    let request: EventsRequest = match parse_json(body) {
        Ok(request) => request,
        Err(problem) => return problem,
    };
    let mut faults = Faults::new();
    if let Some(fault) = campaign {
        faults.add("campaignId", fault);
    }
    faults.check(request.validate_all(now));
    // The other rules look at the last of several members with one name.
    let repeated =
        || Problem::fault("/events", Fault::new("repeated-member", "must have each member of an event once"));
    faults.finish().err().unwrap_or_else(repeated)
}
