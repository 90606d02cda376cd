//! The windows that an IVR can offer: those in which a callback can still be placed and kept.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Timestamp, Unit, ZonedRound};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tracing::Instrument as _;

use super::store::{CallbackStore, KeptPlaces};
use crate::campaigns::{HoldScope, PlacementRules, RulesCache};
use crate::clock::Clock;
use crate::cxone::{Class, Cxone, CxoneError, ForecastHour, RequestContext};
use crate::placement::{Candidate, Slot, WindowHours};
use crate::trace::Traceparent;
use crate::types::{CampaignId, Interval, TimeWindow};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The longest span of a request, and how far ahead it reaches.
pub const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(14 * 24);
/// CXone has forecasts of at most 48 hours. Those that begin at multiples of it are shared by all requests.
const FORECAST_HOURS: i32 = 48;
/// For how long a forecast is used, also where CXone has none.
const FORECAST_FRESH_FOR: SignedDuration = SignedDuration::from_mins(5);
/// For how long placed and planned callbacks are not counted again.
const COUNTS_FRESH_FOR: SignedDuration = SignedDuration::from_secs(5);
/// For how long CXone is not asked again for a forecast that it refused.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(10);
/// Above this, those that were read before are forgotten.
const MAX_CAMPAIGNS: usize = 1000;

/// A window that can be offered.
#[derive(Debug)]
pub struct OfferedSlot {
    pub window: TimeWindow,
    pub slot: Slot,
}

/// An hour that CXone has a forecast for.
#[derive(Clone, Copy, Debug)]
pub struct HourOutlook {
    pub start: Timestamp,
    /// The calls that the agents can take.
    pub capacity: f64,
    /// Besides callbacks.
    pub expected_calls: f64,
    pub placed: u32,
    /// The places that are kept for callbacks that are expected.
    pub planned: f64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SlotsError {
    #[error(transparent)]
    Cxone(#[from] CxoneError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What is known of the coming hours of campaigns.
pub struct Slots {
    store: Arc<CallbackStore>,
    rules: RulesCache,
    cxone: Arc<Cxone>,
    clock: Clock,
    campaigns: Mutex<HashMap<CampaignId, Arc<AsyncMutex<Known>>>>,
}

/// What is known of a campaign. At most eight forecasts: until the end of what can be asked for.
#[derive(Default)]
struct Known {
    /// By their place among all spans of 48 hours, with the time when they were read.
    forecasts: BTreeMap<i64, (Timestamp, Vec<ForecastHour>)>,
    /// Why CXone refused a forecast, by its place, with the time when it did.
    refused: BTreeMap<i64, (Timestamp, CxoneError)>,
    counted_at: Option<Timestamp>,
    placed: HashMap<Timestamp, u32>,
    kept: Vec<KeptPlaces>,
}

/// The hours of a span, with the callbacks that are placed in them, and the places that are kept.
struct Outlook {
    hours: Vec<(ForecastHour, u32)>,
    kept: Vec<KeptPlaces>,
}

impl Slots {
    /// Reads placements and rules from Postgres, and forecasts from CXone.
    pub fn new(store: Arc<CallbackStore>, rules: RulesCache, cxone: Arc<Cxone>, clock: Clock) -> Self {
        Self { store, rules, cxone, clock, campaigns: Mutex::default() }
    }

    /// The windows of this length that begin at whole hours, lie in the span, in the campaign's business hours and in its regulatory
    /// window if that is enforced, and reach into no compliance hold. Only hours that CXone has a forecast for are offered.
    ///
    /// # Errors
    /// If Postgres or CXone does not respond.
    pub async fn offered(
        &self,
        campaign: &CampaignId,
        span: Interval,
        length: SignedDuration,
        trace: &Traceparent,
    ) -> Result<Vec<OfferedSlot>, SlotsError> {
        let now = self.clock.now();
        let span = Interval { start: span.start.max(now), end: span.end.min(now + LONGEST_SPAN) };
        if span.start >= span.end {
            return Ok(Vec::new());
        }
        let outlook = self.outlook(campaign, span, now, trace).await?;
        let rules = self.rules.rules_of(campaign).await?;
        let windows = windows(span, length, &rules);
        let windows = windows.filter(|window| can_be_kept(window, &rules, now));
        let handle_seconds = rules.settings.handle_time().as_secs_f64();
        let offered = windows.filter_map(|window| {
            let slot = Slot::of(&window, &outlook.candidates(&window), handle_seconds)?;
            Some(OfferedSlot { window, slot })
        });
        Ok(offered.collect())
    }

    /// The hours of the span that CXone has a forecast for.
    ///
    /// # Errors
    /// If Postgres or CXone does not respond.
    pub async fn hours(
        &self,
        campaign: &CampaignId,
        span: Interval,
        trace: &Traceparent,
    ) -> Result<Vec<HourOutlook>, SlotsError> {
        let outlook = self.outlook(campaign, span, self.clock.now(), trace).await?;
        let rules = self.rules.rules_of(campaign).await?;
        let handle_seconds = rules.settings.handle_time().as_secs_f64();
        let in_span = |hour: &ForecastHour| hour.hour < span.end && hour.hour + HOUR > span.start;
        let hours = outlook.hours.iter().filter(|(hour, _)| in_span(hour)).map(|(hour, placed)| HourOutlook {
            start: hour.hour,
            capacity: hour.available_agents * 3600.0 / handle_seconds,
            expected_calls: hour.expected_calls,
            placed: *placed,
            planned: outlook.kept.iter().filter(|kept| kept.hour == hour.hour).fold(0.0, |sum, kept| sum + kept.places),
        });
        Ok(hours.collect())
    }

    async fn outlook(
        &self,
        campaign: &CampaignId,
        span: Interval,
        now: Timestamp,
        trace: &Traceparent,
    ) -> Result<Outlook, SlotsError> {
        let entry = {
            let mut campaigns = self.campaigns.lock();
            if campaigns.len() >= MAX_CAMPAIGNS && !campaigns.contains_key(campaign) {
                campaigns.clear();
            }
            Arc::clone(campaigns.entry(campaign.clone()).or_default())
        };
        // One caller reads, the others wait for what it finds.
        let mut known = entry.lock_owned().await;
        let needed = place_of(span.start)..=place_of(span.end);
        let (cxone, campaign_id, trace, places) =
            (Arc::clone(&self.cxone), campaign.clone(), trace.clone(), needed.clone());
        let clock = self.clock.clone();
        // In a task of its own: if the client disconnects, CXone has not failed, and what is read is kept.
        let read = async move {
            let result = known.read(&cxone, &campaign_id, places, &clock, &trace).await;
            (known, result)
        };
        let read = tokio::spawn(read.in_current_span()).await;
        let (mut known, result) = read.map_err(|error| CxoneError::OutcomeUnknown { reason: error.to_string() })?;
        result?;
        if known.counted_at.is_none_or(|at| now.duration_since(at) >= COUNTS_FRESH_FOR) {
            let starts: Vec<_> = known.forecasts.values().flat_map(|(_, hours)| hours).map(|hour| hour.hour).collect();
            let placed = self.store.placed_in(campaign, &starts).await?;
            known.placed = starts.into_iter().zip(placed).collect();
            known.kept = self.store.kept_places(campaign, now).await?;
            known.counted_at = Some(now);
        }
        let hours = known.forecasts.range(needed).flat_map(|(_, (_, hours))| hours);
        let hours = hours.map(|hour| (*hour, known.placed.get(&hour.hour).copied().unwrap_or_default()));
        Ok(Outlook { hours: hours.collect(), kept: known.kept.clone() })
    }
}

impl Known {
    /// Reads the forecasts of these spans that are not known.
    async fn read(
        &mut self,
        cxone: &Cxone,
        campaign: &CampaignId,
        places: RangeInclusive<i64>,
        clock: &Clock,
        trace: &Traceparent,
    ) -> Result<(), CxoneError> {
        let now = clock.now();
        self.forecasts.retain(|_, (read_at, _)| now.duration_since(*read_at) < FORECAST_FRESH_FOR);
        self.refused.retain(|_, (read_at, _)| now.duration_since(*read_at) < REFUSED_FOR);
        for place in places {
            let Entry::Vacant(entry) = self.forecasts.entry(place) else { continue };
            if let Some((_, error)) = self.refused.get(&place) {
                return Err(error.clone());
            }
            let context = RequestContext { class: Class::Background, trace };
            match cxone.forecast_between(campaign, span_of(place, now), context).await {
                Ok(hours) => entry.insert((now, hours)),
                Err(error) => {
                    if is_refusal(&error) {
                        self.refused.insert(place, (clock.now(), error.clone()));
                    }
                    return Err(error);
                }
            };
            self.counted_at = None;
        }
        Ok(())
    }
}

/// Whether CXone would refuse the same request again.
fn is_refusal(error: &CxoneError) -> bool {
    matches!(error, CxoneError::NotFound { .. } | CxoneError::Rejected { .. } | CxoneError::Forbidden { .. })
}

/// The place of the span of 48 hours that has this instant.
fn place_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(i64::from(FORECAST_HOURS) * 3600)
}

/// What is left of one of the spans of 48 hours.
fn span_of(place: i64, now: Timestamp) -> Interval {
    let first = Timestamp::from_second(place * i64::from(FORECAST_HOURS) * 3600).unwrap_or(now);
    Interval { start: first.max(now), end: first + HOUR * FORECAST_HOURS }
}

impl Outlook {
    /// The hours that overlap this window.
    fn candidates(&self, window: &TimeWindow) -> Vec<Candidate> {
        let same = WindowHours::of(window);
        let overlaps = |hour: &ForecastHour| hour.hour < window.end() && hour.hour + HOUR > window.start();
        let overlapping = self.hours.iter().filter(|(hour, _)| overlaps(hour));
        let candidates = overlapping.map(|(hour, placed)| {
            let kept = || self.kept.iter().filter(|kept| kept.hour == hour.hour);
            Candidate {
                hour: hour.hour,
                available_agents: hour.available_agents,
                expected_calls: hour.expected_calls,
                placed: *placed,
                planned: kept().map(|kept| kept.places).sum(),
                own: kept().filter(|kept| kept.window == same).map(|kept| kept.places).sum(),
            }
        });
        candidates.collect()
    }
}

/// The windows of a span that begin at whole hours, by the clock of the business hours.
fn windows(span: Interval, length: SignedDuration, rules: &PlacementRules) -> impl Iterator<Item = TimeWindow> + use<> {
    let zone = rules.settings.business_hours.as_ref().map_or(TimeZone::UTC, |hours| hours.zone.tz().clone());
    let whole_hour = ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Ceil);
    let first = span.start.to_zoned(zone).round(whole_hour).map_or(span.start, |first| first.timestamp());
    let starts = std::iter::successors(Some(first), |start| Some(*start + HOUR));
    let starts = starts.take_while(move |start| *start + length <= span.end);
    starts.filter_map(move |start| TimeWindow::parse(start, start + length).ok())
}

fn can_be_kept(window: &TimeWindow, rules: &PlacementRules, now: Timestamp) -> bool {
    let whole = Interval { start: window.start(), end: window.end() };
    rules.settings.business_hours.as_ref().is_none_or(|hours| hours.contain(window))
        && rules.restrictions.open_parts(HoldScope::Compliance, window, now) == [whole]
}
