//! The one client of NICE CXone. It knows no slice's model, and its wire shapes never leave it.
//!
//! The calls are those of the `v2` contract; a tenant of another shape would be another implementation of the same
//! few questions: what is the forecast, make this contact, send this text.

mod error;
mod token;
mod transport;
mod wire;

use std::time::Duration;

pub use error::CxoneError;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
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
}

/// What is asked of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Forecast,
    CreateContact,
    SendSms,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Forecast => "forecast",
            Self::CreateContact => "create_contact",
            Self::SendSms => "send_sms",
        }
    }

    /// The scope that CXone wants for it.
    fn scope(self) -> &'static str {
        match self {
            Self::Forecast => "outbound:forecast:read",
            Self::CreateContact => "outbound:contact:write",
            Self::SendSms => "messaging:session:write",
        }
    }
}

/// One hour of a campaign's forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastHour {
    /// The instant at which the hour begins.
    pub hour: Timestamp,
    /// Agents who will be there.
    pub available_agents: u32,
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
}

/// How a contact came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactMade {
    /// By this request.
    Now,
    /// By an earlier one that was never answered.
    Before,
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
}

/// The client: one for all that happens in a replica.
pub struct Cxone {
    transport: Transport,
}

impl Cxone {
    /// A client with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, reqwest::Error> {
        Ok(Self { transport: Transport::new(settings, clock)? })
    }

    /// The hours of the campaign's forecast that overlap the window, in order of time. May be empty.
    ///
    /// # Errors
    /// As CXone failed; safe to ask again.
    pub async fn forecast(
        &self,
        campaign_id: &CampaignId,
        window: &TimeWindow,
        trace: &Traceparent,
    ) -> Result<Vec<ForecastHour>, CxoneError> {
        let (start, end) = (window.start().to_string(), window.end().to_string());
        let query =
            [("campaignId", campaign_id.as_str()), ("startTime", &start), ("endTime", &end), ("granularity", "hourly")];
        let call = Call {
            operation: Operation::Forecast,
            method: Method::GET,
            path: "/api/v2/outbound/forecast",
            query: &query,
            body: None,
            trace: Some(trace),
        };
        self.transport.call::<wire::Forecast>(call).await?.hours_within(window)
    }

    /// Makes a contact, or finds that it was made before. Safe to send again under the same id.
    ///
    /// # Errors
    /// As CXone failed. After an unknown outcome the contact may be there.
    pub async fn create_contact(
        &self,
        contact: &NewContact<'_>,
        trace: &Traceparent,
    ) -> Result<ContactMade, CxoneError> {
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
            trace: Some(trace),
        };
        match self.transport.call::<wire::ContactCreated>(call).await {
            Ok(created) => created.confirm(contact.contact_id),
            Err(CxoneError::Conflict { .. }) => Ok(ContactMade::Before),
            Err(CxoneError::Rejected { reason, .. }) if wire::says_already_exists(&reason) => Ok(ContactMade::Before),
            Err(error) => Err(error),
        }
    }

    /// Sends a text, and gives CXone's id of the session. Never safe to send again after an unknown outcome.
    ///
    /// # Errors
    /// As CXone failed. After an unknown outcome, or an answer of no known form, the text may be on its way.
    pub async fn send_sms(&self, sms: &Sms<'_>, trace: &Traceparent) -> Result<String, CxoneError> {
        let body = json!({
            "to": sms.to.as_str(), "from": sms.from.as_str(), "message": sms.message, "channels": ["sms"],
        });
        let call = Call {
            operation: Operation::SendSms,
            method: Method::POST,
            path: "/api/v2/messaging/sessions",
            query: &[],
            body: Some(&body),
            trace: Some(trace),
        };
        self.transport.call::<wire::SessionCreated>(call).await?.session_id()
    }
}
