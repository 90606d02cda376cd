//! What every end-to-end test uses: a database, a simulated CXone, a service, and requests to it.

mod answer;
mod browser;
mod campaign;
mod campaign_faults;
mod client;
mod collector;
mod cxone;
mod document;
mod documented_receiver;
mod identity_provider;
mod many;
mod nice;
mod payload;
mod pgbouncer;
mod proxy;
mod webhooks;

pub use answer::{Answer, instant};
pub use browser::{Browser, Page};
pub use campaign::{in_ms, pause, pause_with, window};
pub use client::client_of;
pub use collector::Collector;
pub use cxone::Cxone;
pub use document::{Document, Operation, moved_to_now};
pub use documented_receiver::{DocumentedReceiver, Language};
pub use identity_provider::{IdentityProvider, TokenKey};
pub use many::{received_at, tally, text};
pub use payload::{caller, faults, minutes_from_now, payload, payload_from, payload_with};
pub use pgbouncer::PgBouncer;
pub use proxy::{Loss, Proxy};
pub use webhooks::ENCRYPTION_KEY;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

pub use crate::harness::{
    BINARY, Database, Durability, Postgres, Received, Receiver, Reply, Service, create_key, create_key_with,
    eventually, eventually_within, has_program, has_python_module, http_client, processes, serve,
};

/// The campaign of the project's first payload: not a UUID, and valid.
pub const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
/// A campaign that is dialing; its id is a UUID, as commands need.
pub const DIALING: &str = "0192f0c4-1111-7000-8000-000000000001";
/// A campaign that exists in CXone and is inactive.
pub const INACTIVE_CAMPAIGN: &str = "inactive";
/// The caller of the project's first payload.
pub const CALLER: &str = "+12025550198";

/// A database, a CXone, one service, and a key for callbacks and the audit log.
pub struct World {
    pub database: Database,
    pub cxone: Cxone,
    pub service: Service,
    pub key: String,
    pub http: Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With these settings of the service.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let (database, cxone) = (Database::create().await, Cxone::start().await);
        let service = Service::start(&database, &cxone, settings).await;
        let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
        Self { database, cxone, service, key, http: http_client() }
    }

    pub async fn end(self) {
        self.service.kill().await;
        self.database.drop().await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.service.base_url)).bearer_auth(&self.key)
    }

    /// Repeats what a busy machine answers with 503, as clients do.
    pub async fn get(&self, path: &str) -> Value {
        let answer = eventually(&format!("an answer to GET {path}"), async || {
            let answer = self.request(Method::GET, path).send().await.unwrap();
            if answer.status() == 503 { Err("503".into()) } else { Ok(answer) }
        })
        .await;
        assert_eq!(answer.status(), 200, "GET {path}");
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Posts a callback and waits for it as the service does by default.
    pub async fn ask(&self, payload: &Value) -> (u16, Value) {
        self.ask_with(payload, &[]).await
    }

    /// Posts a callback with further headers.
    pub async fn ask_with(&self, payload: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
        let request = self.request(Method::POST, "/v1/callbacks").json(payload);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The callback once it is as `wanted` says.
    pub async fn callback_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("callback {id}"), async || {
            let callback = self.get(&format!("/v1/callbacks/{id}")).await;
            if wanted(&callback) { Ok(callback) } else { Err(callback.to_string()) }
        })
        .await
    }

    /// The callback once it has nothing left to do.
    pub async fn settled(&self, id: &str) -> Value {
        self.callback_when(id, |callback| callback["nextAttemptAt"].is_null()).await
    }

    /// The actions that the audit log has for a callback, in order.
    pub async fn audited(&self, id: &str) -> Vec<String> {
        let log = self.get(&format!("/v1/audit?callbackId={id}")).await;
        let entries = log["data"].as_array().unwrap().iter().rev();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}
