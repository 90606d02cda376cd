//! Misbehaviour to order.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::campaigns::Attribute;
use super::fields::present;
use super::route::Route;

/// How a call goes wrong; the module's documentation says what a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Status,
    Latency,
    Hang,
    Drop,
    Body,
    Late,
    Ignore,
    RefuseAttribute,
}

/// A request, as far as it decides which fault it meets.
pub(super) struct Call<'a> {
    pub(super) route: Route,
    /// The campaign that its path names.
    pub(super) campaign: Option<&'a str>,
    /// What it would change of the campaign.
    pub(super) changes: Vec<Attribute>,
}

/// Which calls go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Which {
    Every(Star),
    One(Route),
}

/// `*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Star {
    #[serde(rename = "*")]
    Star,
}

/// A fault as it was ordered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Fault {
    route: Which,
    /// Only requests whose path names this campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<String>,
    pub(super) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<Attribute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<u64>,
    /// How often it is to happen; for ever where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(default = "always")]
    rate: f64,
    #[serde(default)]
    pub(super) after_work: bool,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Says what is wrong with an order that could not be carried out.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.kind == Kind::Status && self.status.is_none() {
            return Err(Refusal::bad("a fault of kind status needs a status"));
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err(Refusal::bad("status must be 200 to 599"));
        }
        if self.kind == Kind::Body && self.body.is_none() {
            return Err(Refusal::bad("a fault of kind body needs a body"));
        }
        if matches!(self.kind, Kind::Latency | Kind::Late) && self.latency_ms.is_none() {
            return Err(Refusal::bad("a fault of kind latency or late needs latencyMs"));
        }
        if self.kind == Kind::RefuseAttribute && self.attribute.is_none() {
            return Err(Refusal::bad("a fault of kind refuseAttribute needs an attribute"));
        }
        let is_of_changes = matches!(self.kind, Kind::Late | Kind::Ignore | Kind::RefuseAttribute);
        if is_of_changes && (self.route != Which::One(Route::CampaignUpdate) || self.after_work) {
            let words = "faults of kind late, ignore and refuseAttribute are of campaignUpdate, without afterWork";
            return Err(Refusal::bad(words));
        }
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Refusal::bad("rate must be 0 to 1"));
        }
        if self.times == Some(0) {
            return Err(Refusal::bad("times must be at least 1"));
        }
        if self.retry_after.as_deref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(Refusal::bad("retryAfter cannot be sent as a header"));
        }
        Ok(())
    }

    /// What is answered instead, for the kinds that answer.
    pub(super) fn answer(&self, route: Route) -> Response {
        let usual = if self.attribute.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(usual);
        let mut response = match &self.body {
            Some(Value::String(page)) if page.starts_with('<') => (status, Html(page.clone())).into_response(),
            Some(Value::String(text)) => (status, text.clone()).into_response(),
            Some(json) => (status, Json(json)).into_response(),
            None => (status, Json(words(status, route))).into_response(),
        };
        if let Some(value) = self.retry_after.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }

    fn matches(&self, call: &Call<'_>) -> bool {
        let is_of_route = match self.route {
            Which::Every(Star::Star) => true,
            Which::One(one) => one == call.route,
        };
        let is_of_campaign = |wanted: &String| call.campaign.is_some_and(|named| named.eq_ignore_ascii_case(wanted));
        is_of_route
            && self.campaign.as_ref().is_none_or(is_of_campaign)
            && self.attribute.is_none_or(|attribute| call.changes.contains(&attribute))
    }
}

/// A body in CXone's manner where none was ordered; a 403 names the scope, as the real one would.
fn words(status: StatusCode, route: Route) -> Value {
    let error = match status.as_u16() {
        401 if route == Route::Token => "invalid_client",
        401 => "invalid_token",
        403 => "insufficient_scope",
        404 => "not_found",
        409 => "conflict",
        422 => "invalid_value",
        429 => "too_many_requests",
        500.. => "server_error",
        _ => "invalid_request",
    };
    let description = match route.scope() {
        Some(scope) if status == StatusCode::FORBIDDEN => format!("the token lacks the scope {scope}"),
        _ => format!("the simulator was told to answer {status}"),
    };
    json!({ "error": error, "error_description": description })
}

/// The faults that are on, in the order they were ordered in.
#[derive(Default)]
pub(super) struct Faults {
    last_id: u64,
    ordered: Vec<(u64, Arc<Fault>)>,
}

impl Faults {
    /// Adds a fault; says its id.
    pub(super) fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.ordered.push((self.last_id, Arc::new(fault)));
        self.last_id
    }

    /// The fault that this call meets, if any; it is used up by one.
    pub(super) fn next(&mut self, call: &Call<'_>, chance: impl Fn() -> f64) -> Option<Arc<Fault>> {
        let meets = |fault: &Fault| fault.matches(call) && (fault.rate >= 1.0 || chance() < fault.rate);
        let index = self.ordered.iter().position(|(_, fault)| meets(fault))?;
        let (_, fault) = self.ordered.get_mut(index)?;
        let met = fault.clone();
        match fault.times {
            Some(1) => drop(self.ordered.remove(index)),
            Some(left) => Arc::make_mut(fault).times = Some(left - 1),
            None => {}
        }
        Some(met)
    }

    /// Removes one; says whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.ordered.len();
        self.ordered.retain(|(other, _)| *other != id);
        self.ordered.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.ordered.clear();
    }

    /// Every fault with its id, `times` being what is left.
    pub(super) fn list(&self) -> Vec<Value> {
        let listed = self.ordered.iter().map(|(id, fault)| {
            let mut shown = json!(fault.as_ref());
            shown["id"] = (*id).into();
            shown
        });
        listed.collect()
    }
}
