//! A forecast of our own: NICE publishes none. It is made once a day, for all outbound skills and all replicas, from what the
//! skills handled in the last 8 weeks (`history`, `model`), and kept in Postgres (`store`). In the current hour, the agents
//! who are logged in count too (`live`).
//!
//! The planned shifts of agents would say more about the agents. They are not read: NICE does not publish the base path of
//! `schedules/export`.

#[cfg(test)]
mod fuzz_test;
mod history;
mod live;
mod model;
mod store;
mod week;

use jiff::SignedDuration;
use sqlx::PgPool;

use super::{Nice, stored};
use crate::cxone::budget::Class;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{ForecastHour, HourRange, RequestContext};
use crate::cxone::transport::Transport;
use crate::types::CampaignId;
use live::Live;
use model::Past;
use store::{ForecastStore, State};

/// How long a forecast is used before it is made again.
const REFRESH_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// When a refresh that failed, or whose replica died, is tried again …
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// … and when there is no forecast that can be used until then.
const FIRST_RETRY_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// A tenant with more skills has no forecast for the others.
const MAX_SKILLS: usize = 1000;

/// The forecast of the tenant.
pub struct Forecasts {
    store: ForecastStore,
    live: Live,
    /// Held during a refresh: others of this replica wait for its result.
    refreshing: tokio::sync::Mutex<()>,
}

impl Forecasts {
    pub fn new(pool: PgPool) -> Self {
        Self { store: ForecastStore::new(pool), live: Live::default(), refreshing: tokio::sync::Mutex::default() }
    }
}

impl Nice {
    /// The hours of the skill that takes the campaign's callbacks. None where less than two weeks of its history are known.
    pub async fn forecast(
        &self,
        transport: &Transport,
        id: &CampaignId,
        range: HourRange,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let skill = self.callback_skill(transport, id, context).await?;
        let context = RequestContext { class: Class::Background, ..context };
        let state = self.fresh_state(transport, context).await?;
        let Some(zone) = state.zone(self.clock.now()) else {
            return Err(CxoneError::unavailable("the forecast has not been made yet"));
        };
        let week = stored(self.forecasts.store.week(skill).await)?;
        if week.0.is_empty() {
            return Ok(Vec::new());
        }
        let mut hours = week.hours(range, zone);
        if let Some(hour) = week::current_hour(&mut hours, self.clock.now())
            && let Some(agents) = self.agents_now(transport, skill, context).await
        {
            // Both: a shift may be about to begin or to end.
            hour.available_agents = f64::midpoint(hour.available_agents, agents);
        }
        Ok(hours)
    }

    /// The state of the forecast, which is refreshed first where it is due and no other replica does so.
    async fn fresh_state(&self, transport: &Transport, context: RequestContext<'_>) -> Result<State, CxoneError> {
        let store = &self.forecasts.store;
        let state = stored(store.state().await)?;
        let now = self.clock.now();
        let is_usable = state.zone(now).is_some();
        if is_usable && !state.is_due(now) {
            return Ok(state);
        }
        let _refreshing = self.forecasts.refreshing.lock().await;
        let now = self.clock.now();
        let next = now + if is_usable { RETRY_AFTER } else { FIRST_RETRY_AFTER };
        if stored(store.claim(now, next).await)? {
            match self.refresh(transport, context).await {
                Err(error) if is_usable => {
                    tracing::warn!(%error, "a new forecast could not be made: the last one is used");
                }
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, "there is no forecast: CXone refuses the history of skills");
                    stored(store.replace(&[], &jiff::tz::TimeZone::UTC, now, now + RETRY_AFTER).await)?;
                }
                refreshed => refreshed?,
            }
        }
        stored(store.state().await)
    }

    /// Makes the forecast of all skills, and stores it.
    async fn refresh(&self, transport: &Transport, context: RequestContext<'_>) -> Result<(), CxoneError> {
        let zone = self.business_unit_zone(transport, context).await?;
        let now = self.clock.now();
        let past = Past::before(now, zone.clone());
        let history = self.history(transport, &past, context).await?;
        let quarters = in_background(move || model::quarters(history, &past, MAX_SKILLS)).await?;
        stored(self.forecasts.store.replace(&quarters, &zone, now, now + REFRESH_AFTER).await)?;
        tracing::info!(quarters = quarters.len(), "the forecast was made from the history of skills");
        Ok(())
    }
}

/// Whether CXone would refuse it again.
fn is_refusal(error: &CxoneError) -> bool {
    matches!(error, CxoneError::Forbidden { .. } | CxoneError::NotFound { .. } | CxoneError::Rejected { .. })
}

/// Computes for up to seconds, without delaying requests.
async fn in_background<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T, CxoneError> {
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.map_err(|_| CxoneError::unavailable("the forecast could not be computed"))
}
