//! The details of audit entries about endpoints and deliveries.

use jiff::Timestamp;
use reqwest::Url;
use serde::Serialize;
use uuid::Uuid;

/// An endpoint was created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedDetail {
    webhook_id: Uuid,
    /// The scheme, host and port. The rest of a URL may be a secret.
    origin: String,
}

impl CreatedDetail {
    /// Of an endpoint with this URL.
    pub fn new(webhook_id: Uuid, url: &str) -> Self {
        let origin = Url::parse(url).map(|url| url.origin().ascii_serialization());
        Self { webhook_id, origin: origin.unwrap_or_default() }
    }
}

/// An endpoint was changed or deleted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedDetail {
    pub webhook_id: Uuid,
}

/// An endpoint was disabled because of its answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DisabledDetail<'a> {
    pub webhook_id: Uuid,
    pub reason: &'a str,
}

/// One delivery is sent again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedeliveredDetail {
    pub delivery_id: Uuid,
}

/// All dead deliveries of an endpoint since a moment are sent again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedRedeliveredDetail {
    pub webhook_id: Uuid,
    pub since: Timestamp,
}
