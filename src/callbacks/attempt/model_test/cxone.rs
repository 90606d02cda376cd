//! The model of CXone.

use futures::pending;
use jiff::{SignedDuration, Timestamp};

use super::world::{Behavior, Shared};
use crate::callbacks::attempt::CallbackGateway;
use crate::clock::Clock;
use crate::cxone::{ContactAnswer, CxoneError, Endpoint, ForecastHour, NewContact, RequestContext, Sms};
use crate::types::{CampaignId, TimeWindow};

pub struct ModelGateway {
    pub world: Shared,
    pub clock: Clock,
}

impl ModelGateway {
    /// A request is sent in time or not at all.
    fn sent_in_time(&self, send_by: Option<Timestamp>) -> Result<(), CxoneError> {
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

    async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        _: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        pending!();
        self.sent_in_time(contact.send_by)?;
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

    async fn send_sms(&self, sms: &Sms<'_>, _: RequestContext<'_>) -> Result<String, CxoneError> {
        pending!();
        self.sent_in_time(sms.send_by)?;
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
}
