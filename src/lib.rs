//! Ringback connects the systems of a contact centre with NICE CXone.
//!
//! An IVR posts a callback request. Ringback stores it, chooses a time from CXone's agent forecast, creates the contact in
//! CXone and sends a confirmation SMS. A WFO system pauses and resumes campaigns; a campaign stays paused while any hold
//! on it is in force. Every change is published as a signed webhook. Postgres is the only shared state: replicas are
//! equal, and any of them may die at any time.
//!
//! `ARCHITECTURE.md` describes the modules and which of them may import which. The program needs only [`cli`]; the other
//! public modules are those that the end-to-end tests and the benchmarks use.

mod app;
mod audit;
mod backoff;
mod callbacks;
mod campaigns;
pub mod cli;
pub mod clock;
mod config;
mod console;
pub mod cxone;
pub mod db;
#[cfg(test)]
mod fuzz_test;
mod http;
mod jobs;
mod keys;
mod oidc;
pub mod placement;
mod privacy;
pub mod shutdown;
pub mod simulator;
mod statistics;
mod telemetry;
pub mod tls;
pub mod trace;
pub mod types;
mod webhooks;

pub use callbacks::{CallbackRepository, CallbackStore, ForecastSource, Planner};
pub use campaigns::{Counts, Window};
