//! The SMS of an attempt: sent after CXone has confirmed the contact, and at most once.

use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, FOR_MESSAGES};
use crate::audit::{Action, Outcome};
use crate::callbacks::confirmation::confirmation_text;
use crate::callbacks::model::{Callback, Confirmation, Failure, FailureCode, Status};
use crate::callbacks::retry::{Verdict, verdict};
use crate::campaigns::PlacementRules;
use crate::cxone::{Class, CxoneError, RequestContext, Sms};

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Sends the SMS of a callback that an earlier attempt has scheduled.
    pub(super) async fn resume_confirmation(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        if callback.confirmation_started_at.is_some() {
            let detail = "the service stopped while the SMS was being sent";
            let failure = Failure::new(FailureCode::SmsOutcomeUnknown, detail);
            return self.not_confirmed(callback, Confirmation::Unknown, failure).await;
        }
        let rules = self.repository.rules(&callback.campaign_id).await?;
        callback.confirmation_started_at = Some(self.clock.now());
        callback.extend_lease(self.lease_end());
        self.save(callback).await?;
        self.send_confirmation(callback, class, &rules).await
    }

    /// Sends the SMS, whose start is committed. It is sent again only if it was certainly not sent.
    pub(super) async fn send_confirmation(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
    ) -> Result<(), AttemptError> {
        let Some(start) = callback.dispatch_time.filter(|start| *start > self.clock.now()) else {
            let detail = "the time of the call came before the SMS could be sent";
            let failure = Failure::new(FailureCode::SmsTooLate, detail);
            return self.not_confirmed(callback, Confirmation::Failed, failure).await;
        };
        let zone = callback.timezone.as_ref().unwrap_or(&self.settings.default_zone);
        let message = confirmation_text(&callback.language, zone, start, callback.id);
        let from = rules.settings.sms_from.as_ref().unwrap_or(&self.settings.sms_from);
        let sms = Sms { to: &callback.phone_number, from, message: &message, send_by: Some(start) };
        match self.gateway.send_sms(&sms, RequestContext { class, trace: &callback.trace }).await {
            Ok(session_id) => {
                callback.confirm(session_id);
                self.conclude(callback, Action::CallbackConfirmed, Outcome::Succeeded, Status::Scheduled).await
            }
            Err(error) => self.sms_failed(callback, &error).await,
        }
    }

    async fn sms_failed(&self, callback: &mut Callback, error: &CxoneError) -> Result<(), AttemptError> {
        match verdict(error, callback.attempts, self.gateway.is_up(&FOR_MESSAGES), &self.clock) {
            Verdict::Final => self.not_confirmed(callback, Confirmation::Failed, error.into()).await,
            Verdict::Unknown { .. } => self.not_confirmed(callback, Confirmation::Unknown, error.into()).await,
            Verdict::NotDone { wait } => {
                callback.reset_confirmation();
                self.defer(callback, error.into(), wait).await
            }
        }
    }

    async fn not_confirmed(
        &self,
        callback: &mut Callback,
        confirmation: Confirmation,
        failure: Failure,
    ) -> Result<(), AttemptError> {
        callback.fail_confirmation(confirmation, failure);
        let outcome = if confirmation == Confirmation::Unknown { Outcome::Unknown } else { Outcome::Failed };
        self.conclude(callback, Action::CallbackConfirmationFailed, outcome, Status::Scheduled).await
    }
}
