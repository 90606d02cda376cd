//! Many callbacks at once: what CXone counted, what operators see, and that each was done once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::Method;
use ringback::simulator::{self, Campaign};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Cxone, Service, World, eventually};

/// How often each text of `field` stands in `items`.
pub fn tally(items: &[Value], field: impl Fn(&Value) -> String) -> HashMap<String, usize> {
    items.iter().fold(HashMap::new(), |mut counts, item| {
        *counts.entry(field(item)).or_default() += 1;
        counts
    })
}

/// A number of its own for each `n` below a million.
pub fn caller(n: usize) -> String {
    format!("+12025{n:06}")
}

/// What happens to CXone as a whole.
impl Cxone {
    /// `{total, highestPerMinute, routes: {contact: {total, unanswered, statuses: {"201": 3}}}}`
    pub async fn counts(&self) -> Value {
        self.control(Method::GET, "counts", None).await
    }

    /// How many requests of a route came in, answered or not.
    pub async fn count(&self, route: &str) -> u64 {
        self.counts().await["routes"][route]["total"].as_u64().unwrap_or(0)
    }

    /// The requests of all routes, in order.
    pub async fn received_all(&self) -> Vec<Value> {
        self.list("received").await
    }

    /// A campaign that nobody has a forecast of yet.
    pub fn add_campaign(&self, id: &str) {
        self.simulator.add_campaign(id, Campaign::default());
    }

    /// Refuses connections from here on; the control API is gone, too.
    pub async fn go_down(&mut self) {
        self.stop.cancel();
        let address = self.address();
        eventually("a CXone that is down", async || match TcpStream::connect(&address).await {
            Ok(_) => Err("it still takes connections".into()),
            Err(_) => Ok(()),
        })
        .await;
    }

    /// Takes connections again, at the same address, and knows what it knew.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address()).await.unwrap();
        self.stop = CancellationToken::new();
        let stop = self.stop.clone().cancelled_owned();
        tokio::spawn(simulator::serve(listener, self.simulator.clone(), stop));
    }

    fn address(&self) -> String {
        self.base_url.trim_start_matches("http://").to_owned()
    }
}

impl Service {
    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.id().unwrap()
    }
}

/// Many callbacks at once, and what operators see.
impl World {
    /// Accepts callbacks in one batch; gives their ids in order.
    pub async fn batch(&self, payloads: &[Value]) -> Vec<String> {
        let answer: Value =
            self.post("/v1/callbacks/batch", &json!({"callbacks": payloads})).await.json().await.unwrap();
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("no results: {answer}"));
        results.iter().map(|result| text(result, "id")).collect()
    }

    /// What `/readyz` says of CXone.
    pub async fn cxone_condition(&self) -> String {
        text(&self.get("/readyz").await, "cxone")
    }

    /// A metric without labels; none while nothing has set it.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    pub async fn sql(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    /// One number, asked of the database.
    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Waits until nothing is left to do for any callback.
    pub async fn all_settled(&self) {
        eventually("all callbacks settled", async || self.all_are_settled().await).await;
    }

    async fn all_are_settled(&self) -> Result<(), String> {
        match self.number("select count(*) from callbacks where due_at is not null").await {
            0 => Ok(()),
            open => Err(format!("{open} are open")),
        }
    }

    /// The same, but what was put off need not wait any longer. Only for a CXone that is well, and a budget that is
    /// not spent: an attempt is over in no time then, so what stays as it is for two seconds is not running.
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

    /// Every callback has its contact and its text, exactly once, at the time that it says.
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
        assert!(said.iter().all(|(id, at)| times.get(id) == Some(&at.to_jiff())), "CXone dials at other times");
        let messages = self.cxone.messages().await;
        let texts = tally(&messages, |message| text(message, "to"));
        assert_eq!((messages.len(), texts.len()), (count, count), "texts");
    }
}

/// A member that is text.
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}")).to_owned()
}

/// When CXone got a request.
pub fn received_at(request: &Value) -> jiff::Timestamp {
    text(request, "at").parse().unwrap()
}
