//! The details of audit entries about endpoints and deliveries.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// An endpoint was created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedDetail<'a> {
    pub webhook_id: Uuid,
    pub url: &'a str,
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
