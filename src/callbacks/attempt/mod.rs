//! One attempt on a callback: forecast, placement, contact, SMS. Each step is committed before the next one starts, so
//! that after a crash the next attempt continues where this one ended.

mod change;
mod claim;
mod confirmation;
mod contact;
#[cfg(test)]
mod model_test;
mod outcome;
mod place;
mod ports;

use std::time::Duration;

use jiff::Timestamp;

use super::model::{Callback, Failure, FailureCode, Status};
use super::outcome::Waiters;
use crate::audit::{Action, Outcome};
use crate::clock::Clock;
use crate::cxone::{Class, Endpoint, RequestContext};
use crate::placement::NOTICE;
use crate::types::{PhoneNumber, TimeZone};

pub use ports::{CallbackGateway, CallbackRepository};

/// The lease of an attempt: how long a crash delays its callback.
const LEASE: Duration = Duration::from_secs(15);

/// The endpoints that scheduling a callback needs.
pub const FOR_CONTACTS: [Endpoint; 2] = [Endpoint::Forecast, Endpoint::Contacts];
/// The endpoints that an SMS needs.
pub const FOR_MESSAGES: [Endpoint; 1] = [Endpoint::Messages];

/// What to do if CXone has no forecast for the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WithoutForecast {
    /// The callback fails.
    Reject,
    /// The callback is placed at the start of its window.
    WindowStart,
}

/// The settings of attempts.
#[derive(Clone, Debug)]
pub struct AttemptSettings {
    pub without_forecast: WithoutForecast,
    /// The verified sender of SMS for campaigns that have none of their own.
    pub sms_from: PhoneNumber,
    /// The channel of SMS for campaigns that have none of their own, where CXone sends by channels.
    pub sms_channel: Option<String>,
    /// The zone of times in SMS for callbacks without one.
    pub default_zone: TimeZone,
}

/// Why an attempt stopped before it had a result.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("another attempt has claimed the callback, or it was cancelled")]
    ClaimLost,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes attempts on callbacks.
pub struct Attempts<R, G> {
    pub repository: R,
    pub gateway: G,
    pub clock: Clock,
    pub waiters: Waiters,
    pub settings: AttemptSettings,
}

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// When the lease of an attempt that starts or renews its lease now ends.
    pub fn lease_end(&self) -> Timestamp {
        self.clock.now() + LEASE
    }

    /// Makes one attempt on a claimed callback, and gets it as far as possible now.
    ///
    /// # Errors
    /// If it stops before it has a result. The callback is due again when the lease ends.
    pub async fn attempt(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        match callback.status {
            Status::Accepted => self.schedule(callback, class).await,
            Status::Scheduled => match callback.change.as_deref().cloned() {
                Some(change) => Box::pin(self.change(callback, change, class)).await,
                None => self.resume_confirmation(callback, class).await,
            },
            Status::Failed | Status::Expired | Status::Cancelled => Ok(()),
        }
    }

    /// Schedules a callback from the start, unless CXone may have its contact.
    async fn schedule(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        if callback.window_has_passed(self.clock.now(), NOTICE) {
            return self.expired(callback).await;
        }
        let rules = self.repository.rules(&callback.campaign_id).await?;
        if rules.settings.check_do_not_call && callback.dispatch_time.is_none() {
            let context = RequestContext { class, trace: &callback.trace };
            match self.gateway.is_on_do_not_call_list(&callback.phone_number, context).await {
                Ok(false) => {}
                Ok(true) => {
                    let detail = "a do-not-call list of CXone has the phone number";
                    callback.fail(Failure::new(FailureCode::OnDoNotCallList, detail));
                    return self.conclude(callback, Action::CallbackFailed, Outcome::Failed, Status::Accepted).await;
                }
                Err(error) => {
                    let before = callback.possible_contact();
                    return self.not_scheduled(callback, before, &error).await;
                }
            }
        }
        match callback.dispatch_time {
            Some(start) => self.send_again(callback, class, &rules, start).await,
            None => self.place_and_send(callback, class, &rules).await,
        }
    }

    /// The window ends too soon to call.
    async fn expired(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        callback.expire();
        self.conclude(callback, Action::CallbackExpired, Outcome::Failed, Status::Accepted).await
    }
}
