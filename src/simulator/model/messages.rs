//! A text message that was sent.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// One message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) struct Message {
    pub(in crate::simulator) at: Timestamp,
    pub(in crate::simulator) session_id: Uuid,
    pub(in crate::simulator) to: String,
    pub(in crate::simulator) from: String,
    pub(in crate::simulator) message: String,
}
