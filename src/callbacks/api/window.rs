//! The rules of a requested window, for every request that has one.

use jiff::{SignedDuration, Timestamp};
use validator::{ValidateArgs, ValidationError};

use crate::campaigns::{PlacementRefusal, PlacementRules};
use crate::http::validation::{Member, fault_at, valid};
use crate::http::{Problem, ProblemKind};
use crate::types::{Fault, Region, TimeWindow, parse_instant};

/// A window must end at least this long after the request, so that there is time to call.
const MIN_LEAD: SignedDuration = SignedDuration::from_secs(60);
/// How far ahead a window may start. No forecast reaches further.
const MAX_LEAD: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What the rules of a request depend on.
pub(super) struct ParseContext<'a> {
    /// The region of national phone numbers.
    pub region: &'a Region,
    pub now: Timestamp,
    /// The rules of the campaign, if it is known.
    pub rules: Option<&'a PlacementRules>,
}

/// A request with the members `requestedStart` and `requestedEnd`.
pub(super) trait RequestsWindow {
    /// `requestedStart`, if it is valid by itself.
    fn start(&self) -> Option<Timestamp>;

    /// `requestedEnd`, if it is valid by itself.
    fn end(&self) -> Option<Timestamp>;

    /// The window, if both ends are valid.
    fn window(&self) -> Option<TimeWindow> {
        TimeWindow::parse(self.start()?, self.end()?).ok()
    }

    /// The window of a request that has no fault.
    ///
    /// # Errors
    /// A 422 with every fault of the request, or if the holds and the regulatory window of the campaign leave no time to call.
    fn valid_window(&self, context: &ParseContext<'_>) -> Result<TimeWindow, Problem>
    where
        Self: for<'a> ValidateArgs<'a, Args = &'a ParseContext<'a>>,
    {
        valid(self.validate_with_args(context))?;
        let window = self.window().ok_or_else(|| Problem::invalid(Vec::new()))?;
        let refusal = context.rules.and_then(|rules| rules.restrictions.refusal(&window, context.now));
        refusal.map_or(Ok(window), |refusal| Err(refused(refusal)))
    }
}

/// The rules of `validator`'s derive get a reference to a reference.
impl<T: RequestsWindow> RequestsWindow for &T {
    fn start(&self) -> Option<Timestamp> {
        T::start(self)
    }

    fn end(&self) -> Option<Timestamp> {
        T::end(self)
    }
}

pub(super) fn instant(member: &Member<String, Timestamp>) -> Result<(), ValidationError> {
    member.parse(|text| parse_instant(text))
}

pub(super) fn within_90_days(
    member: &Member<String, Timestamp>,
    context: &ParseContext<'_>,
) -> Result<(), ValidationError> {
    match member.parsed() {
        Some(start) if *start > context.now + MAX_LEAD => {
            Err(Fault::new("too-far-ahead", "must be within the next 90 days").into())
        }
        _ => Ok(()),
    }
}

pub(super) fn in_the_future(
    member: &Member<String, Timestamp>,
    context: &ParseContext<'_>,
) -> Result<(), ValidationError> {
    match member.parsed() {
        Some(end) if *end < context.now + MIN_LEAD => {
            Err(Fault::new("window-in-the-past", "must be at least a minute in the future").into())
        }
        _ => Ok(()),
    }
}

pub(super) fn one_to_four_hours(request: &impl RequestsWindow) -> Result<(), ValidationError> {
    match (request.start(), request.end()) {
        (Some(start), Some(end)) => {
            TimeWindow::parse(start, end).map(drop).map_err(|fault| fault_at("requestedEnd", fault))
        }
        _ => Ok(()),
    }
}

pub(super) fn inside_business_hours(
    request: &impl RequestsWindow,
    context: &ParseContext<'_>,
) -> Result<(), ValidationError> {
    let hours = context.rules.and_then(|rules| rules.settings.business_hours.as_ref());
    match (request.window(), hours) {
        (Some(window), Some(hours)) if !hours.contain(&window) => {
            let zone = hours.zone.name();
            let detail = format!("the window must lie inside the campaign's business hours ({zone})");
            Err(fault_at("requestedStart", Fault::new("outside-business-hours", detail)))
        }
        _ => Ok(()),
    }
}

fn refused(refusal: PlacementRefusal) -> Problem {
    let (kind, detail, earliest_start) = match refusal {
        PlacementRefusal::CampaignHeld { earliest_start } => (
            ProblemKind::CampaignHeld,
            "a compliance hold of the campaign leaves no time to call in the requested window",
            earliest_start,
        ),
        PlacementRefusal::OutsideRegulatoryWindow { earliest_start } => (
            ProblemKind::OutsideRegulatoryWindow,
            "the regulatory window of the campaign leaves no time to call in the requested window",
            earliest_start,
        ),
    };
    Problem::unprocessable(kind, detail).with("earliestStart", earliest_start)
}
