//! The SMS of an attempt: sent once its contact exists, and at most once.

use super::ports::{CallbackGateway, CallbackRepository};
use super::{AttemptError, Attempts, FOR_MESSAGES};
use crate::audit::{Action, Outcome};
use crate::callbacks::confirmation::confirmation_text;
use crate::callbacks::model::{Callback, Confirmation, Failure, Status};
use crate::callbacks::retry::{Verdict, verdict};
use crate::campaigns::PlacementRules;
use crate::cxone::{Asker, Class, CxoneError, Sms};

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Takes up the SMS of a callback whose contact an earlier attempt made.
    pub(super) async fn resume_confirmation(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        if callback.confirmation_started_at.is_some() {
            let failure = Failure::new("sms-outcome-unknown", "the service stopped while the SMS was being sent");
            return self.unconfirmed(callback, Confirmation::Unknown, failure).await;
        }
        let rules = self.repository.rules(&callback.campaign_id).await?;
        callback.confirmation_started_at = Some(self.clock.now());
        callback.leased(self.lease_end());
        self.save(callback).await?;
        self.confirm(callback, class, &rules).await
    }

    /// Sends the SMS, whose start is committed. At most once: what is not certainly unsent is not sent again.
    pub(super) async fn confirm(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
    ) -> Result<(), AttemptError> {
        let at = callback.dispatch_time.filter(|at| *at > self.clock.now());
        let Some(at) = at else {
            let failure = Failure::new("sms-too-late", "the time of the call came before the SMS could be sent");
            return self.unconfirmed(callback, Confirmation::Failed, failure).await;
        };
        let zone = callback.timezone.as_ref().unwrap_or(&self.settings.default_zone);
        let message = confirmation_text(&callback.language, zone, at, callback.id);
        let from = rules.settings.sms_from.as_ref().unwrap_or(&self.settings.sms_from);
        let sms = Sms { to: &callback.phone_number, from, message: &message, send_by: Some(at) };
        match self.gateway.send_sms(&sms, Asker { class, trace: &callback.trace }).await {
            Ok(session) => {
                callback.confirmation_ended(Confirmation::Sent, Some(session), None);
                self.conclude(callback, Action::CallbackConfirmed, Outcome::Succeeded, Status::Scheduled).await
            }
            Err(error) => self.not_confirmed(callback, &error).await,
        }
    }

    async fn not_confirmed(&self, callback: &mut Callback, error: &CxoneError) -> Result<(), AttemptError> {
        let failure = Failure::new(error.code(), error.to_string());
        match verdict(error, callback.attempts, self.gateway.is_up(&FOR_MESSAGES), &self.clock) {
            Verdict::Final => self.unconfirmed(callback, Confirmation::Failed, failure).await,
            Verdict::Unknown { .. } => self.unconfirmed(callback, Confirmation::Unknown, failure).await,
            Verdict::NotDone { wait } => {
                callback.confirmation_not_started();
                self.put_off(callback, failure, wait).await
            }
        }
    }

    async fn unconfirmed(
        &self,
        callback: &mut Callback,
        how: Confirmation,
        failure: Failure,
    ) -> Result<(), AttemptError> {
        callback.confirmation_ended(how, None, Some(failure));
        let outcome = if how == Confirmation::Unknown { Outcome::Unknown } else { Outcome::Failed };
        self.conclude(callback, Action::CallbackConfirmationFailed, outcome, Status::Scheduled).await
    }
}
