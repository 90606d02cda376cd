//! SMS through the Digital channels.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Reply, ok};
use super::params::Params;
use crate::simulator::clock::now;
use crate::simulator::fields::{Fields, JsonBody, is_e164};
use crate::simulator::model::Simulator;
use crate::simulator::model::nice::digital::{CHANNEL, DigitalMessage};
use crate::simulator::refusal::Refusal;

/// In characters: ten SMS of 160.
const LONGEST_TEXT: usize = 1600;
/// The most results of a search.
const FOUND: usize = 50;

/// `GET channels`
pub(super) async fn channels() -> Reply {
    ok(json!([{ "id": CHANNEL, "name": "SMS", "realExternalPlatformId": "sms", "hasOutboundFlow": true }]))
}

/// `POST channels/{channelId}/outbound`
pub(super) async fn send(
    State(simulator): State<Simulator>,
    Path(channel): Path<String>,
    JsonBody(body): JsonBody,
) -> Response {
    if channel != CHANNEL {
        return refused(&simulator, StatusCode::NOT_FOUND, "channelId", "there is no such channel");
    }
    let model = simulator.model();
    let (thread, to, text) = match parse(&body) {
        Ok(parsed) => parsed,
        Err(refusal) => return refused(&simulator, StatusCode::BAD_REQUEST, "body", refusal.description()),
    };
    let at = now();
    let (id, contact) = (model.new_id(), model.new_id());
    let mut nice = model.nice();
    let delay = std::time::Duration::from_millis(nice.behaviour.message_index_delay_ms.into());
    let message = DigitalMessage { id, at, found_from: at.checked_add(delay).unwrap_or(at), thread, to, text };
    let answer = json!({ "message": shown(&message), "consumerContact": { "id": contact.to_string() } });
    nice.digital.add(message);
    (StatusCode::OK, Json(answer)).into_response()
}

/// An error in the form of the Digital API.
fn refused(simulator: &Simulator, status: StatusCode, field: &str, message: &str) -> Response {
    let error = json!({ "field": field, "message": message, "parameters": {}, "errorCode": "validation" });
    let uid = simulator.model().new_id().to_string();
    (status, Json(json!({ "errors": [error], "uid": uid }))).into_response()
}

/// The thread, the number and the text.
fn parse(body: &Value) -> Result<(String, String, String), Refusal> {
    let fields = Fields::known(body, "", &["thread", "messageContent", "recipients", "contact"])?;
    let thread = Fields::known(fields.value("thread")?, "thread.", &["idOnExternalPlatform"])?;
    let content = Fields::known(fields.value("messageContent")?, "messageContent.", &["type", "payload"])?;
    if content.text("type")? != "TEXT" {
        return Err(Refusal::bad_request("messageContent.type must be TEXT"));
    }
    let payload = Fields::known(content.value("payload")?, "messageContent.payload.", &["text"])?;
    let text = payload.non_empty_text("text")?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(Refusal::bad_request("messageContent.payload.text is too long"));
    }
    if let Some(contact) = fields.optional("contact") {
        Fields::known(contact, "contact.", &["skillId", "status", "customFields"])?;
    }
    let to = recipient(fields.value("recipients")?)?;
    Ok((thread.non_empty_text("idOnExternalPlatform")?.to_owned(), to.to_owned(), text.to_owned()))
}

/// The number of the only recipient.
fn recipient(recipients: &Value) -> Result<&str, Refusal> {
    let [recipient] = recipients.as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err(Refusal::bad_request("recipients must be a list of one recipient"));
    };
    let members = ["idOnExternalPlatform", "name", "isPrimary", "isPrivate"];
    let recipient = Fields::known(recipient, "recipients.", &members)?;
    if *recipient.value("isPrimary")? != true || *recipient.value("isPrivate")? != false {
        return Err(Refusal::bad_request("the recipient must be primary and not private"));
    }
    let phone = recipient.text("idOnExternalPlatform")?;
    if is_e164(phone) { Ok(phone) } else { Err(Refusal::bad_request("the recipient must be an E.164 number")) }
}

fn shown(message: &DigitalMessage) -> Value {
    json!({
        "id": message.id.to_string(),
        "idOnExternalPlatform": message.id.simple().to_string(),
        "direction": "outbound",
        "channelId": CHANNEL,
        "threadId": message.thread,
        "messageContent": { "type": "TEXT", "payload": { "text": message.text } },
        "recipients": [{ "idOnExternalPlatform": message.to, "isPrimary": true, "isPrivate": false }],
        "createdAt": format!("{:.3}", message.at),
    })
}

/// `GET messages`
pub(super) async fn messages(State(simulator): State<Simulator>, params: Params) -> Reply {
    let text = params.text("contentContains").unwrap_or_default();
    let is_outbound = params.text("direction").is_none_or(|direction| direction == "outbound");
    let mut channels = params.all("channel[]").peekable();
    let of_channel = channels.peek().is_none() || channels.any(|channel| channel == CHANNEL);
    let nice = simulator.model().nice();
    let wanted = |message: &&DigitalMessage| is_outbound && of_channel && message.text.contains(text);
    found(nice.digital.found(now()).filter(wanted).map(shown).collect())
}

/// `GET messages/{id}`
pub(super) async fn message(State(simulator): State<Simulator>, Path(id): Path<String>) -> Response {
    let id = Uuid::try_parse(&id).ok();
    let nice = simulator.model().nice();
    let message = nice.digital.found(now()).find(|message| Some(message.id) == id).map(shown);
    drop(nice);
    match message {
        Some(message) => (StatusCode::OK, Json(message)).into_response(),
        None => refused(&simulator, StatusCode::NOT_FOUND, "id", "there is no such message"),
    }
}

/// `GET threads?query=`
pub(super) async fn threads(State(simulator): State<Simulator>, params: Params) -> Reply {
    let query = params.text("query").unwrap_or_default();
    let nice = simulator.model().nice();
    let mut rows = Vec::<Value>::new();
    for message in nice.digital.found(now()).filter(|message| message.thread.contains(query)) {
        if rows.iter().any(|row| row["idOnExternalPlatform"] == message.thread.as_str()) {
            continue;
        }
        rows.push(json!({
            "id": format!("{CHANNEL}_{}", message.thread), "idOnExternalPlatform": message.thread,
            "channelId": CHANNEL, "createdAt": format!("{:.3}", message.at),
        }));
    }
    found(rows)
}

/// The newest first.
fn found(mut rows: Vec<Value>) -> Reply {
    let hits = rows.len();
    rows.reverse();
    rows.truncate(FOUND);
    ok(json!({ "hits": hits, "data": rows }))
}
