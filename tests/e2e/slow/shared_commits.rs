//! Callbacks of concurrent requests share a commit, and no request notices.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Answer, Cxone, Database, Loss, Proxy, Service, World, caller, create_key, eventually, http_client, payload,
    payload_from, payload_with,
};

/// The start of the statement that stores callbacks.
const INSERT: &str = "-- Stores new callbacks";
const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// What requests were answered.
#[derive(Default)]
struct Answers {
    /// The ids that were accepted, with their numbers.
    accepted: HashMap<String, String>,
    /// The numbers of requests whose answer does not say whether they were accepted.
    unknown: HashSet<String>,
    /// The callbacks that conflicts were reported with, and the numbers of the requests.
    conflicts: Vec<(String, String)>,
    /// The id of each idempotency key.
    by_key: HashMap<String, String>,
}

impl Answers {
    fn add(&mut self, number: &str, key: Option<&str>, answer: &Answer) {
        match answer.status {
            201 | 202 => {
                let id = answer.body["id"].as_str().unwrap().to_owned();
                if let Some(key) = key {
                    let first = self.by_key.entry(key.to_owned()).or_insert_with(|| id.clone());
                    assert_eq!(*first, id, "one callback for a key");
                }
                self.accepted.insert(id, number.to_owned());
            }
            409 if answer.body["existingId"].is_string() => {
                let existing = answer.body["existingId"].as_str().unwrap();
                self.conflicts.push((existing.to_owned(), number.to_owned()));
            }
            // The first request with the key is running.
            409 => {}
            422 => assert_eq!(answer.problem().1, "invalid-request", "{answer:?}"),
            500 | 503 => drop(self.unknown.insert(number.to_owned())),
            status => panic!("{status}: {answer:?}"),
        }
    }
}

impl World {
    /// Sends one random request. Numbers and keys are few, so that they repeat. `payload` is that of all requests with keys:
    /// only its number differs.
    async fn random_request(&self, rng: &mut fastrand::Rng, payload: &Value, answers: &Mutex<Answers>) {
        let n = rng.usize(0..60);
        match rng.u8(0..10) {
            0..=4 => {
                let answer = self.answer("/v1/callbacks", &payload_from(n), &[ASYNC]).await;
                answers.lock().unwrap().add(&caller(n), None, &answer);
            }
            5 | 6 => {
                let key = format!("key-{n}");
                let number = caller(1_000 + n);
                let mut payload = payload.clone();
                payload["phoneNumber"] = json!(number);
                let answer = self.answer("/v1/callbacks", &payload, &[ASYNC, ("idempotency-key", &key)]).await;
                answers.lock().unwrap().add(&number, Some(&key), &answer);
            }
            7 | 8 => self.random_batch(rng, answers).await,
            _ => {
                let bad = payload_with(json!({"phoneNumber": caller(n), "language": "klingon"}));
                let answer = self.answer("/v1/callbacks", &bad, &[ASYNC]).await;
                assert_eq!(answer.status, 422, "{answer:?}");
            }
        }
    }

    async fn random_batch(&self, rng: &mut fastrand::Rng, answers: &Mutex<Answers>) {
        let numbers: Vec<String> = (0..rng.usize(1..20)).map(|_| caller(rng.usize(0..60))).collect();
        let payloads: Vec<Value> = numbers.iter().map(|number| payload_with(json!({"phoneNumber": number}))).collect();
        let answer = self.answer("/v1/callbacks/batch", &json!({"callbacks": payloads}), &[]).await;
        let mut answers = answers.lock().unwrap();
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{answer:?}");
            return answers.unknown.extend(numbers);
        }
        for (result, number) in answer.body["results"].as_array().unwrap().iter().zip(numbers) {
            match (result["id"].as_str(), result["problem"]["existingId"].as_str()) {
                (Some(id), _) => drop(answers.accepted.insert(id.to_owned(), number)),
                (None, Some(existing)) => answers.conflicts.push((existing.to_owned(), number)),
                _ => panic!("{result}"),
            }
        }
    }

    /// Returns when a statement that stores callbacks waits for a lock.
    async fn insert_waits(&self) {
        let waiting = format!(
            "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
             and query like '{INSERT}%'"
        );
        self.database.when(&waiting).await;
    }

    /// Ends connections of the service at random, until the token is cancelled. Returns how many.
    async fn drop_connections(&self, stop: &CancellationToken) -> i64 {
        let mut dropped = 0;
        while !stop.is_cancelled() {
            let drop = format!(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and state = 'active' and query like '{INSERT}%' and random() < 0.3"
            );
            dropped += self.number(&drop).await;
        }
        dropped
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accept_is_stored_once_with_its_entry_and_answered_truthfully_while_connections_drop() {
    // No attempts: nothing but the requests changes callbacks.
    let world = World::with(&[("CXONE_BASE_URL", "http://127.0.0.1:9")]).await;
    let (answers, stop, payload) = (Mutex::default(), CancellationToken::new(), payload());
    let requests = async {
        let clients = (0..16).map(|seed| {
            let (world, answers, payload) = (&world, &answers, &payload);
            async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..60 {
                    world.random_request(&mut rng, payload, answers).await;
                }
            }
        });
        join_all(clients).await;
        stop.cancel();
    };
    let ((), dropped) = tokio::join!(requests, world.drop_connections(&stop));
    assert!(dropped > 0);

    let answers: Answers = answers.into_inner().unwrap();
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select c.id::text, c.phone_number, (select count(*) from audit_entries as e
             where e.callback_id = c.id and e.action = 'callback.accepted')
         from callbacks as c",
    )
    .fetch_all(&world.database.pool)
    .await
    .unwrap();
    assert!(rows.iter().all(|(_, _, entries)| *entries == 1), "each has one entry");
    let stored: HashMap<String, String> = rows.into_iter().map(|(id, number, _)| (id, number)).collect();
    for (id, number) in &answers.accepted {
        assert_eq!(stored.get(id), Some(number), "what was accepted is stored");
    }
    for (existing, number) in &answers.conflicts {
        assert_eq!(stored.get(existing), Some(number), "a conflict names the callback of the number");
    }
    let unanswered = stored.iter().filter(|(id, _)| !answers.accepted.contains_key(*id));
    for (id, number) in unanswered {
        assert!(answers.unknown.contains(number), "{id} of {number} is stored, and its request was answered otherwise");
    }
    let entries = world.number("select count(*) from audit_entries where action = 'callback.accepted'").await;
    assert_eq!(entries, i64::try_from(stored.len()).unwrap(), "no entry without its callback");
    world.end().await;
}

#[tokio::test]
async fn a_row_that_postgres_refuses_fails_alone() {
    let world = World::start().await;
    world
        .sql(&format!("alter table callbacks add constraint not_this_one check (phone_number <> '{}')", caller(7)))
        .await;
    let payloads: Vec<Value> = (0..40).map(payload_from).collect();
    let answers = join_all(payloads.iter().map(|payload| world.answer("/v1/callbacks", payload, &[ASYNC]))).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, if n == 7 { 500 } else { 202 }, "{n}: {answer:?}");
    }
    assert_eq!(world.number("select count(*) from callbacks").await, 39);
    world.end().await;
}

#[tokio::test]
async fn a_request_whose_client_disconnects_is_stored_and_worked_on() {
    let world = World::start().await;
    // The insert waits for this lock, and the client does not wait for the insert.
    let mut lock = world.database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table callbacks in share mode").execute(&mut *lock).await.unwrap();
    let request = world.request(reqwest::Method::POST, "/v1/callbacks").json(&payload_from(1));
    let sent = tokio::spawn(request.send());
    world.insert_waits().await;
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    lock.commit().await.unwrap();
    world.database.when("from callbacks where status = 'scheduled' and confirmation = 'sent'").await;
    world.end().await;
}

#[tokio::test]
async fn beyond_a_bounded_queue_callbacks_are_refused_with_retry_after() {
    let world = World::start().await;
    let mut lock = world.database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table callbacks in share mode").execute(&mut *lock).await.unwrap();
    // Three groups are being stored, at most 256 each, and 1,024 wait.
    let answers = join_all((0..2_000).map(|n| {
        let world = &world;
        async move { world.answer("/v1/callbacks", &payload_from(n), &[ASYNC]).await }
    }));
    let release = async {
        world.insert_waits().await;
        eventually("a refused request", async || {
            let metrics = world.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
            let is_refused = |line: &str| line.contains("/v1/callbacks") && line.contains(r#"status="503""#);
            if metrics.lines().any(is_refused) { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
        lock.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(answers, release);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty() && refused.iter().all(|answer| answer.header("retry-after").is_some()));
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted + refused.len(), answers.len());
    // A 503 after a wait for Postgres that was too long does not say that nothing was stored.
    assert!(world.number("select count(*) from callbacks").await >= i64::try_from(accepted).unwrap());
    world.end().await;
}

#[tokio::test]
async fn a_lost_answer_of_a_shared_commit_is_found_again() {
    let database = Database::create().await;
    let proxy = Proxy::to(&database).await;
    let cxone = Cxone::start().await;
    let service = Service::at(&proxy.url, &cxone, &[]).await;
    let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let world = World { database, cxone, service, key, http: http_client() };
    proxy.lose(Loss::Answer, INSERT);
    let answers = join_all((0..8).map(|n| {
        let world = &world;
        async move { world.answer("/v1/callbacks", &payload_from(n), &[ASYNC]).await }
    }));
    let heal = async {
        proxy.lost_when(1).await;
        proxy.heal();
    };
    let (answers, ()) = tokio::join!(answers, heal);
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
    assert_eq!(world.number("select count(*) from audit_entries where action = 'callback.accepted'").await, 8);
    world.end().await;
}
