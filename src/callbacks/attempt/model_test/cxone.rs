//! The model of CXone.

use futures::pending;
use jiff::{SignedDuration, Timestamp};

use super::world::{Behavior, Shared};
use crate::callbacks::attempt::CallbackGateway;
use crate::clock::Clock;
use crate::cxone::{
    ContactAnswer, ContactId, CxoneError, Endpoint, ForecastHour, NewContact, RequestContext, Sms, SmsSender,
    StillWanted, Withdrawal,
};
use crate::types::{CampaignId, PhoneNumber, TimeWindow};

pub struct ModelGateway {
    pub world: Shared,
    pub clock: Clock,
}

impl ModelGateway {
    /// A request is sent in time, and under a claim, or not at all.
    pub(super) async fn admit(
        &self,
        send_by: Option<Timestamp>,
        still_wanted: &dyn StillWanted,
    ) -> Result<(), CxoneError> {
        if !still_wanted.ask().await {
            return Err(CxoneError::Superseded);
        }
        let is_late = send_by.is_some_and(|by| self.clock.now() > by);
        if is_late { Err(CxoneError::NotSentInTime) } else { Ok(()) }
    }
}

impl CallbackGateway for ModelGateway {
    async fn forecast(
        &self,
        _: &CampaignId,
        window: &TimeWindow,
        _: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        pending!();
        let mut world = self.world.lock().unwrap();
        let behavior = world.forecast;
        let agents = match behavior {
            Behavior::Normal => 3.0,
            Behavior::Empty if world.rng.bool() => return Ok(Vec::new()),
            Behavior::Empty => 0.0,
            Behavior::Refuses => return Err(world.refusal()),
            Behavior::Busy => return Err(world.busy()),
            Behavior::Fails | Behavior::LosesAnswers | Behavior::Late => return Err(world.unknown()),
        };
        let hours = (0..4).map(|hour| window.start() + SignedDuration::from_hours(hour));
        Ok(hours.map(|hour| ForecastHour { hour, available_agents: agents, expected_calls: 0.0 }).collect())
    }

    async fn contact_skill(&self, _: &CampaignId, _: RequestContext<'_>) -> Result<Option<i64>, CxoneError> {
        Ok(None)
    }

    async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        _: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        pending!();
        if self.world.lock().unwrap().nice.is_some() {
            return self.create_at_nice(contact).await;
        }
        self.admit(contact.send_by, contact.still_wanted).await?;
        pending!();
        let answer = {
            let mut world = self.world.lock().unwrap();
            let passed = world.contact.is_some_and(|at| at.as_millisecond() <= world.now_ms + world.cxone_skew_ms);
            match world.contacts {
                // A CXone that looks up existing contacts first answers 409 for one whose start has passed, and never refuses.
                Behavior::Refuses if !passed || world.validates_first => Err(world.refusal()),
                Behavior::Normal | Behavior::Refuses | Behavior::Empty => world.create_contact(contact.at),
                Behavior::Busy => Err(world.busy()),
                Behavior::Fails => Err(world.unknown()),
                Behavior::LosesAnswers => {
                    let _ = world.create_contact(contact.at);
                    Err(world.unknown())
                }
                Behavior::Late => {
                    world.in_flight.push(contact.at);
                    Err(world.unknown())
                }
            }
        };
        pending!();
        answer
    }

    async fn is_on_do_not_call_list(&self, _: &PhoneNumber, _: RequestContext<'_>) -> Result<bool, CxoneError> {
        Ok(false)
    }

    fn sms_sender<'a>(&self, number: &'a PhoneNumber, _: Option<&'a str>) -> Option<SmsSender<'a>> {
        Some(SmsSender::Number(number))
    }

    fn can_change_contacts(&self) -> bool {
        false
    }

    async fn withdraw_contact(
        &self,
        _: ContactId,
        _: &NewContact<'_>,
        _: RequestContext<'_>,
    ) -> Result<Withdrawal, CxoneError> {
        Ok(Withdrawal::Called)
    }

    async fn move_contact(
        &self,
        _: ContactId,
        _: &NewContact<'_>,
        _: RequestContext<'_>,
    ) -> Result<Option<ContactId>, CxoneError> {
        Ok(None)
    }

    async fn find_sms(&self, _: &str, _: RequestContext<'_>) -> Result<Option<String>, CxoneError> {
        Ok(None)
    }

    async fn send_sms(&self, sms: &Sms<'_>, _: RequestContext<'_>) -> Result<String, CxoneError> {
        pending!();
        self.admit(sms.send_by, sms.still_wanted).await?;
        pending!();
        let answer = {
            let mut world = self.world.lock().unwrap();
            match world.messaging {
                Behavior::Normal | Behavior::Empty => {
                    world.send_sms();
                    Ok("session".to_owned())
                }
                Behavior::Busy => Err(world.busy()),
                Behavior::Refuses => Err(world.refusal()),
                Behavior::Fails => Err(world.unknown()),
                Behavior::LosesAnswers | Behavior::Late => {
                    world.send_sms();
                    Err(world.unknown())
                }
            }
        };
        pending!();
        answer
    }

    fn is_up(&self, _: &[Endpoint]) -> bool {
        true
    }

    fn reports_outcomes(&self) -> bool {
        self.world.lock().unwrap().nice.is_some()
    }
}
