//! What an attempt needs of Postgres and of CXone. `CallbackStore` and `Cxone` implement it; `model_test` has models.

use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::cxone::{ContactAnswer, Cxone, CxoneError, Endpoint, ForecastHour, NewContact, RequestContext, Sms};
use crate::types::{CampaignId, TimeWindow};

/// The stored callbacks.
pub trait CallbackRepository: Send + Sync {
    /// The rules of the campaign for where its callbacks may be placed.
    fn rules(&self, campaign: &CampaignId) -> impl Future<Output = Result<PlacementRules, sqlx::Error>> + Send;

    /// Places a callback. `choose` gets the number of other callbacks of the campaign in the hour that begins at each of
    /// `hours`, and returns the dispatch time. Placements in one campaign run one after the other. Returns false if the
    /// attempt has lost its claim. Changes nothing if `choose` returns none.
    fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        choose: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Stores the callback with its audit entry. Returns false, and stores nothing, if the attempt has lost its claim.
    fn save(&self, callback: &Callback, entry: Option<Entry>)
    -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
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

    /// Creates a contact, or finds that it exists. It may be sent again under the same id.
    fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<ContactAnswer, CxoneError>> + Send;

    /// Sends an SMS, and returns the id of CXone's messaging session.
    fn send_sms(
        &self,
        sms: &Sms<'_>,
        context: RequestContext<'_>,
    ) -> impl Future<Output = Result<String, CxoneError>> + Send;

    /// Whether requests are sent to these endpoints at all now.
    fn is_up(&self, endpoints: &[Endpoint]) -> bool;
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

    async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        Cxone::create_contact(self, contact, context).await
    }

    async fn send_sms(&self, sms: &Sms<'_>, context: RequestContext<'_>) -> Result<String, CxoneError> {
        Cxone::send_sms(self, sms, context).await
    }

    fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        Cxone::is_up(self, endpoints)
    }
}
