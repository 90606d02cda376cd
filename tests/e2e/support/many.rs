//! Many callbacks at once, the metrics, and the check that each callback was carried out once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{World, eventually};

/// How often each value of `field` occurs in `items`.
pub fn tally(items: &[Value], field: impl Fn(&Value) -> String) -> HashMap<String, usize> {
    items.iter().fold(HashMap::new(), |mut counts, item| {
        *counts.entry(field(item)).or_default() += 1;
        counts
    })
}

impl World {
    /// Posts callbacks in one batch. Returns their ids in order.
    pub async fn batch(&self, payloads: &[Value]) -> Vec<String> {
        let answer: Value =
            self.post("/v1/callbacks/batch", &json!({"callbacks": payloads})).await.json().await.unwrap();
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("no results: {answer}"));
        results.iter().map(|result| text(result, "id")).collect()
    }

    /// The `cxone` member of `/readyz`.
    pub async fn cxone_condition(&self) -> String {
        text(&self.get("/readyz").await, "cxone")
    }

    /// A metric without labels, if it has a value.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    pub async fn sql(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    /// A query that returns one number.
    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Returns when every callback has reached its final state.
    pub async fn all_settled(&self) {
        eventually("all callbacks settled", async || self.all_are_settled().await).await;
    }

    async fn all_are_settled(&self) -> Result<(), String> {
        match self.number("select count(*) from callbacks where due_at is not null").await {
            0 => Ok(()),
            open => Err(format!("{open} are open")),
        }
    }

    /// Like `all_settled`, but makes delayed retries due at once. Only for a CXone without faults and a quota that is not
    /// used up: an attempt takes milliseconds then, so that a callback that is unchanged for two seconds is not running.
    pub async fn all_settled_without_delay(&self) {
        let open = "select id, attempts, due_at, updated_at from callbacks where due_at is not null";
        self.sql(&format!("create table if not exists seen as {open}")).await;
        let looked = Mutex::new(Instant::now());
        eventually("all callbacks settled", async || {
            if looked.lock().unwrap().elapsed() > Duration::from_secs(2) {
                *looked.lock().unwrap() = Instant::now();
                self.sql(&format!(
                    "update callbacks set due_at = now() from seen where failure_code is not null
                     and row(callbacks.id, callbacks.attempts, callbacks.due_at, callbacks.updated_at) = row(seen.*);
                     truncate seen; insert into seen {open}"
                ))
                .await;
            }
            self.all_are_settled().await
        })
        .await;
    }

    /// Every callback has one contact, at its dispatch time, and one text message.
    pub async fn assert_each_done_once(&self, count: usize) {
        let done = "status = 'scheduled' and confirmation = 'sent'";
        let undone: Vec<serde_json::Value> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select to_jsonb(callbacks) from callbacks where not ({done})"
        )))
        .fetch_all(&self.database.pool)
        .await
        .unwrap();
        assert_eq!(undone, Vec::<serde_json::Value>::new());
        let query = format!("select count(*) from callbacks where {done}");
        assert_eq!(self.number(&query).await, i64::try_from(count).unwrap());
        let contacts = self.cxone.contacts().await;
        let times = contacts.iter().map(|made| {
            let contact = &made["contact"];
            let at: jiff::Timestamp = contact["scheduledStartDateTime"].as_str().unwrap().parse().unwrap();
            (contact["contactId"].as_str().unwrap().parse().unwrap(), at)
        });
        let times: HashMap<Uuid, _> = times.collect();
        assert_eq!((contacts.len(), times.len()), (count, count), "contacts");
        let said: Vec<(Uuid, jiff_sqlx::Timestamp)> = sqlx::query_as("select contact_id, dispatch_time from callbacks")
            .fetch_all(&self.database.pool)
            .await
            .unwrap();
        assert!(said.iter().all(|(id, at)| times.get(id) == Some(&at.to_jiff())), "CXone dials at the dispatch times");
        let messages = self.cxone.messages().await;
        let texts = tally(&messages, |message| text(message, "to"));
        assert_eq!((messages.len(), texts.len()), (count, count), "texts");
    }
}

/// A string member.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}")).to_owned()
}

/// When CXone received a request.
pub fn received_at(request: &Value) -> jiff::Timestamp {
    text(request, "at").parse().unwrap()
}
