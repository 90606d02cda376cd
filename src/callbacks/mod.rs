//! Callbacks, from the request to the SMS that confirms it.
//!
//! `api` reads requests and answers them, `attempt` schedules a callback in CXone step by step, `worker` claims what is
//! due, `retry` says what follows from CXone's failures, `model` holds the states, `store` keeps them, `confirmation`
//! writes the SMS.

mod api;
mod attempt;
mod confirmation;
mod model;
mod outcome;
mod retry;
mod risk_marker;
mod store;
mod worker;

pub use api::{Callbacks, routes};
pub use attempt::{AttemptSettings, Attempts, WithoutForecast};
pub use model::{Callback, Confirmation, Failure, Status};
pub use outcome::Waiting;
pub use risk_marker::RiskMarker;
pub use store::CallbackStore;
pub use worker::{CallbackQueue, Worker};
