//! The placement of an attempt: the dispatch time is chosen and committed, so that every replica counts it.

use jiff::{SignedDuration, Timestamp};

use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, WithoutForecast};
use crate::audit::{Action, Outcome};
use crate::callbacks::model::{Callback, Failure, FailureCode, Status};
use crate::callbacks::retry::backoff;
use crate::campaigns::{HoldScope, PlacementRules};
use crate::cxone::{Class, CxoneError, ForecastHour, RequestContext};
use crate::placement::{Inputs, NOTICE, hours_of};
use crate::types::TimeWindow;

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

fn held() -> Placement {
    let detail = "the campaign is held, or outside its regulatory window, until the requested window ends";
    Placement::Nowhere { failure: Failure::new(FailureCode::CampaignHeld, detail), may_change: true }
}

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// The holds that keep this callback from being placed. Where contacts are moved out of holds, none is placed where it would
    /// be moved again at once.
    fn hold_scope(&self, callback: &Callback) -> HoldScope {
        if !self.gateway.can_change_contacts() {
            return HoldScope::Compliance;
        }
        match callback.change.as_deref() {
            Some(change) if change.is_requested() => HoldScope::Near,
            None if callback.moves == 0 => HoldScope::Near,
            Some(_) | None => HoldScope::All,
        }
    }

    /// Chooses a dispatch time at least `notice` from now, and commits it.
    pub(super) async fn place(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        notice: SignedDuration,
    ) -> Result<Placement, AttemptError> {
        let window = callback.window_to_place();
        let scope = self.hold_scope(callback);
        if rules.restrictions.open_parts(scope, &window, self.clock.now()).is_empty() {
            return Ok(held());
        }
        let forecast = match self.forecast(callback, &window, class).await {
            Ok(forecast) => forecast,
            Err(error) if callback.change.is_some() => {
                return self.change_failed(callback, false, &error).await.map(|()| Placement::Settled);
            }
            Err(error) => {
                let before = callback.possible_contact();
                return self.not_scheduled(callback, before, &error).await.map(|()| Placement::Settled);
            }
        };
        // CXone may have taken long: a hold that was placed meanwhile counts.
        let rules = self.repository.rules(&callback.campaign_id).await?;
        let parts = rules.restrictions.open_parts(scope, &window, self.clock.now());
        if parts.is_empty() {
            return Ok(held());
        }
        let earliest = self.clock.now() + notice;
        callback.extend_lease(self.lease_end());
        callback.updated_at = self.clock.now();
        let handle_seconds = rules.settings.handle_time().as_secs_f64();
        let inputs = Inputs::by_forecast(&forecast, handle_seconds, &parts, earliest);
        if let Some(start) = self.place_by(callback, inputs).await? {
            return Ok(Placement::At(start));
        }
        if self.settings.without_forecast == WithoutForecast::WindowStart {
            let inputs = Inputs::without_forecast(&hours_of(&window), &parts, earliest);
            if let Some(start) = self.place_by(callback, inputs).await? {
                return Ok(Placement::At(start));
            }
        }
        let detail = "CXone forecasts no agents for any part of the requested window that is still to come";
        Ok(Placement::Nowhere { failure: Failure::new(FailureCode::NoForecast, detail), may_change: false })
    }

    /// The forecast. A callback without a contact also gets the skill that makes its call. It is stored with the placement, so that
    /// CXone is asked in that skill after a doubt.
    async fn forecast(
        &self,
        callback: &mut Callback,
        window: &TimeWindow,
        class: Class,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let context = RequestContext { class, trace: &callback.trace };
        let forecast = self.gateway.forecast(&callback.campaign_id, window, context).await?;
        if callback.change.is_none() && !callback.may_have_contact() {
            callback.skill = self.gateway.contact_skill(&callback.campaign_id, context).await?;
        }
        Ok(forecast)
    }

    async fn place_by(&self, callback: &mut Callback, inputs: Inputs) -> Result<Option<Timestamp>, AttemptError> {
        let hours: Vec<Timestamp> = inputs.hours.iter().map(|candidate| candidate.hour).collect();
        let mut chosen = None;
        let has_claim = self.repository.place(callback, &hours, |plan, places| {
            let decision = inputs.with_places(plan, places).decide();
            chosen = decision.as_ref().map(|decision| decision.choice.dispatch_time);
            decision
        });
        if has_claim.await? { Ok(chosen) } else { Err(AttemptError::ClaimLost) }
    }

    /// The callback fails, unless CXone may have its contact, a hold may be lifted, or the window has passed meanwhile.
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
        if callback.window_has_passed(self.clock.now(), NOTICE) {
            return self.expired(callback).await;
        }
        callback.fail(failure);
        self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await
    }
}
