//! The six calls of CXone that this simulator answers.

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

pub(super) const TOKEN: &str = "/oauth/token";
pub(super) const CAMPAIGN: &str = "/api/v2/outbound/campaigns/{campaignId}";
/// What comes before a campaign's id.
pub(super) const CAMPAIGNS: &str = "/api/v2/outbound/campaigns/";
pub(super) const FORECAST: &str = "/api/v2/outbound/forecast";
pub(super) const CONTACTS: &str = "/api/v2/outbound/contacts";
pub(super) const MESSAGES: &str = "/api/v2/messaging/sessions";

/// One call of CXone, under the name that the control API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Route {
    Token,
    CampaignRead,
    CampaignUpdate,
    Forecast,
    Contact,
    Message,
    /// Another path or another method: answered 404 or 405.
    Unknown,
}

impl Route {
    /// The call that a request makes.
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        match (&parts.method, path) {
            (&Method::POST, Some(TOKEN)) => Self::Token,
            (&Method::GET, Some(CAMPAIGN)) => Self::CampaignRead,
            (&Method::PUT, Some(CAMPAIGN)) => Self::CampaignUpdate,
            (&Method::GET, Some(FORECAST)) => Self::Forecast,
            (&Method::POST, Some(CONTACTS)) => Self::Contact,
            (&Method::POST, Some(MESSAGES)) => Self::Message,
            _ => Self::Unknown,
        }
    }

    /// The scope that a token needs for this call. Five scopes, five calls: reading a campaign is its statistics.
    pub(super) fn scope(self) -> Option<&'static str> {
        match self {
            Self::Token | Self::Unknown => None,
            Self::CampaignRead => Some("outbound:statistics:read"),
            Self::CampaignUpdate => Some("outbound:campaign:write"),
            Self::Forecast => Some("outbound:forecast:read"),
            Self::Contact => Some("outbound:contact:write"),
            Self::Message => Some("messaging:session:write"),
        }
    }
}
