//! Ringback connects the systems of a contact centre with NICE CXone.
//!
//! An IVR posts a callback request. Ringback stores it, chooses a time from CXone's agent forecast, creates the contact in
//! CXone and sends a confirmation SMS. A WFO system pauses and resumes campaigns; a campaign stays paused while any hold
//! on it is in force. Every change is published as a signed webhook. Postgres is the only shared state: replicas are
//! equal, and any of them may die at any time.
//!
//! `ARCHITECTURE.md` describes the modules and which of them may import which.

pub mod app;
pub mod audit;
pub mod backoff;
pub mod callbacks;
pub mod campaigns;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cxone;
pub mod db;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod placement;
pub mod shutdown;
pub mod simulator;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod types;
pub mod webhooks;
