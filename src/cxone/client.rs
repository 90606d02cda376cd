//! The operations of CXone's API that Ringback uses.

use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;

use super::contact;
use super::endpoint::Operation;
use super::error::CxoneError;
use super::forecasts::{Forecasts, Range};
use super::gate::StillWanted;
use super::model::{ContactAnswer, DialerCampaign, ForecastHour, NewContact, RequestContext, Sms};
use super::settings::Settings;
use super::transport::{Call, Transport};
use super::wire;
use crate::clock::Clock;
use crate::types::{CampaignId, TimeWindow};

/// The time that a call may take beyond its requests: the waits for the budget.
const CALL_SLACK: Duration = Duration::from_secs(5);

/// A campaign's id needs no escaping: [`CampaignId`] has only characters that a path may contain.
fn campaign_path(campaign_id: &CampaignId) -> String {
    format!("/api/v2/outbound/campaigns/{campaign_id}")
}

/// The client. One for all requests of a replica.
pub struct Cxone {
    pub(super) transport: Transport,
    forecasts: Forecasts,
    clock: Clock,
    call_within: Duration,
}

impl Cxone {
    /// A client with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(settings: Settings, pool: PgPool, clock: Clock) -> Result<Self, reqwest::Error> {
        Self::through(None, settings, pool, clock)
    }

    /// A client that sends every request through this proxy, if there is one.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up, or the proxy's URL is invalid.
    pub fn through(
        proxy: Option<&SecretString>,
        settings: Settings,
        pool: PgPool,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let call_within = 4 * settings.timeout + CALL_SLACK;
        let transport = Transport::new(settings, proxy, pool, clock.clone())?;
        Ok(Self { transport, forecasts: Forecasts::default(), clock, call_within })
    }

    /// The longest that a call may take: a token, the request, a new token and the request again.
    pub fn call_within(&self) -> Duration {
        self.call_within
    }

    async fn in_time<T>(
        &self,
        late: fn(String) -> CxoneError,
        call: impl Future<Output = Result<T, CxoneError>>,
    ) -> Result<T, CxoneError> {
        tokio::time::timeout(self.call_within, call)
            .await
            .unwrap_or_else(|_| Err(late(format!("no answer in {} s", self.call_within.as_secs()))))
    }

    /// Reads a campaign.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `NotFound` where CXone has no such campaign.
    pub async fn read_campaign(
        &self,
        campaign_id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let call = Call {
            operation: Operation::ReadCampaign,
            method: Method::GET,
            path: &campaign_path(campaign_id),
            query: &[],
            body: None,
            context,
            send_by: None,
            still_wanted: None,
        };
        self.in_time(unavailable, async { self.transport.call::<wire::Campaign>(call).await?.read(campaign_id) }).await
    }

    /// Updates a campaign, and returns it as CXone shows it then. `still_wanted` is asked each time before the request is
    /// sent.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat. `Conflict` where someone changed the campaign since it was read;
    /// `Superseded` where the change is not wanted any more. After an unknown outcome the change may have been made.
    pub async fn update_campaign(
        &self,
        campaign_id: &CampaignId,
        wanted: &DialerCampaign,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        let body = wire::campaign_update(wanted);
        let call = Call {
            operation: Operation::UpdateCampaign,
            method: Method::PUT,
            path: &campaign_path(campaign_id),
            query: &[],
            body: Some(&body),
            context,
            send_by: None,
            still_wanted: Some(still_wanted),
        };
        self.in_time(unknown, async { self.transport.call::<wire::Campaign>(call).await?.read(campaign_id) }).await
    }

    /// The hours of a campaign's forecast that overlap the window, in order of time, at most five minutes old. May be empty.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat.
    pub async fn forecast(
        &self,
        campaign_id: &CampaignId,
        window: &TimeWindow,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let fetch = |range| self.fetch_forecast(campaign_id, range, context);
        self.in_time(unavailable, self.forecasts.get(campaign_id, window, &self.clock, fetch)).await
    }

    async fn fetch_forecast(
        &self,
        campaign_id: &CampaignId,
        range: Range,
        context: RequestContext<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let (start, end) = (range.start.to_string(), range.end.to_string());
        let query =
            [("campaignId", campaign_id.as_str()), ("startTime", &start), ("endTime", &end), ("granularity", "hourly")];
        let call = Call {
            operation: Operation::Forecast,
            method: Method::GET,
            path: "/api/v2/outbound/forecast",
            query: &query,
            body: None,
            context,
            send_by: None,
            still_wanted: None,
        };
        self.transport.call::<wire::Forecast>(call).await?.hours_within(range)
    }

    /// Creates a contact, or finds that it exists. The call is safe to repeat with the same id.
    ///
    /// # Errors
    /// The failure of CXone. `ContactRefused` where it refused this contact by its id. After an unknown outcome the contact
    /// may exist.
    pub async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        let body = json!({"contact": {
            "contactId": contact.contact_id,
            "campaignId": contact.campaign_id,
            "phone": contact.phone_number.as_str(),
            "scheduledStartDateTime": contact.at,
            "attributes": {
                "callback_requested_by": "ivr",
                "callback_language": contact.language,
                "callback_window_start": contact.window.start(),
                "callback_window_end": contact.window.end(),
            },
            "retry": {"retryCount": 3, "retryInterval": "PT15M"},
        }});
        let call = Call {
            operation: Operation::CreateContact,
            method: Method::POST,
            path: "/api/v2/outbound/contacts",
            query: &[],
            body: Some(&body),
            context,
            send_by: contact.send_by,
            still_wanted: None,
        };
        let answered = async {
            match self.transport.call::<contact::ContactCreated>(call).await {
                Ok(created) => created.confirm(contact.contact_id),
                Err(failed) => contact::not_created(failed, contact.contact_id),
            }
        };
        self.in_time(unknown, answered).await
    }

    /// Sends an SMS, and returns the id of CXone's session. Not safe to repeat after an unknown outcome.
    ///
    /// # Errors
    /// The failure of CXone. After an unknown outcome, or an answer in an unknown format, the SMS may have been sent.
    pub async fn send_sms(&self, sms: &Sms<'_>, context: RequestContext<'_>) -> Result<String, CxoneError> {
        let body = json!({
            "to": sms.to.as_str(), "from": sms.from.as_str(), "message": sms.message, "channels": ["sms"],
        });
        let call = Call {
            operation: Operation::SendSms,
            method: Method::POST,
            path: "/api/v2/messaging/sessions",
            query: &[],
            body: Some(&body),
            context,
            send_by: sms.send_by,
            still_wanted: None,
        };
        self.in_time(unknown, async { self.transport.call::<wire::SessionCreated>(call).await?.session_id() }).await
    }
}

fn unknown(reason: String) -> CxoneError {
    CxoneError::OutcomeUnknown { reason }
}

/// The outcome of a call that changes nothing.
fn unavailable(reason: String) -> CxoneError {
    CxoneError::Unavailable { retry_after: None, reason }
}
