//! API keys: generation, storage by hash, authentication, rates, and the routes that manage them.

mod api;
mod authenticate;
mod bucket;
mod entries;
mod record;
mod secret;
mod store;
#[cfg(test)]
mod tests;
mod usage;
mod usage_store;

pub use api::{Keys, routes};
pub use authenticate::{Authentication, AuthorizationHeader, Credentials, MAX_KEY_LENGTH, authenticate};
pub use entries::{Author, created, refused, revoked, rotated};
pub use record::{Grant, KeyRecord, MAX_CAMPAIGNS, NewKey, parse_name};
pub use secret::KeySecret;
pub use store::{KeyStore, Rotated};
pub use usage_store::UsageSharing;
