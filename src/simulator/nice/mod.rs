//! The API that NICE publishes.

mod answer;
mod callbacks;
mod contacts;
mod digital;
mod discovery;
mod do_not_call;
mod hours;
mod parameters;
mod params;
mod path;
mod skills;
mod statistics;
mod tenant;
mod tokens;

use axum::Router;
use axum::routing::{delete, get, post, put};

use super::model::Simulator;
use super::route::SERVICES;

pub(super) use path::normalised;

/// The routes of the `nice` API. Those of the services are reached through `normalised`.
pub(super) fn router() -> Router<Simulator> {
    let services = callbacks_router().merge(skills_router()).merge(statistics_router()).merge(tenant_router());
    Router::new()
        .route("/authentication/v1/token/access-key", post(tokens::by_access_key))
        .route("/auth/token", post(tokens::by_password))
        .route("/.well-known/openid-configuration", get(discovery::openid))
        .route("/.well-known/cxone-configuration", get(discovery::cxone))
        .route("/dfo/3.0/channels", get(digital::channels))
        .route("/dfo/3.0/channels/{channelId}/outbound", post(digital::send))
        .route("/dfo/3.0/messages", get(digital::messages))
        .route("/dfo/3.0/messages/{id}", get(digital::message))
        .route("/dfo/3.0/threads", get(digital::threads))
        .nest(SERVICES, services)
}

fn callbacks_router() -> Router<Simulator> {
    Router::new()
        .route("/scheduled-callbacks", post(callbacks::create))
        .route("/scheduled-callbacks/{id}", put(callbacks::update).merge(delete(callbacks::remove)))
        .route("/skills/{id}/scheduled-callbacks", get(callbacks::of_skill))
        .route("/agents/{id}/scheduled-callbacks", get(callbacks::of_agent))
        .route("/contacts/completed", get(contacts::completed))
        .route("/contacts/active", get(contacts::active))
        .route("/contacts/{id}", get(contacts::one))
        .route("/contacts/{id}/state-history", get(contacts::state_history))
        .route("/dispositions", get(contacts::dispositions))
        .route("/dispositions/{id}", get(contacts::disposition))
}

fn skills_router() -> Router<Simulator> {
    Router::new()
        .route("/skills", get(skills::list))
        .route("/skills/{id}", get(skills::one))
        .route("/skills/{id}/start", post(skills::start))
        .route("/skills/{id}/stop", post(skills::stop))
        .route("/skills/{id}/parameters/{group}", get(parameters::read).merge(put(parameters::update)))
        .route("/campaigns", get(skills::campaigns))
        .route("/campaigns/{id}", get(skills::campaign))
        .route("/campaigns/{id}/skills", get(skills::members))
}

fn statistics_router() -> Router<Simulator> {
    Router::new()
        .route("/skills/activity", get(statistics::activity))
        .route("/skills/{id}/activity", get(statistics::activity_of_skill))
        .route("/skills/summary", get(statistics::summary))
        .route("/skills/{id}/summary", get(statistics::summary_of_skill))
        .route("/skills/agents", get(statistics::agents))
        .route("/skills/{id}/agents", get(statistics::agents_of_skill))
        .route("/wfm-data/skills/contacts", get(statistics::contacts))
        .route("/wfm-data/skills/dialer-contacts", get(statistics::dialer_contacts))
}

fn tenant_router() -> Router<Simulator> {
    Router::new()
        .route("/business-unit", get(tenant::business_unit))
        .route("/timezones", get(tenant::time_zones))
        .route("/server-time", get(tenant::server_time))
        .route("/hours-of-operation", get(hours::profiles))
        .route("/hours-of-operation/{id}", get(hours::profile))
        .route("/dnc-groups", get(do_not_call::groups))
        .route("/dnc-groups/search", post(do_not_call::search))
        .route("/dnc-groups/{id}/records", post(do_not_call::add).merge(delete(do_not_call::remove)))
        .route("/dnc-groups/{id}/scrubbed-skills", get(do_not_call::scrubbed_skills))
}
