//! What an attempt needs of Postgres and of CXone. The service's own are the store and the client; `model_test` has models.

use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::campaigns::PlacementRules;
use crate::cxone::{Asker, ContactAnswer, Cxone, CxoneError, Endpoint, ForecastHour, NewContact, Sms};
use crate::types::{CampaignId, TimeWindow};

/// Where callbacks are kept.
pub trait CallbackRepository: Send + Sync {
    /// What the campaign says about where its callbacks may be placed.
    fn rules(&self, campaign: &CampaignId) -> impl Future<Output = Result<PlacementRules, sqlx::Error>> + Send;

    /// Places a callback: `decide` is told how many other callbacks of the campaign lie in the hour from each of
    /// `hours`, and picks the moment. All who place in the campaign do so one after the other. False where the attempt
    /// has lost its claim; nothing is changed where `decide` finds no moment.
    fn place(
        &self,
        callback: &mut Callback,
        hours: &[Timestamp],
        decide: impl FnOnce(&[u32]) -> Option<Timestamp> + Send,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Writes what an attempt has made of a callback, with its audit entry. False where the attempt has lost its claim:
    /// nothing is written then.
    fn save(&self, callback: &Callback, entry: Option<Entry>)
    -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

/// CXone, as far as callbacks go.
pub trait CallbackGateway: Send + Sync {
    /// The hours of the campaign's forecast that overlap the window.
    fn forecast(
        &self,
        campaign: &CampaignId,
        window: &TimeWindow,
        asker: Asker<'_>,
    ) -> impl Future<Output = Result<Vec<ForecastHour>, CxoneError>> + Send;

    /// Makes a contact, or finds that it exists. Safe to send again under the same id.
    fn create_contact(
        &self,
        contact: &NewContact<'_>,
        asker: Asker<'_>,
    ) -> impl Future<Output = Result<ContactAnswer, CxoneError>> + Send;

    /// Sends an SMS, and gives the id of CXone's session.
    fn send_sms(&self, sms: &Sms<'_>, asker: Asker<'_>) -> impl Future<Output = Result<String, CxoneError>> + Send;

    /// Whether these endpoints are asked at all now.
    fn is_up(&self, endpoints: &[Endpoint]) -> bool;
}

impl CallbackGateway for Arc<Cxone> {
    async fn forecast(
        &self,
        campaign: &CampaignId,
        window: &TimeWindow,
        asker: Asker<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        Cxone::forecast(self, campaign, window, asker).await
    }

    async fn create_contact(&self, contact: &NewContact<'_>, asker: Asker<'_>) -> Result<ContactAnswer, CxoneError> {
        Cxone::create_contact(self, contact, asker).await
    }

    async fn send_sms(&self, sms: &Sms<'_>, asker: Asker<'_>) -> Result<String, CxoneError> {
        Cxone::send_sms(self, sms, asker).await
    }

    fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        Cxone::is_up(self, endpoints)
    }
}
