//! The placement of an attempt: the dispatch time is chosen and committed, so that every replica counts it.

use jiff::{SignedDuration, Timestamp};

use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, WithoutForecast};
use crate::audit::{Action, Outcome};
use crate::callbacks::model::{Callback, Failure, FailureCode, Status};
use crate::callbacks::retry::backoff;
use crate::campaigns::PlacementRules;
use crate::cxone::{Class, ForecastHour, RequestContext};
use crate::placement::{HourLoad, best_time, earliest_time, hours_of};
use crate::types::Interval;

/// The result of a placement.
pub(super) enum Placement {
    At(Timestamp),
    Nowhere {
        failure: Failure,
        /// Whether a later placement may succeed, because a hold may be lifted.
        may_change: bool,
    },
    /// CXone gave no forecast. The callback is deferred or has failed, and is saved.
    Settled,
}

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Chooses a dispatch time at least `notice` from now, and commits it.
    pub(super) async fn place(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        notice: SignedDuration,
    ) -> Result<Placement, AttemptError> {
        let parts = rules.restrictions.open_parts(&callback.window, self.clock.now());
        if parts.is_empty() {
            let detail = "the campaign is held, or outside its regulatory window, until the requested window ends";
            let failure = Failure::new(FailureCode::CampaignHeld, detail);
            return Ok(Placement::Nowhere { failure, may_change: true });
        }
        let context = RequestContext { class, trace: &callback.trace };
        let forecast = match self.gateway.forecast(&callback.campaign_id, &callback.window, context).await {
            Ok(forecast) => forecast,
            Err(error) => {
                let before = callback.possible_contact();
                return self.not_scheduled(callback, before, &error).await.map(|()| Placement::Settled);
            }
        };
        let earliest = self.clock.now() + notice;
        callback.extend_lease(self.lease_end());
        callback.updated_at = self.clock.now();
        if let Some(start) = self.place_by_forecast(callback, rules, &forecast, &parts, earliest).await? {
            return Ok(Placement::At(start));
        }
        if self.settings.without_forecast == WithoutForecast::WindowStart {
            let hours = hours_of(&callback.window);
            let choose = |placed: &[u32]| earliest_time(&hours, placed, &parts, earliest);
            if let Some(start) = self.place_in(callback, &hours, choose).await? {
                return Ok(Placement::At(start));
            }
        }
        let detail = "CXone forecasts no agents for any part of the requested window that is still to come";
        Ok(Placement::Nowhere { failure: Failure::new(FailureCode::NoForecast, detail), may_change: false })
    }

    async fn place_by_forecast(
        &self,
        callback: &mut Callback,
        rules: &PlacementRules,
        forecast: &[ForecastHour],
        parts: &[Interval],
        earliest: Timestamp,
    ) -> Result<Option<Timestamp>, AttemptError> {
        let hours: Vec<Timestamp> = forecast.iter().map(|hour| hour.hour).collect();
        let handle_time = rules.settings.handle_time();
        let choose = |placed: &[u32]| {
            let loads: Vec<_> =
                forecast.iter().zip(placed).map(|(&forecast, &placed)| HourLoad { forecast, placed }).collect();
            best_time(&loads, handle_time, parts, earliest)
        };
        self.place_in(callback, &hours, choose).await
    }

    async fn place_in(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> Result<Option<Timestamp>, AttemptError> {
        let mut chosen = None;
        let has_claim = self.repository.place(callback, hours, |placed| {
            chosen = choose(placed);
            chosen
        });
        if has_claim.await? { Ok(chosen) } else { Err(AttemptError::ClaimLost) }
    }

    /// The callback fails, unless CXone may have its contact, or a hold may be lifted.
    pub(super) async fn without_placement(
        &self,
        callback: &mut Callback,
        failure: Failure,
        may_change: bool,
    ) -> Result<(), AttemptError> {
        if may_change || callback.may_have_contact() {
            let wait = backoff(callback.attempts, &self.clock);
            return self.defer(callback, failure, wait).await;
        }
        callback.fail(failure);
        self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await
    }
}
