//! A WFO system's receiver of webhooks, which refuses some.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use fastrand::Rng;
use serde_json::Value;
use tokio::net::TcpListener;

/// Of a hundred webhooks, so many are refused though they were taken, as when the answer is late.
const REFUSED: u32 = 10;

pub struct Receiver {
    pub url: String,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub async fn start(rng: Rng) -> anyhow::Result<Self> {
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (kept, rng) = (Arc::clone(&told), Arc::new(Mutex::new(rng)));
        let take = move |Json(event): Json<Value>| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            let is_refused = rng.lock().unwrap_or_else(PoisonError::into_inner).u32(0..100) < REFUSED;
            std::future::ready(if is_refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT })
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        tokio::spawn(axum::serve(listener, Router::new().route("/hooks", post(take))).into_future());
        Ok(Self { url, told })
    }

    /// What was received of campaigns, in order.
    pub fn of_campaigns(&self) -> Vec<Value> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let of_campaigns = told.iter().filter(|event| event["callbackId"].is_null() && event["auditId"].is_string());
        of_campaigns.cloned().collect()
    }
}
