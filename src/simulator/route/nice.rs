//! The calls of the `nice` API.

use axum::http::Method;

use super::Route;

/// What the paths of the services begin with once their version is checked and removed: paths are matched without case
/// and for every version.
pub(in crate::simulator) const SERVICES: &str = "/incontactapi/services/v";

pub(super) fn route(method: &Method, path: &str) -> Route {
    let method = method.as_str();
    if !matches!(method, "GET" | "POST" | "PUT" | "DELETE") {
        return Route::Unknown;
    }
    match path.strip_prefix(SERVICES) {
        Some(path) => of_service(method, path),
        None => match path {
            "/authentication/v1/token/access-key" | "/auth/token" => Route::Token,
            "/.well-known/openid-configuration" | "/.well-known/cxone-configuration" => Route::Discovery,
            "/dfo/3.0/channels/{channelId}/outbound" => Route::Message,
            "/dfo/3.0/messages" | "/dfo/3.0/messages/{id}" | "/dfo/3.0/threads" => Route::MessageSearch,
            _ => Route::Other,
        },
    }
}

fn of_service(method: &str, path: &str) -> Route {
    match (method, path) {
        ("GET", "/skills/{id}" | "/campaigns/{id}/skills") => Route::CampaignRead,
        ("POST", "/skills/{id}/start" | "/skills/{id}/stop") => Route::CampaignUpdate,
        ("GET", "/skills/activity" | "/skills/{id}/activity") => Route::Forecast,
        ("GET", path) if path.starts_with("/wfm-data/") => Route::Forecast,
        ("POST", "/scheduled-callbacks") => Route::Contact,
        ("PUT", "/scheduled-callbacks/{id}") => Route::ContactUpdate,
        ("DELETE", "/scheduled-callbacks/{id}") => Route::ContactDelete,
        ("GET", "/skills/{id}/scheduled-callbacks" | "/agents/{id}/scheduled-callbacks") => Route::ContactList,
        ("GET", path) if path.starts_with("/contacts/") || path.starts_with("/dispositions") => Route::Outcome,
        (_, path) if path.starts_with("/dnc-groups") => Route::DoNotCall,
        _ => Route::Other,
    }
}
