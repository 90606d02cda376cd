//! Callbacks: a caller's wish to be called back, from the POST to the text that confirms it.
//!
//! `routes` read and answer, `intake` decides what is accepted, `dispatch` picks the moment, `worker` carries it out
//! against CXone, `retry` says what follows from CXone's failures, `model` holds the states, `store` keeps them.

mod at_risk;
mod confirmation_text;
mod dispatch;
mod intake;
mod model;
mod retry;
mod routes;
mod store;
mod waiting;
mod worker;

pub use at_risk::RiskMarker;
pub use dispatch::{HourLoad, dispatch};
pub use model::{Callback, Confirmation, Failure, Status};
pub use routes::{Callbacks, routes};
pub use store::CallbackStore;
pub use waiting::Waiting;
pub use worker::{Step, WithoutForecast, Worker, WorkerSettings};
