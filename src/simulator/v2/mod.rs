//! The `v2` calls of CXone.

mod campaigns;
mod contacts;
mod forecast;
mod messages;
mod tokens;

use axum::Router;
use axum::routing::{get, post};

use super::model::Simulator;
use super::route;

/// The routes of the `v2` API.
pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route(route::TOKEN, post(tokens::issue))
        .route(route::CAMPAIGN, get(campaigns::read).put(campaigns::update))
        .route(route::FORECAST, get(forecast::read))
        .route(route::CONTACTS, post(contacts::create))
        .route(route::MESSAGES, post(messages::send))
}
