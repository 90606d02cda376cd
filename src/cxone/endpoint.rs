//! The endpoints of CXone, which fail independently, and the operations on them.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumTable, IntoStaticStr, VariantArray};

/// A part of CXone that may fail while the others work. Each has its own breaker and back-offs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumTable,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
    /// Its name in metrics and on the readiness page.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    ReadCampaign,
    UpdateCampaign,
    Forecast,
    CreateContact,
    SendSms,
}

impl Operation {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn endpoint(self) -> Endpoint {
        match self {
            Self::ReadCampaign | Self::UpdateCampaign => Endpoint::Campaigns,
            Self::Forecast => Endpoint::Forecast,
            Self::CreateContact => Endpoint::Contacts,
            Self::SendSms => Endpoint::Messages,
        }
    }

    /// The OAuth scope that it needs.
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

/// Whether CXone works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its endpoints respond, as far as is known.
    Ok,
    /// It refuses the OAuth client.
    Unauthorized,
    /// These endpoints do not respond. The others do, as far as is known.
    Down(Vec<Endpoint>),
}

impl fmt::Display for Condition {
    /// The text on the readiness page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unauthorized => {
                f.write_str("it refuses the OAuth client: check CXONE_CLIENT_ID and CXONE_CLIENT_SECRET")
            }
            Self::Down(endpoints) => {
                let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
                write!(f, "it does not respond: {}; accepted requests are kept and sent later", names.join(", "))
            }
        }
    }
}
