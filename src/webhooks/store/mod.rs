//! Endpoints, events and deliveries in Postgres. Events are stored by `audit_record()`, in the commit of the change.

mod checkpoints;
mod configured;
mod deliveries;
mod endpoints;
mod outbox;
mod person;
mod statistics;
#[cfg(test)]
mod tests;
mod waiting;

use crate::db::Db;

pub use deliveries::{Delivery, Redelivery};
pub use outbox::Settled;
pub use person::KeptEvent;
pub use statistics::DeliveryCounts;

/// The tables of webhooks.
#[derive(Clone, Debug)]
pub struct WebhookStore {
    pool: Db,
}

impl WebhookStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool }
    }
}
