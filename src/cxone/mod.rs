//! The one client of NICE CXone. It knows no slice's model, and its wire shapes never leave it.
//!
//! The calls are those of the `v2` contract; a tenant of another shape would be another implementation of the same
//! few questions: what is the forecast, make this contact, send this text, read or change this campaign.

mod breaker;
mod budget;
mod contact;
mod endpoint;
mod error;
mod forecasts;
mod gate;
mod ledger;
mod ledger_store;
mod memory;
mod model;
mod pieces;
mod slowest;
mod token;
mod transport;
mod wire;

use std::time::Duration;

use endpoint::Operation;
pub use endpoint::{Condition, Endpoint};
pub use error::CxoneError;
use forecasts::Forecasts;
pub use gate::StillWanted;
pub use ledger::{Class, Decision};
pub use model::{CampaignState, ContactAnswer, DialerCampaign, ForecastHour, NewContact, Sms};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use transport::{Call, Transport};

use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::{CampaignId, TimeWindow};

/// What a call may need beyond its requests: waits for the budget.
const CALL_SLACK: Duration = Duration::from_secs(5);

/// How the client's id and secret are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthStyle {
    /// HTTP Basic.
    Basic,
    /// As form fields.
    Form,
}

/// Where CXone is, and as whom to speak to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme and host, without a slash at the end.
    pub base_url: String,
    /// The OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// How both are sent.
    pub auth: AuthStyle,
    /// For one request.
    pub timeout: Duration,
    /// The client's quota in any minute, shared by all replicas of one database.
    pub requests_per_minute: u32,
}

/// On whose behalf CXone is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// How urgent it is.
    pub class: Class,
    /// The trace that the request belongs to.
    pub trace: &'a Traceparent,
}

/// A campaign's id needs no escaping: [`CampaignId`] has only characters that a path may hold.
fn campaign_path(campaign_id: &CampaignId) -> String {
    format!("/api/v2/outbound/campaigns/{campaign_id}")
}

/// The client: one for all that happens in a replica.
pub struct Cxone {
    transport: Transport,
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
        let call_within = 4 * settings.timeout + CALL_SLACK;
        let transport = Transport::new(settings, pool, clock.clone())?;
        Ok(Self { transport, forecasts: Forecasts::default(), clock, call_within })
    }

    /// No call takes longer: a token, the request, a new token and the request again.
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

    /// How CXone is.
    pub fn condition(&self) -> Condition {
        self.transport.gate.condition()
    }

    /// Whether requests to these endpoints would be let out now, as far as this replica knows without asking. The token
    /// endpoint counts where a token is needed, here and in what follows.
    pub fn looks_open(&self, class: Class, endpoints: &[Endpoint]) -> bool {
        self.transport.looks_open(class, endpoints)
    }

    /// Whether these endpoints are asked at all now: they are not while one is down or CXone refuses the client.
    pub fn is_up(&self, endpoints: &[Endpoint]) -> bool {
        self.transport.is_up(endpoints)
    }

    /// The longest that a request to this endpoint took in this replica within about the last ten minutes, from being sent
    /// until it was answered, failed or given up; zero where there was none.
    pub fn slowest_lately(&self, endpoint: Endpoint) -> Duration {
        self.transport.gate.slowest_lately(endpoint)
    }

    /// Whether work that needs `count` requests to these endpoints may be started in the background, or for how long
    /// not.
    pub async fn may_start(&self, endpoints: &[Endpoint], count: u32) -> Decision {
        self.transport.may_start(endpoints, count).await
    }

    /// The campaign as it is now.
    ///
    /// # Errors
    /// As CXone failed; safe to ask again. `NotFound` where it knows no such campaign.
    pub async fn read_campaign(
        &self,
        campaign_id: &CampaignId,
        asker: Asker<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let call = Call {
            operation: Operation::ReadCampaign,
            method: Method::GET,
            path: &campaign_path(campaign_id),
            query: &[],
            body: None,
            asker,
            send_by: None,
            still_wanted: None,
        };
        self.in_time(unavailable, async { self.transport.call::<wire::Campaign>(call).await?.read(campaign_id) }).await
    }

    /// Makes the campaign what it should be, and gives what CXone says that it now is. Safe to send again. `still_wanted` is
    /// asked immediately before each time that the request is sent.
    ///
    /// # Errors
    /// As CXone failed; `Conflict` where someone changed the campaign since it was read; `Superseded` where the change is
    /// not wanted any more. After an unknown outcome it may be done.
    pub async fn update_campaign(
        &self,
        campaign_id: &CampaignId,
        wanted: &DialerCampaign,
        asker: Asker<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<DialerCampaign, CxoneError> {
        let body = wire::campaign_update(wanted);
        let call = Call {
            operation: Operation::UpdateCampaign,
            method: Method::PUT,
            path: &campaign_path(campaign_id),
            query: &[],
            body: Some(&body),
            asker,
            send_by: None,
            still_wanted: Some(still_wanted),
        };
        self.in_time(unknown, async { self.transport.call::<wire::Campaign>(call).await?.read(campaign_id) }).await
    }

    /// The hours of the campaign's forecast that overlap the window, in order of time, at most some minutes old. May
    /// be empty.
    ///
    /// # Errors
    /// As CXone failed; safe to ask again.
    pub async fn forecast(
        &self,
        campaign_id: &CampaignId,
        window: &TimeWindow,
        asker: Asker<'_>,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let fetch = |range| self.fetch_forecast(campaign_id, range, asker);
        self.in_time(unavailable, self.forecasts.get(campaign_id, window, &self.clock, fetch)).await
    }

    async fn fetch_forecast(
        &self,
        campaign_id: &CampaignId,
        range: forecasts::Range,
        asker: Asker<'_>,
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
            asker,
            send_by: None,
            still_wanted: None,
        };
        self.transport.call::<wire::Forecast>(call).await?.hours_within(range)
    }

    /// Makes a contact, or finds that it was made before. Safe to send again under the same id.
    ///
    /// # Errors
    /// As CXone failed; `ContactRefused` where it refused this very contact. After an unknown outcome the contact may be
    /// there.
    pub async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        asker: Asker<'_>,
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
            asker,
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

    /// Sends a text, and gives CXone's id of the session. Never safe to send again after an unknown outcome.
    ///
    /// # Errors
    /// As CXone failed. After an unknown outcome, or an answer of no known form, the text may be on its way.
    pub async fn send_sms(&self, sms: &Sms<'_>, asker: Asker<'_>) -> Result<String, CxoneError> {
        let body = json!({
            "to": sms.to.as_str(), "from": sms.from.as_str(), "message": sms.message, "channels": ["sms"],
        });
        let call = Call {
            operation: Operation::SendSms,
            method: Method::POST,
            path: "/api/v2/messaging/sessions",
            query: &[],
            body: Some(&body),
            asker,
            send_by: sms.send_by,
            still_wanted: None,
        };
        self.in_time(unknown, async { self.transport.call::<wire::SessionCreated>(call).await?.session_id() }).await
    }
}

fn unknown(reason: String) -> CxoneError {
    CxoneError::OutcomeUnknown { reason }
}

/// Of a call that changes nothing.
fn unavailable(reason: String) -> CxoneError {
    CxoneError::Unavailable { retry_after: None, reason }
}
