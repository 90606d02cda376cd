//! `POST /api/v2/messaging/sessions`: a session with one text message.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

use crate::simulator::clock::now;
use crate::simulator::fields::{Fields, JsonBody, is_e164};
use crate::simulator::model::Simulator;
use crate::simulator::model::messages::Message;
use crate::simulator::refusal::{Answer, Refusal};

/// In characters: ten SMS of 160.
const MAX_LENGTH: usize = 1600;

pub(super) async fn send(State(simulator): State<Simulator>, JsonBody(body): JsonBody) -> Answer {
    let model = simulator.model();
    let fields = Fields::known(&body, "", &["to", "from", "message", "channels"])?;
    let (to, from, message) = (fields.text("to")?, fields.text("from")?, fields.text("message")?);
    let channels = fields.value("channels")?;
    for (name, phone) in [("to", to), ("from", from)] {
        if !is_e164(phone) {
            return Err(Refusal::unprocessable(format!("{name} must be an E.164 number")));
        }
    }
    if model.settings.verified_senders.as_ref().is_some_and(|verified| !verified.iter().any(|sender| sender == from)) {
        return Err(Refusal::unprocessable("from is not a verified sender"));
    }
    if !(1..=MAX_LENGTH).contains(&message.chars().count()) {
        return Err(Refusal::unprocessable(format!("message must have 1 to {MAX_LENGTH} characters")));
    }
    if *channels != json!(["sms"]) {
        return Err(Refusal::unprocessable("channels must be [\"sms\"]"));
    }
    let session_id = model.new_id();
    let message = Message { at: now(), session_id, to: to.into(), from: from.into(), message: message.into() };
    model.messages.lock().push(message);
    Ok((StatusCode::CREATED, Json(json!({ "sessionId": session_id }))))
}
