//! The calls of the `v2` API.

use axum::http::Method;

use super::Route;

pub(in crate::simulator) const TOKEN: &str = "/oauth/token";
pub(in crate::simulator) const CAMPAIGN: &str = "/api/v2/outbound/campaigns/{campaignId}";
/// What comes before a campaign's id.
pub(in crate::simulator) const CAMPAIGNS: &str = "/api/v2/outbound/campaigns/";
pub(in crate::simulator) const FORECAST: &str = "/api/v2/outbound/forecast";
pub(in crate::simulator) const CONTACTS: &str = "/api/v2/outbound/contacts";
pub(in crate::simulator) const MESSAGES: &str = "/api/v2/messaging/sessions";

pub(super) fn route(method: &Method, path: &str) -> Route {
    match (method, path) {
        (&Method::POST, TOKEN) => Route::Token,
        (&Method::GET, CAMPAIGN) => Route::CampaignRead,
        (&Method::PUT, CAMPAIGN) => Route::CampaignUpdate,
        (&Method::GET, FORECAST) => Route::Forecast,
        (&Method::POST, CONTACTS) => Route::Contact,
        (&Method::POST, MESSAGES) => Route::Message,
        _ => Route::Unknown,
    }
}

/// The scope that a token needs. Five scopes, five calls: reading a campaign is its statistics.
pub(super) fn scope(route: Route) -> Option<&'static str> {
    match route {
        Route::CampaignRead => Some("outbound:statistics:read"),
        Route::CampaignUpdate => Some("outbound:campaign:write"),
        Route::Forecast => Some("outbound:forecast:read"),
        Route::Contact => Some("outbound:contact:write"),
        Route::Message => Some("messaging:session:write"),
        _ => None,
    }
}
