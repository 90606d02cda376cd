//! Answers of the API, and rows of the database.

use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Database, World, eventually};

/// An answer with its headers.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The status and slug of a problem. Checks that it has every required member.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        for member in ["title", "detail", "instance", "requestId"] {
            assert!(self.body[member].is_string(), "{member}: {self:?}");
        }
        let slug = self.body["type"].as_str().and_then(|text| text.strip_prefix("/problems/"));
        (self.status, slug.unwrap_or_else(|| panic!("no type: {self:?}")))
    }
}

impl Database {
    /// Ends the leases of a process that was killed.
    pub async fn end_leases(&self) {
        let statement = "update callbacks set due_at = now() where due_at > now()";
        sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
    }

    /// Runs a statement.
    pub async fn run(&self, statement: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// Returns when a `from … where …` finds a row.
    pub async fn when(&self, of: &str) {
        eventually(of, async || {
            let found = self.count(of).await;
            if found > 0 { Ok(()) } else { Err("nothing".to_owned()) }
        })
        .await;
    }

    /// The number of rows that a `from … where …` finds.
    pub async fn count(&self, of: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("select count(*) {of}"));
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }
}

impl World {
    /// Posts with further headers, and returns the answer.
    pub async fn answer(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let request = self.request(reqwest::Method::POST, path).json(body);
        Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Posts a callback without waiting for it. Returns its id.
    pub async fn accept(&self, payload: &Value) -> String {
        let (status, callback) = self.ask_with(payload, &[("prefer", "respond-async")]).await;
        assert_eq!(status, 202, "{callback}");
        callback["id"].as_str().unwrap().to_owned()
    }

    /// The callback in its final state, without the delays between its attempts.
    pub async fn settled_soon(&self, id: &str) -> Value {
        // A second or later attempt may be running. It has stored something within the last seconds.
        let retry_now = format!(
            "update callbacks set due_at = now() where id = '{id}' and due_at > now() and failure_code is not null
             and (attempts = 1 or updated_at < now() - interval '6 seconds')
             and (status = 'accepted' or confirmation_started_at is null)"
        );
        eventually(&format!("the end of callback {id}"), async || {
            self.sql(&retry_now).await;
            let callback = self.get(&format!("/v1/callbacks/{id}")).await;
            if callback["nextAttemptAt"].is_null() { Ok(callback) } else { Err(callback.to_string()) }
        })
        .await
    }

    /// The contacts of a campaign in CXone.
    pub async fn contacts_of(&self, campaign: &str) -> Vec<Value> {
        let contacts = self.cxone.contacts().await;
        contacts.into_iter().filter(|made| made["contact"]["campaignId"] == campaign).collect()
    }

    /// The text messages that CXone has sent to a number.
    pub async fn messages_to(&self, number: &str) -> Vec<Value> {
        self.cxone.messages().await.into_iter().filter(|sent| sent["to"] == number).collect()
    }
}

/// A timestamp in an answer.
pub fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no instant: {value}")).parse().unwrap()
}
