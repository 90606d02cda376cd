//! The contact of an attempt. CXone is asked for the contact of one callback as often as necessary, so that it has exactly one.

use jiff::{SignedDuration, Timestamp};

use super::place::Placement;
use super::{AttemptError, Attempts, CallbackGateway, CallbackRepository};
use crate::callbacks::model::{Callback, Contact, Failure, FailureCode, PossibleContact, START_PASSED_AFTER};
use crate::campaigns::PlacementRules;
use crate::cxone::{Class, ContactAnswer, CxoneError, NewContact, RequestContext};
use crate::placement::NOTICE;

/// A contact is sent at least this long before its start, which must be in the future when it arrives.
pub(super) const SEND_BEFORE: SignedDuration = SignedDuration::from_secs(5);
/// CXone may show a start rounded to a minute.
const ROUNDED_BY: SignedDuration = SignedDuration::from_mins(1);
/// How often one attempt places a callback whose start passed before CXone had the contact.
const MAX_PLACEMENTS: usize = 3;
/// The notice of the second and later placements: the attempt was too slow for the shorter one.
const LONGER_NOTICE: SignedDuration = SignedDuration::from_secs(60);

impl<R: CallbackRepository, G: CallbackGateway> Attempts<R, G> {
    /// Sends a contact that CXone may have again, even if its start has passed. CXone answers that it exists, or creates
    /// it. If CXone refuses a start that has passed, it has no contact with it, and the callback is placed again.
    pub(super) async fn send_again(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
        start: Timestamp,
    ) -> Result<(), AttemptError> {
        callback.extend_lease(self.lease_end());
        self.save(callback).await?;
        match self.send_contact(callback, class, start, None, true).await {
            Ok(ContactAnswer::Absent) => {
                callback.restore_placement(PossibleContact::NONE);
                Box::pin(self.schedule(callback, class)).await
            }
            Ok(answer) => match self.confirmed_contact(callback, class, answer, start).await {
                Ok(Some(contact)) => self.scheduled(callback, class, rules, contact).await,
                Ok(None) => self.start_unknown(callback).await,
                Err(error) => self.not_scheduled(callback, callback.possible_contact(), &error).await,
            },
            Err(error) if refuses_start(&error) && start + START_PASSED_AFTER < self.clock.now() => {
                self.place_and_send(callback, class, rules).await
            }
            Err(error) => self.not_scheduled(callback, callback.possible_contact(), &error).await,
        }
    }

    /// Places the callback and sends its contact. Places it again if the start passes before CXone has the contact.
    pub(super) async fn place_and_send(
        &self,
        callback: &mut Callback,
        class: Class,
        rules: &PlacementRules,
    ) -> Result<(), AttemptError> {
        let before = callback.possible_contact();
        let (mut notice, mut last_error) = (NOTICE, CxoneError::NotSentInTime);
        for placement in 0..MAX_PLACEMENTS {
            let start = match self.place(callback, class, rules, notice).await? {
                Placement::At(start) => start,
                Placement::Settled => return Ok(()),
                Placement::Nowhere { .. } if placement > 0 => break,
                Placement::Nowhere { failure, may_change } => {
                    return self.without_placement(callback, failure, may_change).await;
                }
            };
            match self.send_contact(callback, class, start, Some(start - SEND_BEFORE), before.exists()).await {
                Ok(ContactAnswer::Created { contact: id }) => {
                    return self.scheduled(callback, class, rules, Contact { id, start }).await;
                }
                // This start was not sent before, so the contact that exists has an earlier one.
                Ok(ContactAnswer::Exists { contact: id, at, .. }) => {
                    let start = at.filter(|at| callback.window.contains(*at)).or(before.only_start());
                    return match start {
                        Some(start) => self.scheduled(callback, class, rules, Contact { id, start }).await,
                        None => self.start_unknown(callback).await,
                    };
                }
                Ok(ContactAnswer::Absent) => last_error = CxoneError::NotSentInTime,
                Err(error) if start_may_have_passed(&error, start, self.clock.now()) => last_error = error,
                Err(error) => return self.not_scheduled(callback, before, &error).await,
            }
            callback.restore_placement(before);
            notice = LONGER_NOTICE;
        }
        self.not_scheduled(callback, before, &last_error).await
    }

    /// The contact that CXone has; none if its start cannot be known.
    ///
    /// If the contact was sent with two starts, the second one is right provided that CXone looks up an existing contact
    /// before it checks the start: its refusal of the first start then meant that there was no contact. Sending the first
    /// start again, which has passed, shows whether CXone does so.
    async fn confirmed_contact(
        &self,
        callback: &Callback,
        class: Class,
        answer: ContactAnswer,
        sent: Timestamp,
    ) -> Result<Option<Contact>, CxoneError> {
        let (id, at) = match answer {
            ContactAnswer::Created { contact: id } => return Ok(Some(Contact { id, start: sent })),
            ContactAnswer::Exists { contact, at, .. } => (contact, at),
            ContactAnswer::Absent => return Ok(None),
        };
        if let Some(start) = at.filter(|at| callback.window.contains(*at)) {
            return Ok(Some(Contact { id, start }));
        }
        if at.is_some_and(|at| at.duration_since(sent).abs() >= ROUNDED_BY) {
            // Somebody has moved it in CXone.
            return Ok(None);
        }
        let Some(earlier) = callback.earlier_dispatch_time else { return Ok(Some(Contact { id, start: sent })) };
        if earlier == sent {
            // The database was restored from a backup (docs/after-restore.sql): CXone may have it with any start.
            return Ok(None);
        }
        match self.send_contact(callback, class, earlier, None, true).await {
            Ok(ContactAnswer::Exists { .. }) => Ok(Some(Contact { id, start: sent })),
            Ok(ContactAnswer::Created { .. }) => Ok(Some(Contact { id, start: earlier })),
            Ok(ContactAnswer::Absent) => Ok(None),
            Err(error) if refuses_start(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// CXone has the contact with one of several starts. No SMS can be sent, and another request gives no more information.
    async fn start_unknown(&self, callback: &mut Callback) -> Result<(), AttemptError> {
        let detail = "CXone has the contact, but does not say for which of the times with which it was sent";
        callback.defer_to_window_end(Failure::new(FailureCode::CxoneTimeUnknown, detail));
        self.save(callback).await
    }

    async fn send_contact(
        &self,
        callback: &Callback,
        class: Class,
        start: Timestamp,
        send_by: Option<Timestamp>,
        may_exist: bool,
    ) -> Result<ContactAnswer, CxoneError> {
        let claim = self.claim_of(callback, may_exist);
        let contact = NewContact {
            callback_id: callback.id,
            may_exist,
            campaign_id: &callback.campaign_id,
            skill: callback.skill,
            phone_number: &callback.phone_number,
            at: start,
            language: &callback.language,
            window: callback.window,
            send_by,
            still_wanted: &claim,
        };
        let answer = self.gateway.create_contact(&contact, RequestContext { class, trace: &callback.trace }).await?;
        if let ContactAnswer::Exists { deleted, .. } = &answer {
            self.record_deleted(callback, deleted).await;
        }
        Ok(answer)
    }

    /// Records contacts that were deleted in CXone, because the callback has another one. A failure is logged: the callback goes
    /// on.
    async fn record_deleted(&self, callback: &Callback, deleted: &[i64]) {
        for number in deleted {
            let entry = callback.contact_deleted_entry(self.clock.now(), *number, "duplicate");
            if let Err(error) = self.repository.record(entry).await {
                tracing::error!(contact = number, error = %error, "the deletion of a contact could not be recorded");
            }
        }
    }
}

/// Whether CXone may have refused the start. It refuses one that is not in the future like any other fault; the text of
/// the answer is not interpreted.
fn refuses_start(error: &CxoneError) -> bool {
    matches!(error, CxoneError::Rejected { status: 400 | 422, .. } | CxoneError::ContactRefused { .. })
}

/// Whether the start, which was in the future when it was chosen, may have passed on the way to CXone.
fn start_may_have_passed(error: &CxoneError, start: Timestamp, now: Timestamp) -> bool {
    matches!(error, CxoneError::NotSentInTime) || (refuses_start(error) && start <= now + NOTICE)
}
