//! The SMS of an attempt: sent after CXone has confirmed the contact, and at most once.

use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository, FOR_MESSAGES};
use crate::audit::{Action, Outcome};
use crate::callbacks::confirmation::confirmation_text;
use crate::callbacks::model::{Callback, Confirmation, Failure, FailureCode, Status};
use crate::callbacks::retry::{Verdict, verdict};
use crate::campaigns::PlacementRules;
use crate::cxone::{Class, CxoneError, RequestContext, Sms, SmsSender};

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Sends the SMS of a callback that an earlier attempt has scheduled.
    pub(super) async fn resume_confirmation(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        if callback.confirmation_started_at.is_some() {
            return self.look_up_confirmation(callback, class).await;
        }
        let rules = self.repository.rules(&callback.campaign_id).await?;
        callback.confirmation_started_at = Some(self.clock.now());
        callback.extend_lease(self.lease_end());
        self.save(callback).await?;
        self.send_confirmation(callback, class, &rules).await
    }

    /// The sender of a campaign's SMS; none where CXone sends by channels, and none is set.
    pub(super) fn sms_sender<'a>(&'a self, rules: &'a PlacementRules) -> Option<SmsSender<'a>> {
        let number = rules.settings.sms_from.as_ref().unwrap_or(&self.settings.sms_from);
        let channel = rules.settings.sms_channel_id.as_ref().or(self.settings.sms_channel.as_ref());
        self.gateway.sms_sender(number, channel.map(String::as_str))
    }

    /// An earlier attempt may have sent the SMS. It is not sent again.
    async fn look_up_confirmation(&self, callback: &mut Callback, class: Class) -> Result<(), AttemptError> {
        let context = RequestContext { class, trace: &callback.trace };
        if let Ok(Some(session_id)) = self.gateway.find_sms(&callback.reference(), context).await {
            callback.confirm(session_id);
            return self.conclude(callback, Action::CallbackConfirmed, Outcome::Succeeded, Status::Scheduled).await;
        }
        let detail = "the service stopped while the SMS was being sent";
        let failure = Failure::new(FailureCode::SmsOutcomeUnknown, detail);
        self.not_confirmed(callback, Confirmation::Unknown, failure).await
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
        let (zone, _) = callback.text_zone();
        let zone = zone.as_ref().unwrap_or(&self.settings.default_zone);
        let reference = callback.reference();
        let message = confirmation_text(&callback.language, zone, start, &reference);
        let Some(from) = self.sms_sender(rules) else {
            let failure = Failure::new(FailureCode::SmsTooLate, "the channel of the SMS was removed");
            return self.not_confirmed(callback, Confirmation::Failed, failure).await;
        };
        let claim = self.claim_of(callback, false);
        let sms = Sms {
            to: &callback.phone_number,
            from,
            callback_id: callback.id,
            reference: &reference,
            message: &message,
            send_by: Some(start),
            still_wanted: &claim,
        };
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
