//! The `v2` calls of CXone.

mod campaigns;
mod contacts;
mod fault_response;
mod forecast;
mod messages;
mod middleware;
mod tokens;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::model::Simulator;
use super::route;

pub(super) use middleware::broken_connection;

/// The routes of CXone.
pub(super) fn router(simulator: &Simulator) -> Router<Simulator> {
    Router::new()
        .route(route::TOKEN, post(tokens::issue))
        .route(route::CAMPAIGN, get(campaigns::read).put(campaigns::update))
        .route(route::FORECAST, get(forecast::read))
        .route(route::CONTACTS, post(contacts::create))
        .route(route::MESSAGES, post(messages::send))
        // The middleware refuses unknown paths; without a fallback they would not pass through it.
        .fallback(async || ())
        .layer(from_fn_with_state(simulator.clone(), middleware::handle))
}
