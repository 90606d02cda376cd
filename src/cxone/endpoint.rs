//! The parts of CXone that fail by themselves, and what is asked of each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of CXone that may fail while the others work. Each has a breaker and back-offs of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// Access tokens.
    Token,
    /// Campaigns: read, paused and resumed.
    Campaigns,
    /// Contacts.
    Contacts,
    /// Forecasts.
    Forecast,
    /// Text messages.
    Messages,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Token, Self::Campaigns, Self::Contacts, Self::Forecast, Self::Messages];

    /// Its name in metrics and on the readiness page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Campaigns => "campaigns",
            Self::Contacts => "contacts",
            Self::Forecast => "forecast",
            Self::Messages => "messages",
        }
    }
}

/// What is asked of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ReadCampaign,
    UpdateCampaign,
    Forecast,
    CreateContact,
    SendSms,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadCampaign => "read_campaign",
            Self::UpdateCampaign => "update_campaign",
            Self::Forecast => "forecast",
            Self::CreateContact => "create_contact",
            Self::SendSms => "send_sms",
        }
    }

    pub fn endpoint(self) -> Endpoint {
        match self {
            Self::ReadCampaign | Self::UpdateCampaign => Endpoint::Campaigns,
            Self::Forecast => Endpoint::Forecast,
            Self::CreateContact => Endpoint::Contacts,
            Self::SendSms => Endpoint::Messages,
        }
    }

    /// The scope that CXone wants for it.
    pub fn scope(self) -> &'static str {
        match self {
            Self::ReadCampaign => "outbound:statistics:read",
            Self::UpdateCampaign => "outbound:campaign:write",
            Self::Forecast => "outbound:forecast:read",
            Self::CreateContact => "outbound:contact:write",
            Self::SendSms => "messaging:session:write",
        }
    }
}

/// How CXone is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    Ok,
    /// It refuses the OAuth client.
    Unauthorized,
    /// These endpoints do not answer; the others do, as far as is known.
    Down(Vec<Endpoint>),
}

impl fmt::Display for Condition {
    /// As the readiness page says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unauthorized => {
                f.write_str("it refuses the OAuth client: check CXONE_CLIENT_ID and CXONE_CLIENT_SECRET")
            }
            Self::Down(endpoints) => {
                let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
                write!(f, "it does not answer: {}; what was accepted waits", names.join(", "))
            }
        }
    }
}
