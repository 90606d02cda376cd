//! Makes the plans that reserve capacity for expected requests: one campaign after the other, in the background. A campaign without
//! a current plan is placed as before, so that nothing waits for a plan.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::attempt::CallbackRepository as _;
use super::store::{CallbackStore, DuePlan, NewPlan};
use crate::clock::Clock;
use crate::cxone::{Class, Cxone, CxoneError, ForecastHour, RequestContext};
use crate::placement::{
    DayDemand, ExpectedWindow, PlanHour, complete_days, day_weights, days_until, forecast_version, plan,
};
use crate::trace::Traceparent;
use crate::types::{CampaignId, Interval, TimeZone};

/// How often a replica looks for a plan that is due.
const POLL: Duration = Duration::from_secs(1);
/// Making a plan takes less.
const LEASE: SignedDuration = SignedDuration::from_mins(2);
/// How far ahead capacity is reserved. A forecast has at most 48 hours, the current one included.
const AHEAD: SignedDuration = SignedDuration::from_hours(47);
/// How long a plan is used. Later ones replace it sooner while callbacks come.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(1);
/// When a plan is made again though no callback came.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// When a plan that failed is tried again.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// A callback that was created longer ago is committed or never will be.
const COMMITTED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Where forecasts come from.
pub trait ForecastSource: Send + Sync + 'static {
    /// The hours of a campaign's forecast in this span, in order of time.
    fn forecast(
        &self,
        campaign: &CampaignId,
        span: Interval,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Vec<ForecastHour>, CxoneError>> + Send;
}

impl ForecastSource for Arc<Cxone> {
    async fn forecast(
        &self,
        campaign: &CampaignId,
        span: Interval,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        self.forecast_between(campaign, span, context).await
    }
}

/// Makes plans.
pub struct Planner<F> {
    store: Arc<CallbackStore>,
    forecasts: F,
    /// In which days and hours of the week are compared.
    zone: TimeZone,
    clock: Clock,
}

/// Why a plan was not made.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error(transparent)]
    Cxone(#[from] CxoneError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the solver panicked")]
    Solver(#[from] tokio::task::JoinError),
}

impl<F: ForecastSource> Planner<F> {
    /// Plans by these forecasts, in this time zone.
    pub fn new(store: Arc<CallbackStore>, forecasts: F, zone: TimeZone, clock: Clock) -> Self {
        Self { store, forecasts, zone, clock }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                match self.plan_due().await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => tracing::error!(error = %error, "plans of placements that are due could not be read"),
                }
                tokio::time::sleep(self.clock.between(POLL / 2, POLL)).await;
            }
        };
        // Ends only by the token.
        let _: Option<std::convert::Infallible> = stop.run_until_cancelled(Box::pin(work)).await;
    }

    /// Makes the plan that has been due for longest. Returns false if none was due.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn plan_due(&self) -> Result<bool, sqlx::Error> {
        let now = self.clock.now();
        let lease_end = now + LEASE;
        let Some(due) = self.store.claim_plan(now, lease_end).await? else { return Ok(false) };
        let wait = match self.make(&due).await {
            Ok(()) => AGAIN_AFTER,
            Err(error) => {
                tracing::warn!(campaign.id = %due.campaign_id, %error, "no plan of placements was made");
                RETRY_AFTER
            }
        };
        self.store.plan_again(&due, lease_end, self.clock.now() + wait).await?;
        Ok(true)
    }

    async fn make(&self, due: &DuePlan) -> Result<(), PlanError> {
        let now = self.clock.now();
        let expected = self.expected(due, now).await?;
        if expected.is_empty() {
            return Ok(());
        }
        let campaign = &due.campaign_id;
        let trace = Traceparent::root(self.clock.new_id());
        let context = RequestContext { class: Class::Background, trace: &trace };
        let span = Interval { start: now, end: now + AHEAD };
        let forecast = self.forecasts.forecast(campaign, span, context).await?;
        let version = forecast_version(&forecast);
        let hours = self.hours(campaign, forecast).await?;
        let handle_seconds = self.store.rules(campaign).await?.settings.handle_time().as_secs_f64();
        let places = tokio::task::spawn_blocking(move || plan(&hours, &expected, handle_seconds)).await?;
        let new = NewPlan { places: &places, forecast: &version, planned_at: now, valid_until: now + VALID_FOR };
        self.store.replace_plan(due, &new).await?;
        metrics::counter!("ringback_placement_plans_total").increment(1);
        Ok(())
    }

    /// The hours of the forecast, with the callbacks that are placed in them.
    async fn hours(&self, campaign: &CampaignId, forecast: Vec<ForecastHour>) -> Result<Vec<PlanHour>, sqlx::Error> {
        let starts: Vec<_> = forecast.iter().map(|hour| hour.hour).collect();
        let placed = self.store.placed_in(campaign, &starts).await?;
        let hours = forecast.into_iter().zip(placed).map(|(forecast, placed)| PlanHour {
            hour: forecast.hour,
            available_agents: forecast.available_agents,
            calls: forecast.expected_calls + f64::from(placed),
        });
        Ok(hours.collect())
    }

    /// The requests that are still expected. None while too few days are known.
    async fn expected(&self, due: &DuePlan, now: Timestamp) -> Result<Vec<ExpectedWindow>, sqlx::Error> {
        let (campaign, zone) = (&due.campaign_id, &self.zone);
        let is_counted_here = due.time_zone.as_deref() == Some(zone.name());
        if !is_counted_here {
            self.store.reset_demand(campaign, zone).await?;
        }
        let counted_until = due.counted_until.filter(|_| is_counted_here);
        self.store.count_demand(campaign, counted_until, now - COMMITTED_AFTER, zone).await?;
        let today = now.to_zoned(zone.tz().clone()).date();
        let totals = self.store.demand_by_day(campaign).await?;
        let complete = complete_days(&totals, today);
        let mut expected = Vec::new();
        for day in days_until(now, now + AHEAD, zone.tz()) {
            let weights = day_weights(day, &complete);
            if weights.is_empty() {
                continue;
            }
            let demand = DayDemand::new(day, &self.store.average_demand(campaign, &weights).await?);
            let arrived = totals.iter().find(|total| total.day == day).map_or(0, |total| total.requests);
            expected.extend(demand.remaining(now, zone.tz(), f64::from(arrived)));
        }
        Ok(expected)
    }
}
