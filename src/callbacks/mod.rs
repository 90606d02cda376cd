//! Callbacks: a caller's wish to be called back, from the POST to the text that confirms it.
//!
//! `routes` read and answer, `intake` decides what is accepted, `dispatch` picks the moment, `attempt` carries it out
//! against CXone, `worker` claims what is due, `retry` says what follows from CXone's failures, `model` holds the states,
//! `store` keeps them, `confirmation_text` words the SMS and `gsm7` its characters.

mod at_risk;
mod attempt;
mod confirmation;
mod confirmation_text;
mod dispatch;
mod gsm7;
mod intake;
mod model;
#[cfg(test)]
mod model_test;
mod ports;
mod retry;
mod routes;
mod store;
mod waiting;
mod worker;

pub use at_risk::RiskMarker;
pub use attempt::{AttemptSettings, Attempts, WithoutForecast};
pub use model::{Callback, Confirmation, Failure, Status};
pub use routes::{Callbacks, routes};
pub use store::CallbackStore;
pub use waiting::Waiting;
pub use worker::{Step, Worker};
