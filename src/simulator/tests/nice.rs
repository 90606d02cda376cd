//! A simulator of the `nice` API, and what its tests share.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{TestServer, body, sent};
use crate::simulator::clock::now;
use crate::simulator::{Api, Settings};

/// The skill and the number of the campaign `sales`. Those of `old`, which is inactive, follow.
pub(super) const SKILL: u64 = 4001;
pub(super) const OLD_SKILL: u64 = 4002;
pub(super) const SERVICES: &str = "/incontactapi/services/v33.0";
pub(super) const MARKER: &str = "ringback:0195f7a8-7c3b-7d7e-9c1a-3b1f1e0a2b4c";
const PATIENCE: Duration = Duration::from_secs(10);

impl TestServer {
    /// A simulator of the `nice` API, and a token by access key.
    pub(super) async fn nice() -> Self {
        let mut server = Self::without_token(Settings { api: Api::Nice, ..Settings::default() }).await;
        let key = json!({ "accessKeyId": "simulator", "accessKeySecret": "simulator-secret" });
        let answer = body(server.post("/authentication/v1/token/access-key", key).await, 200).await;
        server.token = answer["access_token"].as_str().expect("a token").to_owned();
        server
    }

    /// A call of the services.
    pub(super) fn service(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("{SERVICES}/{path}")).header("accept", "application/json")
    }

    pub(super) async fn read(&self, path: &str) -> Response {
        sent(self.service(Method::GET, path)).await
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Value) -> Response {
        sent(self.service(method, path).json(&body)).await
    }

    /// Starts or stops the skill of `sales`.
    pub(super) async fn command(&self, command: &str) -> Response {
        sent(self.service(Method::POST, &format!("skills/{SKILL}/{command}"))).await
    }

    /// Creates a callback. Returns its id.
    pub(super) async fn schedule(&self, callback: Value) -> u64 {
        let made = body(self.send(Method::POST, "scheduled-callbacks", callback).await, 200).await;
        made["callbackId"].as_u64().expect("an id")
    }

    /// The callbacks that wait for the skill of `sales`.
    pub(super) async fn waiting(&self) -> Vec<Value> {
        let answer = self.read(&format!("skills/{SKILL}/scheduled-callbacks")).await;
        if answer.status() == 204 {
            return Vec::new();
        }
        body(answer, 200).await["callbacks"].as_array().cloned().expect("a list")
    }

    /// Changes the behaviour of the tenant.
    pub(super) async fn behave(&self, change: Value) {
        body(self.put("/_control/nice", change).await, 200).await;
    }

    /// Asks until the condition holds.
    pub(super) async fn wait_until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            assert!(Instant::now() < deadline, "{what} never happens");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An instant in the form that the services take.
pub(super) fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).expect("an instant").to_string()
}

/// This many hours from now, or before now.
pub(super) fn hours_from_now(hours: i64) -> String {
    whole_seconds(now() + SignedDuration::from_hours(hours))
}

/// A valid callback at this time.
pub(super) fn callback(schedule_date: &str) -> Value {
    json!({
        "firstName": "Callback", "lastName": "1820", "phoneNumber": "+4930901820", "skillId": SKILL,
        "targetAgentId": "", "scheduleDate": schedule_date, "notes": format!("de-DE {MARKER}"),
    })
}

/// The object with another value of one member; without it, if the value is null.
pub(super) fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().expect("an object").remove(name);
    } else {
        object[name] = value;
    }
    object
}

/// The header that repeats the reason.
pub(super) fn reason(answer: &Response) -> String {
    answer.headers()["icStatusDescription"].to_str().expect("text").to_owned()
}
