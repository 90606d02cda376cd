//! The calls of CXone that this simulator answers.

mod nice;
mod v2;

use axum::extract::MatchedPath;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

pub(super) use nice::SERVICES;
pub(super) use v2::{CAMPAIGN, CAMPAIGNS, CONTACTS, FORECAST, MESSAGES, TOKEN};

/// The scope of the tokens of the `nice` API, which has no scopes of its own.
pub(super) const NICE_SCOPE: &str = "nice";

/// One call of CXone, under the name that the control API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Route {
    Token,
    Discovery,
    CampaignRead,
    CampaignUpdate,
    Forecast,
    Contact,
    ContactUpdate,
    ContactDelete,
    ContactList,
    /// What became of a callback.
    Outcome,
    Message,
    MessageSearch,
    DoNotCall,
    /// A call of the `nice` API that has no name of its own.
    Other,
    /// Another path or another method: answered 404 or 405.
    Unknown,
}

/// One of the two APIs of CXone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    V2,
    Nice,
}

/// A call, and the API that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) wire: Wire,
    pub(super) route: Route,
    /// Whether the call is one of those that must accept JSON.
    pub(super) is_service: bool,
}

impl Endpoint {
    /// The call that a request makes.
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let v2 = |route| Self { wire: Wire::V2, route, is_service: false };
        let Some(path) = path else {
            return v2(Route::Unknown);
        };
        if path == TOKEN || path.starts_with("/api/v2/") {
            return v2(v2::route(&parts.method, path));
        }
        let is_service = path.starts_with(SERVICES);
        Self { wire: Wire::Nice, route: nice::route(&parts.method, path), is_service }
    }

    /// The scope that a token needs for this call; calls without one need no token.
    pub(super) fn scope(self) -> Option<&'static str> {
        match (self.wire, self.route) {
            (_, Route::Token | Route::Discovery | Route::Unknown) => None,
            (Wire::V2, route) => v2::scope(route),
            (Wire::Nice, _) => Some(NICE_SCOPE),
        }
    }
}
