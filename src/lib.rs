//! Ringback stands between a contact centre's systems and NICE CXone.
//!
//! An IVR posts a caller's wish to be called back; Ringback keeps it, places it in CXone's forecast, makes the contact
//! and texts a confirmation. A WFO system pauses and resumes campaigns; holds keep them paused, and every change is told
//! by webhook. Postgres is the only shared state: replicas are equal, and any of them may die at any time.
//!
//! ```text
//! main → cli → app → callbacks, campaigns, webhooks, audit, keys, cxone, http, db
//! callbacks → placement, campaigns (settings), webhooks, audit, cxone, http, db, types, clock
//! campaigns → webhooks, audit, cxone, http, db, types, clock      webhooks → audit, http, db, types, clock
//! placement → cxone, types                 keys, audit → http, db, types, clock      cxone → types, clock      http → db, types, clock
//! simulator → nothing of the rest
//! ```
//!
//! Three ideas hold it up. **The row is the work:** it carries its state, when it is due, and the claim on it, so that
//! whatever a dead replica held is taken up by another. **A change and its audit entry are one statement.** **Unknown
//! is a state:** what was sent and never answered is neither success nor failure, and only what may safely be repeated
//! is repeated.

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
pub mod trace;
pub mod types;
pub mod webhooks;
