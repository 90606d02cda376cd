//! `/console/audit/{id}`: one entry of the audit log with all its members.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::console::page::{Layout, Section, Visit, page};
use crate::console::problem::ApiProblem;
use crate::console::state::Console;
use crate::http::PathParam;

/// The routes of the page.
pub fn routes() -> Router<Arc<Console>> {
    Router::new().route("/console/audit/{id}", get(show)).route("/console/audit/{id}/proof.json", get(proof))
}

/// All members of an entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: Uuid,
    timestamp: Timestamp,
    action: String,
    actor: Actor,
    outcome: String,
    campaign_id: Option<String>,
    callback_id: Option<Uuid>,
    previous_state: Option<String>,
    new_state: Option<String>,
    latency_ms: Option<i64>,
    call_volume_before: Option<i64>,
    call_volume_after: Option<i64>,
    answer_rate: Option<f64>,
    compliance_hold: Option<bool>,
    triggered_by: Option<String>,
    request_id: Option<String>,
    detail: Map<String, Value>,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    name: String,
}

#[derive(Template)]
#[template(path = "console/audit_entry.html")]
struct EntryPage {
    layout: Layout,
    entry: Entry,
    /// The entry as the API has it.
    json: String,
    /// Whether the person may have the proof.
    is_whole_log: bool,
}

impl Entry {
    /// The particulars of the action by their names, without those that are null.
    fn particulars(&self) -> Vec<(&str, String)> {
        self.detail.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (&**name, text(value))).collect()
    }
}

/// Text without quotation marks, the elements of a list in a row, and anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Array(elements) => elements.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

async fn show(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    let answer = visit.api.send(Method::GET, &format!("/v1/audit/{id}"), None, &[]).await?;
    let json = format!("{:#}", answer.json::<Value>()?);
    let is_whole_log = !visit.session.credentials.caller().campaigns.is_restricted();
    page(&EntryPage { layout: visit.layout(Section::Audit), entry: answer.json()?, json, is_whole_log })
}

/// The proof that the entry is in the log, as a file that `ringback audit verify` reads.
async fn proof(visit: Visit, PathParam(id): PathParam<Uuid>) -> Result<Response, ApiProblem> {
    let answer = visit.api.send(Method::GET, &format!("/v1/audit/{id}/proof"), None, &[]).await?;
    let file = format!("attachment; filename=\"proof-{id}.json\"");
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, file)];
    Ok((headers, answer.text()).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn particulars_are_shown_as_text() {
        for (value, shown) in [
            (json!("a \"b\""), "a \"b\""),
            (json!([]), "none"),
            (json!(["a", 2]), "a, 2"),
            (json!({"a": [true]}), "{\"a\":[true]}"),
            (json!(false), "false"),
        ] {
            assert_eq!(text(&value), shown);
        }
    }
}
