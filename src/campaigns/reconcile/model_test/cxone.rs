//! The model of CXone, which fails in all known ways.

use std::sync::Mutex;
use std::time::Duration;

use super::skills::answer_read;
use super::world::{Behavior, MAX_LATENESS_MS, Shared, yield_now};
use crate::campaigns::model::Timing;
use crate::campaigns::ports::{CampaignGateway, SendCheck, Urgency};
use crate::cxone::{CampaignState, CxoneError, DialerCampaign};
use crate::trace::Traceparent;
use crate::types::CampaignId;

const TIMING: Timing = Timing {
    pause_lead: Duration::from_secs(2),
    uncertain_for: Duration::from_mins(1),
    check_interval: Duration::from_secs(45),
};

pub struct ModelGateway {
    pub world: Shared,
    pub rng: Mutex<fastrand::Rng>,
}

impl ModelGateway {
    fn receive(&self, target: &DialerCampaign) -> Result<DialerCampaign, CxoneError> {
        let mut world = self.world.lock().unwrap();
        world.check_request(target);
        match world.behavior {
            Behavior::Normal | Behavior::NotAnswering | Behavior::Rejecting => {}
            Behavior::Late => {
                let at = world.now_ms + self.rng.lock().unwrap().i64(0..MAX_LATENESS_MS);
                world.late.push((at, target.clone()));
                return Err(failure(Behavior::Late));
            }
            Behavior::Ignoring => return Ok(world.cxone.clone()),
            behavior => return Err(failure(behavior)),
        }
        if world.read_revision < world.cxone_revision {
            return Err(CxoneError::Conflict { reason: String::new() });
        }
        let is_running = matches!(world.cxone.state, CampaignState::Active | CampaignState::Paused);
        let has_own_attributes = target.max_agents != world.cxone.max_agents || target.resume_at.is_some();
        if !is_running || (world.behavior == Behavior::Rejecting && has_own_attributes) {
            return Err(CxoneError::Rejected { status: 422, reason: String::new() });
        }
        world.change_cxone(target);
        if world.behavior == Behavior::NotAnswering {
            return Err(failure(Behavior::NotAnswering));
        }
        Ok(target.clone())
    }
}

impl CampaignGateway for ModelGateway {
    async fn read(
        &self,
        _: &CampaignId,
        _: Option<Duration>,
        _: Urgency,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        yield_now().await;
        let mut world = self.world.lock().unwrap();
        answer_read(&world)?;
        world.read_revision = world.cxone_revision;
        Ok(world.shown())
    }

    async fn update(
        &self,
        _: &CampaignId,
        target: &DialerCampaign,
        check: &impl SendCheck,
        _: &Traceparent,
    ) -> Result<DialerCampaign, CxoneError> {
        if self.world.lock().unwrap().skills.is_some() {
            return self.update_skills(target, check).await;
        }
        // The wait for the quota and a token.
        yield_now().await;
        if !check.is_still_wanted().await {
            return Err(CxoneError::Superseded);
        }
        let answer = self.receive(target);
        yield_now().await;
        answer
    }

    async fn sleep(&self, _: Duration) {
        yield_now().await;
    }

    fn timing(&self) -> Timing {
        TIMING
    }
}

pub(super) fn failure(behavior: Behavior) -> CxoneError {
    let reason = String::new();
    match behavior {
        Behavior::NotReceiving | Behavior::NotAnswering | Behavior::Late => CxoneError::OutcomeUnknown { reason },
        Behavior::NotFound => CxoneError::NotFound { reason },
        Behavior::Forbidding => CxoneError::Forbidden { permission: "", reason },
        Behavior::Unavailable | Behavior::Normal | Behavior::Ignoring | Behavior::Rejecting => {
            CxoneError::Unavailable { retry_after: None, reason }
        }
    }
}
