//! Webhooks: changes, and checkpoints of the audit log, are published to the endpoints that subscribe to them, signed, in order
//! for each campaign, at least once.

mod address_policy;
mod api;
mod checkpoints;
mod detail;
mod endpoint_slots;
mod event;
mod model;
mod openapi;
mod probe;
mod retry;
mod sender;
mod signing;
mod store;
mod worker;
#[cfg(test)]
mod worker_test;

pub use address_policy::AddressPolicy;
pub use api::{Webhooks, routes};
pub use checkpoints::CheckpointPublisher;
pub use event::{CallbackEvent, CampaignEvent, Event, EventFailure, EventOutcome};
pub use model::ATTEMPTED_WITHIN;
pub use openapi::describe_events;
pub use probe::{Probe, probe};
pub use sender::WebhookSettings;
pub use signing::{SecretCipher, SigningSecret};
pub use store::{DeliveryCounts, KeptEvent, WebhookStore};
pub use worker::{DeliveryQueue, DeliveryWorker};
