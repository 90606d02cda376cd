//! The endpoints of CXone, which fail independently, and the operations on them.

use std::fmt;

use jiff::Timestamp;
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
    ReadDialers,
    CreateContact,
    FindContact,
    MoveContact,
    WithdrawContact,
    ReadOutcomes,
    SearchDoNotCall,
    ReadTenant,
    SendSms,
    FindSms,
}

impl Operation {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn endpoint(self) -> Endpoint {
        match self {
            Self::ReadCampaign | Self::UpdateCampaign => Endpoint::Campaigns,
            Self::Forecast | Self::ReadDialers => Endpoint::Forecast,
            Self::CreateContact
            | Self::FindContact
            | Self::MoveContact
            | Self::WithdrawContact
            | Self::ReadOutcomes
            | Self::SearchDoNotCall
            | Self::ReadTenant => Endpoint::Contacts,
            Self::SendSms | Self::FindSms => Endpoint::Messages,
        }
    }
}

/// Whether requests are sent to an endpoint, and if not, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCondition {
    /// As far as is known.
    Works,
    /// It does not respond. The next request is a probe.
    Down(Timestamp),
    /// It refuses the credentials.
    Unauthorized(Timestamp),
    /// It has asked for a pause, or has returned no token.
    BackOff(Timestamp),
}

/// Whether CXone works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its endpoints respond, as far as is known.
    Ok,
    /// It refuses the credentials. These settings contain them.
    Unauthorized(&'static str),
    /// These endpoints do not respond. The others do, as far as is known.
    Down(Vec<Endpoint>),
}

impl fmt::Display for Condition {
    /// The text on the readiness page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unauthorized(settings) => write!(f, "it refuses the OAuth client: check {settings}"),
            Self::Down(endpoints) => {
                let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
                write!(f, "it does not respond: {}; accepted requests are kept and sent later", names.join(", "))
            }
        }
    }
}
