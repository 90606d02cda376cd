//! Callbacks, from the request to the SMS that confirms it.
//!
//! `api` parses requests and sends responses, `intake` stores new callbacks and waits for their outcome, `worker` claims
//! what is due, `attempt` schedules a callback in CXone step by step, `retry` decides what follows from a failure of CXone,
//! `model` has the states and transitions, `store` the statements, and `confirmation` the text of the SMS.

mod api;
mod attempt;
mod confirmation;
mod intake;
mod model;
mod outcome;
mod retry;
mod risk_marker;
mod store;
mod worker;
#[cfg(test)]
mod worker_test;

pub use api::{CallbackView, routes};
pub use attempt::{AttemptSettings, Attempts, WithoutForecast};
pub use intake::{Callbacks, Writer};
pub use model::Callback;
pub use outcome::Waiters;
pub use risk_marker::RiskMarker;
pub use store::CallbackStore;
pub use worker::{CallbackQueue, Worker};
