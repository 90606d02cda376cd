//! CXone's simulator in a separate process.

use std::ops::Deref;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Outcome;
use crate::harness::{Control, Process, binary};

/// Killed when it is dropped.
pub struct Cxone {
    control: Control,
    process: Process,
}

/// The requests received.
pub struct Totals {
    pub total: u64,
    pub unanswered: u64,
    pub highest_per_minute: u64,
    pub too_many: u64,
}

impl Cxone {
    pub async fn start() -> Self {
        let mut command = Command::new(binary());
        command.args(["simulator", "--listen", "127.0.0.1:0"]);
        let address = |line: &str| Some(line[line.find("http://")?..].to_owned());
        let (process, base_url) = Process::start(command, address).await;
        Self { control: Control::new(&base_url), process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Answers no request from now on.
    pub async fn hang(&self) {
        self.fault(json!({"route": "*", "kind": "hang"})).await;
    }

    /// Answers requests over this quota with 429.
    pub async fn limit(&self, requests_per_minute: u32) {
        let limits = json!({ "requestsPerMinute": requests_per_minute });
        self.control(Method::PUT, "limits", Some(limits)).await;
    }

    pub async fn totals(&self) -> Outcome<Totals> {
        let counts = self.counts().await;
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let routes: Vec<&Value> = counts["routes"].as_object().into_iter().flat_map(|routes| routes.values()).collect();
        Ok(Totals {
            total: counts["total"].as_u64().context("no counts from the simulator")?,
            unanswered: routes.iter().map(|route| number(&route["unanswered"])).sum(),
            highest_per_minute: number(&counts["highestPerMinute"]),
            too_many: routes.iter().map(|route| number(&route["statuses"]["429"])).sum(),
        })
    }
}

impl Deref for Cxone {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}
