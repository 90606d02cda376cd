//! The requests received, and their answers.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::faults::Kind;
use super::quota::Minute;
use super::ring::Ring;
use crate::simulator::clock::now;
use crate::simulator::fields::{has_type, pairs};
use crate::simulator::route::Route;

const KEPT: usize = 20_000;

/// The last requests, and counts of all of them.
pub(in crate::simulator) struct RequestLog {
    entries: Ring<Entry>,
    counts: BTreeMap<Route, Count>,
    minute: Minute,
    highest_per_minute: usize,
}

/// One request. Everything is copied out of the connection's buffers, which it would keep alive otherwise; it is
/// formatted when it is listed.
struct Entry {
    at: Timestamp,
    route: Route,
    /// The campaign that its path, query or body names.
    campaign: Option<String>,
    method: String,
    path: String,
    query: Option<String>,
    scheme: Option<String>,
    traceparent: Option<String>,
    user_agent: Option<String>,
    is_form: bool,
    body: Box<[u8]>,
    status: Option<u16>,
    fault: Option<Kind>,
}

#[derive(Default, Serialize)]
struct Count {
    total: u64,
    unanswered: u64,
    statuses: BTreeMap<u16, u64>,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self { entries: Ring::new(KEPT), counts: BTreeMap::new(), minute: Minute::default(), highest_per_minute: 0 }
    }
}

impl RequestLog {
    /// Adds a request. Returns its number, for `answered` and `faulty`.
    pub(in crate::simulator) fn received(
        &mut self,
        (route, campaign): (Route, Option<&str>),
        parts: &Parts,
        body: &[u8],
    ) -> u64 {
        let count = self.counts.entry(route).or_default();
        count.total += 1;
        count.unanswered += 1;
        self.highest_per_minute = self.highest_per_minute.max(self.minute.add(Instant::now()));
        let campaign = campaign.map(str::to_owned);
        self.entries.push(Entry { campaign, ..Entry::new(route, parts, body) }).0
    }

    /// Records that a fault applied to a request.
    pub(in crate::simulator) fn faulty(&mut self, number: u64, kind: Kind) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.fault = Some(kind);
        }
    }

    /// Records an answer. A request that was removed in the meantime is ignored.
    pub(in crate::simulator) fn answered(&mut self, number: u64, status: StatusCode) {
        let Some(entry) = self.entries.get_mut(number) else {
            return;
        };
        entry.status = Some(status.as_u16());
        if let Some(count) = self.counts.get_mut(&entry.route) {
            count.unanswered -= 1;
            *count.statuses.entry(status.as_u16()).or_default() += 1;
        }
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
        self.minute.clear();
        self.highest_per_minute = 0;
    }

    /// The requests of one route, or of all; with `campaign`, only those that name it. `secret` is never shown.
    pub(in crate::simulator) fn list(&self, route: Option<Route>, campaign: Option<&str>, secret: &str) -> Vec<Value> {
        let of_route = self.entries.iter().filter(|entry| route.is_none_or(|route| route == entry.route));
        let wanted = of_route.filter(|entry| campaign.is_none_or(|id| entry.campaign.as_deref() == Some(id)));
        wanted.map(|entry| entry.shown(secret)).collect()
    }

    pub(in crate::simulator) fn counts(&self) -> Value {
        let total: u64 = self.counts.values().map(|count| count.total).sum();
        json!({ "total": total, "highestPerMinute": self.highest_per_minute, "routes": self.counts })
    }
}

impl Entry {
    fn new(route: Route, parts: &Parts, body: &[u8]) -> Self {
        let text = |name: &str| text(&parts.headers, name);
        // The path as it was sent: those of services are rewritten before they are matched.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let scheme = text("authorization").and_then(|value| Some(value.split_once(' ')?.0.to_owned()));
        Self {
            at: now(),
            route,
            campaign: None,
            method: parts.method.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            scheme,
            traceparent: text("traceparent"),
            user_agent: text(header::USER_AGENT.as_str()),
            is_form: has_type(&parts.headers, "application/x-www-form-urlencoded"),
            body: body.into(),
            status: None,
            fault: None,
        }
    }

    fn shown(&self, secret: &str) -> Value {
        json!({
            "at": self.at,
            "route": self.route,
            "method": self.method,
            "path": self.path,
            "query": self.query.as_deref().map(|query| without_secret(form(query), secret)),
            "headers": {
                "authorization": self.scheme,
                "traceparent": self.traceparent,
                "user-agent": self.user_agent,
            },
            "body": without_secret(self.body(), secret),
            "status": self.status,
            "fault": self.fault,
        })
    }

    fn body(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        let text = String::from_utf8_lossy(&self.body);
        if self.is_form {
            return form(&text);
        }
        let mut body = serde_json::from_slice(&self.body).unwrap_or_else(|_| text.into());
        if let Value::Object(members) = &mut body {
            members.retain(|name, _| !is_secret(name));
        }
        body
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The members that have secrets. They are left out, whether they were correct or not.
fn is_secret(name: &str) -> bool {
    matches!(name, "client_secret" | "password" | "accessKeySecret" | "refresh_token")
}

/// The parameters by name, without secrets.
fn form(encoded: &str) -> Value {
    let pairs = pairs(encoded).unwrap_or_default().into_iter();
    pairs.filter(|(name, _)| !is_secret(name)).map(|(name, value)| (name, Value::from(value))).collect()
}

/// The value, unless it contains the secret.
fn without_secret(value: Value, secret: &str) -> Value {
    if !secret.is_empty() && value.to_string().contains(secret) {
        return Value::from("(holds the client secret)");
    }
    value
}
