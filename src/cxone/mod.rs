//! The one client of NICE CXone. It knows no slice's model, and its wire shapes never leave it.
//!
//! The calls are those of the `v2` contract; a tenant of another shape would be another implementation of the same
//! few questions: what is the forecast, make this contact, send this text, read or change this campaign.

mod breaker;
mod budget;
mod error;
mod forecasts;
mod gate;
mod ledger;
mod token;
mod transport;
mod wire;

use std::time::Duration;

pub use error::CxoneError;
use forecasts::Forecasts;
use jiff::Timestamp;
pub use ledger::{Class, Decision};
use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use transport::{Call, Transport};
use uuid::Uuid;

use crate::clock::Clock;
use crate::trace::Traceparent;
use crate::types::{CampaignId, Language, PhoneNumber, TimeWindow};

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

/// How CXone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    Ok,
    /// It refuses the OAuth client.
    Unauthorized,
    /// It does not answer.
    Down,
}

impl Condition {
    /// As the readiness page says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unauthorized => "it refuses the OAuth client: check CXONE_CLIENT_ID and CXONE_CLIENT_SECRET",
            Self::Down => "it does not answer; what was accepted waits",
        }
    }
}

/// What is asked of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ReadCampaign,
    UpdateCampaign,
    Forecast,
    CreateContact,
    SendSms,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::ReadCampaign => "read_campaign",
            Self::UpdateCampaign => "update_campaign",
            Self::Forecast => "forecast",
            Self::CreateContact => "create_contact",
            Self::SendSms => "send_sms",
        }
    }

    /// The scope that CXone wants for it.
    fn scope(self) -> &'static str {
        match self {
            Self::ReadCampaign => "outbound:statistics:read",
            Self::UpdateCampaign => "outbound:campaign:write",
            Self::Forecast => "outbound:forecast:read",
            Self::CreateContact => "outbound:contact:write",
            Self::SendSms => "messaging:session:write",
        }
    }
}

/// What a campaign is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CampaignState {
    /// It dials.
    Active,
    /// It holds still, and can be started.
    Paused,
    /// It is over. Ringback leaves it alone.
    Inactive,
    /// Somebody at CXone stopped it. Ringback leaves it alone.
    Suspended,
}

impl CampaignState {
    /// As CXone and the audit log write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Inactive => "INACTIVE",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// A campaign, as CXone shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialerCampaign {
    /// What it is doing.
    pub state: CampaignState,
    /// Why it is paused, where somebody said so.
    pub pause_reason: Option<String>,
    /// When it is to go on, where somebody said so.
    pub resume_at: Option<Timestamp>,
    /// How many agents it may use.
    pub max_agents: Option<u32>,
    /// How it dials, in CXone's word: sent back as it was read.
    pub dialing_mode: Option<String>,
}

/// One hour of a campaign's forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastHour {
    /// The instant at which the hour begins.
    pub hour: Timestamp,
    /// Agents who will be there.
    pub available_agents: f64,
    /// Calls that will come in that hour anyway; finite and not negative.
    pub expected_calls: f64,
}

/// A contact to be made: someone to be called, and when.
#[derive(Clone, Debug)]
pub struct NewContact<'a> {
    /// Chosen here, so that the contact can be sent again and is still one.
    pub contact_id: Uuid,
    /// The campaign that will call.
    pub campaign_id: &'a CampaignId,
    /// Who is called.
    pub phone_number: &'a PhoneNumber,
    /// When; must lie in the future.
    pub at: Timestamp,
    /// The caller's language.
    pub language: &'a Language,
    /// When the caller asked to be called.
    pub window: TimeWindow,
    /// Not sent after this.
    pub send_by: Option<Timestamp>,
}

/// How a contact came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactAnswer {
    /// By this request.
    Created,
    /// By an earlier one; `at` is its start where CXone says so.
    Exists { at: Option<Timestamp> },
}

/// What CXone is asked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Token,
    Campaigns,
    Contacts,
    Forecast,
    Messages,
}

/// A text message.
#[derive(Clone, Debug)]
pub struct Sms<'a> {
    /// Who gets it.
    pub to: &'a PhoneNumber,
    /// The verified sender.
    pub from: &'a PhoneNumber,
    /// What it says.
    pub message: &'a str,
    /// Not sent after this.
    pub send_by: Option<Timestamp>,
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
}

impl Cxone {
    /// A client with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(settings: Settings, pool: PgPool, clock: Clock) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(settings, pool, clock.clone())?;
        Ok(Self { transport, forecasts: Forecasts::default(), clock })
    }

    /// How CXone is.
    pub fn condition(&self) -> Condition {
        self.transport.gate.condition()
    }

    /// Whether a request would be let out now, as far as this replica knows without asking.
    pub fn looks_open(&self, class: Class, _: &[Endpoint]) -> bool {
        self.transport.gate.looks_open(class)
    }

    /// Whether CXone is asked at all now: it is not while it is down or refuses the client.
    pub fn is_up(&self, _: &[Endpoint]) -> bool {
        self.transport.gate.is_up()
    }

    /// Whether work that needs `count` requests may be started in the background, or for how long not.
    pub async fn may_start(&self, _: &[Endpoint], count: u32) -> Decision {
        self.transport.gate.may_start(count).await
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
        };
        self.transport.call::<wire::Campaign>(call).await?.read(campaign_id)
    }

    /// Makes the campaign what it should be, and gives what CXone says that it now is. Safe to send again.
    ///
    /// # Errors
    /// As CXone failed; `Conflict` where someone changed the campaign since it was read. After an unknown outcome it
    /// may be done.
    pub async fn update_campaign(
        &self,
        campaign_id: &CampaignId,
        wanted: &DialerCampaign,
        asker: Asker<'_>,
    ) -> Result<DialerCampaign, CxoneError> {
        let body = wire::campaign_update(wanted);
        let call = Call {
            operation: Operation::UpdateCampaign,
            method: Method::PUT,
            path: &campaign_path(campaign_id),
            query: &[],
            body: Some(&body),
            asker,
        };
        self.transport.call::<wire::Campaign>(call).await?.read(campaign_id)
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
        self.forecasts.get(campaign_id, window, &self.clock, fetch).await
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
        };
        self.transport.call::<wire::Forecast>(call).await?.hours_within(range)
    }

    /// Makes a contact, or finds that it was made before. Safe to send again under the same id.
    ///
    /// # Errors
    /// As CXone failed. After an unknown outcome the contact may be there.
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
        };
        match self.transport.call::<wire::ContactCreated>(call).await {
            Ok(created) => created.confirm(contact.contact_id),
            Err(CxoneError::Conflict { .. }) => Ok(ContactAnswer::Exists { at: None }),
            Err(CxoneError::Rejected { reason, .. }) if wire::says_already_exists(&reason) => {
                Ok(ContactAnswer::Exists { at: None })
            }
            Err(error) => Err(error),
        }
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
        };
        self.transport.call::<wire::SessionCreated>(call).await?.session_id()
    }
}
