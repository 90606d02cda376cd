//! What is held about a person, found by the phone number: read and erased on request.
//!
//! `erase` cancels the open callbacks and erases those that have ended, in steps; `export` reads; `retention` deletes callbacks that ended long ago. The audit log stays as it is:
//! it has masked numbers and keyed hashes only.

mod api;
mod erase;
mod export;
mod retention;

use std::sync::Arc;

use crate::audit::AuditStore;
use crate::callbacks::{CallbackStore, Callbacks};
use crate::db::Db;
use crate::webhooks::WebhookStore;

pub use api::routes;
pub use retention::Retention;

/// What the routes work with.
#[derive(Clone)]
pub struct Privacy {
    db: Db,
    callbacks: Arc<Callbacks>,
    reports: Reports,
}

/// The stores that are read, on connections of their own.
#[derive(Clone)]
struct Reports {
    db: Db,
    callbacks: CallbackStore,
    webhooks: WebhookStore,
    audit: AuditStore,
}

impl Privacy {
    /// Changes the database `db`, and reads long lists from `reports`.
    pub fn new(db: Db, callbacks: Arc<Callbacks>, reports: Db) -> Self {
        let reports = Reports {
            callbacks: CallbackStore::new(reports.clone()),
            webhooks: WebhookStore::new(reports.clone()),
            audit: AuditStore::new(reports.clone()),
            db: reports,
        };
        Self { db, callbacks, reports }
    }
}
