//! Callbacks, from the request to the SMS that confirms it.
//!
//! `api` parses requests and sends responses, `intake` stores new callbacks and waits for their outcome, `worker` claims
//! what is due, `outcomes` reads what became of the calls, `attempt` schedules a callback in CXone step by step, `retry` decides what follows from a failure of CXone, `planner` reserves capacity for expected callbacks, `slots` has the windows that an IVR can offer, `report` says what became of promises,
//! `model` has the states and transitions, `store` the statements, and `confirmation` the text of the SMS.

mod api;
mod attempt;
mod confirmation;
mod held_contacts;
mod intake;
mod model;
mod outcome;
mod outcomes;
mod planner;
mod report;
mod retry;
mod risk_marker;
mod slots;
mod store;
mod worker;
#[cfg(test)]
mod worker_test;

pub use api::{CallbackView, routes};
pub use attempt::{AttemptSettings, Attempts, CallbackRepository, WithoutForecast};
pub use intake::{Callbacks, Writer};
pub use model::Callback;
pub use outcome::Waiters;
pub use outcomes::{OutcomePoller, OutcomeSettings, ReachedDispositions};
pub use planner::{ForecastSource, Planner};
pub use risk_marker::RiskMarker;
pub use slots::Slots;
pub use store::{CallbackCounts, CallbackStore, PromiseResults};
pub use worker::{CallbackQueue, Worker};
