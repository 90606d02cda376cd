//! Webhooks: every change is told to those who asked for it, signed, in order, at least once.

mod address;
mod detail;
mod endpoint;
mod endpoint_slots;
mod event;
mod retry;
mod routes;
mod secret;
mod sender;
mod store;
mod store_configured;
mod worker;
#[cfg(test)]
mod worker_test;

pub use address::Reach;
pub use event::{CallbackEvent, CampaignEvent, Event, EventFailure};
pub use routes::{Webhooks, routes};
pub use secret::{Seal, SigningSecret};
pub use sender::WebhookSettings;
pub use store::WebhookStore;
pub use worker::{DeliveryQueue, DeliveryWorker};
