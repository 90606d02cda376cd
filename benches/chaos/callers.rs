//! Callers: each wants one callback, and some think better of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use ringback::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{Answer, Ask, Client};
use super::record::Place;
use super::verdict::{Ack, Intent};

/// More are not under way at once.
const AT_ONCE: usize = 300;
const LANGUAGES: [&str; 6] = ["en-US", "es-MX", "fr-FR", "de-DE", "pt-BR", "ja-JP"];

/// Clones share their numbers.
#[derive(Clone)]
pub struct Callers {
    pub client: Client,
    pub campaigns: Arc<[String]>,
    pub clock: Clock,
    /// No number is used twice.
    next_number: Arc<AtomicU32>,
}

/// A callback to be asked for, as it is posted.
struct NewCallback {
    place: Place,
    body: Value,
    key: Option<String>,
    /// Its window ends within minutes.
    is_late: bool,
}

impl Callers {
    pub fn new(client: Client, campaigns: Vec<String>) -> Self {
        let campaigns = campaigns.into();
        Self { client, campaigns, clock: Clock::system(), next_number: Arc::default() }
    }

    /// So many a second, until `stop`; returns once all have been answered, or have given up.
    pub async fn call(self, rate: f64, mut rng: Rng, stop: CancellationToken) {
        let (under_way, room) = (TaskTracker::new(), Arc::new(Semaphore::new(AT_ONCE)));
        let mut turns = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else { continue };
            let (caller, rng) = (self.clone(), rng.fork());
            under_way.spawn(async move {
                caller.call_once(rng).await;
                drop(room);
            });
        }
        under_way.close();
        under_way.wait().await;
    }

    async fn call_once(&self, mut rng: Rng) {
        match rng.u32(0..100) {
            0..8 => self.batch(&mut rng).await,
            8..70 => self.post(true, &mut rng).await,
            _ => self.post(false, &mut rng).await,
        }
    }

    /// One POST; without a key it is sent again only where a second callback would be refused as a duplicate.
    async fn post(&self, has_key: bool, rng: &mut Rng) {
        let new_callback = self.new_callback(has_key, rng);
        let prefer = [None, Some("respond-async"), Some("wait=1"), Some("wait=5"), Some("wait=10")];
        let ask = Ask {
            what: "POST callback",
            path: "/v1/callbacks".into(),
            body: new_callback.body.clone(),
            idempotency_key: new_callback.key.clone(),
            prefer: rng.choice(prefer).flatten().map(str::to_owned),
        };
        let is_repeatable = has_key || (!new_callback.is_late && rng.bool());
        let answer =
            if is_repeatable { self.client.until_answered(&ask, rng).await } else { self.client.once(&ask, rng).await };
        let Some(answer) = answer else { return };
        let Some(id) = self.posted(&new_callback, &answer) else { return };
        match rng.u32(0..100) {
            0..10 => self.cancel(&new_callback, &id, rng).await,
            10..20 if has_key => self.post_again(&new_callback, &ask, rng).await,
            _ => {}
        }
    }

    /// One POST to one replica, which does not wait for the outcome.
    pub async fn write(&self, replica: usize, rng: &mut Rng) {
        let new_callback = self.new_callback(true, rng);
        let ask = Ask {
            what: "POST callback, async",
            path: "/v1/callbacks".into(),
            body: new_callback.body.clone(),
            idempotency_key: new_callback.key.clone(),
            prefer: Some("respond-async".into()),
        };
        if let Some(answer) = self.client.once_to(replica, &ask).await
            && self.posted(&new_callback, &answer).is_some()
        {
            self.client.record.wrote(replica);
        }
    }

    /// The id of the callback that an answer acknowledges.
    fn posted(&self, new_callback: &NewCallback, answer: &Answer) -> Option<String> {
        match (answer.status, answer.problem()) {
            (201 | 202, _) => Some(self.acknowledged(new_callback, &answer.body["id"], answer.status)),
            (409, "duplicate-callback") if answer.is_repeat && new_callback.key.is_none() => {
                Some(self.acknowledged(new_callback, &answer.body["existingId"], 409))
            }
            (409, "duplicate-callback") if answer.is_repeat => {
                self.refused(
                    "a retry under its key is refused as a duplicate of its own callback",
                    new_callback,
                    answer,
                );
                None
            }
            (422, _) if new_callback.is_late && Answer::is_too_late(&answer.body) => None,
            // A callback that CXone rejected is in the list, and judged there.
            (500.., _) | (422, "cxone-rejected" | "no-forecast") => None,
            _ => {
                self.refused("a good request for a callback is refused", new_callback, answer);
                None
            }
        }
    }

    fn acknowledged(&self, new_callback: &NewCallback, id: &Value, status: u16) -> String {
        let id = id.as_str().unwrap_or_default().to_owned();
        self.client.record.acknowledged(new_callback.place, Ack { id: id.clone(), status, at: self.clock.now() });
        id
    }

    fn refused(&self, what: &str, new_callback: &NewCallback, answer: &Answer) {
        let details = json!({ "request": new_callback.body, "status": answer.status, "answer": answer.body });
        self.client.record.wrong(what, details);
    }

    /// The same request under the same key, later: it is answered as before.
    async fn post_again(&self, new_callback: &NewCallback, ask: &Ask, rng: &mut Rng) {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..10_000))).await;
        let Some(answer) = self.client.until_answered(ask, rng).await else { return };
        if answer.body["id"].is_string() && answer.status < 300 {
            self.acknowledged(new_callback, &answer.body["id"], answer.status);
        } else {
            self.refused("a repeated request is not answered as the first one was", new_callback, &answer);
        }
    }

    async fn cancel(&self, new_callback: &NewCallback, id: &str, rng: &mut Rng) {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..3_000))).await;
        let ask = Ask {
            what: "POST cancel",
            path: format!("/v1/callbacks/{id}/cancel"),
            body: json!({}),
            idempotency_key: Some(key(rng)),
            prefer: None,
        };
        self.client.record.change(new_callback.place, |intent| intent.cancel_sent = true);
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        match (answer.status, answer.problem()) {
            (200, _) => self.client.record.change(new_callback.place, |intent| intent.cancelled = true),
            (409, "already-scheduled" | "already-ended") => {}
            _ => self.refused("a cancellation is answered in a way that it must not be", new_callback, &answer),
        }
    }

    async fn batch(&self, rng: &mut Rng) {
        let callbacks: Vec<NewCallback> = (0..rng.usize(2..12)).map(|_| self.new_callback(false, rng)).collect();
        let key = key(rng);
        let ask = Ask {
            what: "POST batch",
            path: "/v1/callbacks/batch".into(),
            body: json!({ "callbacks": callbacks.iter().map(|new_callback| &new_callback.body).collect::<Vec<_>>() }),
            idempotency_key: Some(key.clone()),
            prefer: None,
        };
        for new_callback in &callbacks {
            self.client.record.change(new_callback.place, |intent| intent.key = Some(key.clone()));
        }
        let Some(answer) = self.client.until_answered(&ask, rng).await else { return };
        for (index, new_callback) in callbacks.iter().enumerate() {
            let result = &answer.body["results"][index];
            if result["id"].is_string() {
                self.acknowledged(new_callback, &result["id"], 202);
            } else if !(new_callback.is_late && Answer::is_too_late(&result["problem"])) {
                self.refused("an item of a good batch is refused", new_callback, &answer);
            }
        }
    }

    fn new_callback(&self, has_key: bool, rng: &mut Rng) -> NewCallback {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let landline = rng.u32(0..100) < 5;
        let phone = if landline { format!("+4930{}", 22_000_000 + number) } else { format!("+12025{number:06}") };
        let campaign = self.campaigns[rng.usize(0..self.campaigns.len())].clone();
        let (start, end) = window(self.clock.now(), rng);
        let body = json!({
            "phoneNumber": phone, "campaignId": campaign, "language": rng.choice(LANGUAGES),
            "requestedStart": start, "requestedEnd": end, "timezone": "America/New_York",
        });
        let key = has_key.then(|| key(rng));
        let intent = Intent { phone, campaign, key: key.clone(), landline, ..Intent::default() };
        let is_late = end < self.clock.now() + SignedDuration::from_mins(10);
        NewCallback { place: self.client.record.wants(intent), body, key, is_late }
    }
}

/// Most windows leave plenty of time; some are nearly over, and some leave hardly any time to dial.
fn window(now: Timestamp, rng: &mut Rng) -> (Timestamp, Timestamp) {
    let length = rng.i64(3600..4 * 3600);
    let end = match rng.u32(0..100) {
        0..65 => length + rng.i64(-1800..2 * 3600),
        65..85 => rng.i64(120..300),
        _ => rng.i64(65..110),
    };
    // To the second, as an IVR writes it.
    let at = |second| Timestamp::from_second(now.as_second() + second).unwrap_or(now);
    (at(end - length), at(end))
}

/// A new idempotency key.
pub fn key(rng: &mut Rng) -> String {
    format!("chaos-{:032x}", rng.u128(..))
}
