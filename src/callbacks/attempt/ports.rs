//! What an attempt needs of Postgres and of CXone. `CallbackStore` and `Cxone` implement it; `model_test` has models.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::cxone::{
    ContactAnswer, ContactId, Cxone, CxoneError, Endpoint, ForecastHour, NewContact, RequestContext, Sms, SmsSender,
    Withdrawal,
};
use crate::placement::{Decision, HourPlaces, PlanVersion};
use crate::types::{CampaignId, PhoneNumber, TimeWindow};

/// The stored callbacks.
pub trait CallbackRepository: Send + Sync {
    /// The rules of the campaign for where its callbacks may be placed.
    fn rules(&self, campaign: &CampaignId) -> impl Future<Output = Result<PlacementRules, sqlx::Error>> + Send;

    /// Places a callback. `choose` gets the plan of the campaign, and what else is placed and planned in the hour that begins at
    /// each of `hours`, and decides. Placements in one campaign run one after the other. Returns false if the attempt has lost
    /// its claim. Changes nothing if `choose` returns none.
    fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(Option<PlanVersion>, &[HourPlaces]) -> Option<Decision> + Send,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Stores the callback with its audit entry. Returns false, and stores nothing, if the attempt has lost its claim.
    fn save(&self, callback: &Callback, entry: Option<Entry>)
    -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Whether this attempt has the claim of the callback.
    fn has_claim(&self, id: Uuid, attempt: i32) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Stores an audit entry about something that was changed in CXone only.
    fn record(&self, entry: Entry) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The same, together with its change and its window.
    fn save_change(
        &self,
        callback: &Callback,
        entry: Option<Entry>,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

/// The part of CXone that callbacks use.
pub trait CallbackGateway: Send + Sync {
    /// The hours of the campaign's forecast that overlap the window.
    fn forecast(
        &self,
        campaign: &CampaignId,
        window: &TimeWindow,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Vec<ForecastHour>, CxoneError>> + Send;

    /// The skill that makes the calls of the campaign's callbacks. None where CXone has no skills.
    fn contact_skill(
        &self,
        campaign: &CampaignId,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Option<i64>, CxoneError>> + Send;

    /// Creates a contact, or finds that it exists. It may be sent again under the same id.
    fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<ContactAnswer, CxoneError>> + Send;

    /// Whether a contact that exists can be withdrawn and moved.
    fn can_change_contacts(&self) -> bool;

    /// Withdraws a contact. It may be sent again.
    fn withdraw_contact(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Withdrawal, CxoneError>> + Send;

    /// Moves a contact, and returns its id. None if CXone does not have it any more. It may be sent again.
    fn move_contact(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Option<ContactId>, CxoneError>> + Send;

    /// Whether a do-not-call list of CXone has the number. False where CXone has no such lists.
    fn is_on_do_not_call_list(
        &self,
        number: &PhoneNumber,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<bool, CxoneError>> + Send;

    /// The sender of an SMS, of the two that are given; none where CXone needs a channel and there is none.
    fn sms_sender<'a>(&self, number: &'a PhoneNumber, channel: Option<&'a str>) -> Option<SmsSender<'a>>;

    /// The id of the SMS with this reference, where CXone finds it. None says nothing.
    fn find_sms(
        &self,
        reference: &str,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<Option<String>, CxoneError>> + Send;

    /// Sends an SMS, and returns the id of CXone's messaging session.
    fn send_sms(
        &self,
        sms: &Sms<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<String, CxoneError>> + Send;

    /// Whether requests are sent to these endpoints at all now.
    fn is_up(&self, endpoints: &[Endpoint]) -> bool;

    /// Whether CXone reports what became of the calls.
    fn reports_outcomes(&self) -> bool;
}

impl CallbackGateway for Arc<Cxone> {
    async fn forecast(
        &self,
        campaign: &CampaignId,
        window: &TimeWindow,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        Cxone::forecast(self, campaign, window, context).await
    }

    async fn contact_skill(
        &self,
        campaign: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<Option<i64>, CxoneError> {
        match self.outcomes() {
            Some(outcomes) => outcomes.skill_of(campaign, context).await.map(Some),
            None => Ok(None),
        }
    }

    async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        Cxone::create_contact(self, contact, context).await
    }

    fn can_change_contacts(&self) -> bool {
        self.contact_changes().is_some()
    }

    async fn withdraw_contact(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<Withdrawal, CxoneError> {
        self.contact_changes().ok_or_else(unchangeable)?.withdraw(id, contact, context).await
    }

    async fn move_contact(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<Option<ContactId>, CxoneError> {
        self.contact_changes().ok_or_else(unchangeable)?.move_to(id, contact, context).await
    }

    async fn is_on_do_not_call_list(
        &self,
        number: &PhoneNumber,
        context: RequestContext<'_>,
    ) -> Result<bool, CxoneError> {
        Cxone::is_on_do_not_call_list(self, number, context).await
    }

    fn sms_sender<'a>(&self, number: &'a PhoneNumber, channel: Option<&'a str>) -> Option<SmsSender<'a>> {
        Cxone::sms_sender(self, number, channel)
    }

    async fn find_sms(&self, reference: &str, context: RequestContext<'_>) -> Result<Option<String>, CxoneError> {
        Cxone::find_sms(self, reference, context).await
    }

    async fn send_sms(&self, sms: &Sms<'_>, context: RequestContext<'_>) -> Result<String, CxoneError> {
        Cxone::send_sms(self, sms, context).await
    }

    fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        Cxone::is_up(self, endpoints)
    }

    fn reports_outcomes(&self) -> bool {
        self.outcomes().is_some()
    }
}

/// A change was stored for an API that had changes, and the service has another one now.
fn unchangeable() -> CxoneError {
    CxoneError::Rejected { status: 422, reason: "the API of CXone in use cannot change a contact that exists".into() }
}
