//! Messaging sessions: one text message each.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::Simulator;
use super::answer::{Answer, Refusal};
use super::fields::{Fields, Sent, is_e164};
use super::ring::Ring;
use super::state::{lock, now};

/// Enough for a long benchmark.
const KEPT: usize = 100_000;

/// Ten parts of 160, where text messages end.
const LONGEST: usize = 1600;

/// The messages sent.
pub(super) struct Messages(pub(super) Ring<Message>);

/// One message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    at: Timestamp,
    session_id: Uuid,
    to: String,
    from: String,
    message: String,
}

impl Default for Messages {
    fn default() -> Self {
        Self(Ring::new(KEPT))
    }
}

/// `POST /api/v2/messaging/sessions`
pub(super) async fn send(State(simulator): State<Simulator>, Sent(body): Sent) -> Answer {
    let state = simulator.state();
    let fields = Fields::known(&body, "", &["to", "from", "message", "channels"])?;
    let (to, from, message) = (fields.text("to")?, fields.text("from")?, fields.text("message")?);
    let channels = fields.value("channels")?;
    for (name, phone) in [("to", to), ("from", from)] {
        if !is_e164(phone) {
            return Err(Refusal::unprocessable(format!("{name} must be an E.164 number")));
        }
    }
    if state.settings.verified_senders.as_ref().is_some_and(|verified| !verified.iter().any(|sender| sender == from)) {
        return Err(Refusal::unprocessable("from is not a verified sender"));
    }
    if !(1..=LONGEST).contains(&message.chars().count()) {
        return Err(Refusal::unprocessable(format!("message must have 1 to {LONGEST} characters")));
    }
    if *channels != json!(["sms"]) {
        return Err(Refusal::unprocessable("channels must be [\"sms\"]"));
    }
    let session_id = state.new_id();
    let sent = Message { at: now(), session_id, to: to.into(), from: from.into(), message: message.into() };
    lock(&state.messages).0.push(sent);
    Ok((StatusCode::CREATED, Json(json!({ "sessionId": session_id }))))
}
