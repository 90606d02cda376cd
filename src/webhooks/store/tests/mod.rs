//! The statements of the store, against Postgres.

mod checkpoints;
mod configured;
mod endpoints;
mod order;
mod outbox;
mod person;
mod redelivery;
mod settling;
mod statistics;
mod waiting;

use std::time::Duration;

use jiff::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Delivery, Redelivery, WebhookStore};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{CreatedPosition, Db, PageRequest, decode_cursor};
use crate::webhooks::event::{CampaignEvent, Event, EventType, test_event};
use crate::webhooks::model::{Attempt, Claimed, DeliveryStatus, Endpoint, Verdict};

const MINUTE: Duration = Duration::from_mins(1);
const CURRENT: &[u8] = b"current";
/// The verdict for an endpoint that is gone.
const GONE: Verdict = Verdict::Disabled { reason: "gone", failing_since: None };

/// The store of a test, at a time that the test sets.
struct World {
    store: WebhookStore,
    pool: PgPool,
    now: Timestamp,
}

impl World {
    fn new(pool: PgPool) -> Self {
        let now = "2026-11-20T15:00:00Z".parse().unwrap();
        Self { store: WebhookStore::new(Db::new(pool.clone())), pool, now }
    }

    fn entry(&self, action: Action) -> Entry {
        Entry::new(Clock::system().new_id(), self.now, action, Actor::operator(), Outcome::Succeeded)
    }

    async fn endpoint(&self, events: Option<Vec<EventType>>) -> Uuid {
        let id = Clock::system().new_id();
        let endpoint = Endpoint {
            id,
            url: "https://wfo.example.com/hooks".into(),
            events,
            description: None,
            is_configured: false,
            secret: Some(CURRENT.into()),
            failing_since: None,
            disabled: None,
            created_at: self.now,
        };
        assert!(self.store.insert(&endpoint, self.entry(Action::WebhookCreated)).await.unwrap());
        id
    }

    /// An entry of a campaign, with its event.
    fn published_entry(&self, action: Action, campaign: &str) -> Entry {
        let event = CampaignEvent { pause_reason: None, by_answer_rate: false, scheduled_resume_time: None };
        Entry { campaign_id: Some(campaign.into()), ..self.entry(action) }.with_event(&Event::Campaign(event))
    }

    /// Stores an event as `audit_record()` does. Returns its id.
    async fn publish(&self, action: Action, campaign: &str) -> Uuid {
        let entry = self.published_entry(action, campaign);
        let id = entry.id;
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(&self.pool).await.unwrap();
        id
    }

    async fn claim_except(&self, busy: &[Uuid]) -> Option<Claimed> {
        self.store.claim(self.now, self.now + MINUTE, busy, None).await.unwrap()
    }

    async fn claim(&self) -> Option<Claimed> {
        self.claim_except(&[]).await
    }

    async fn settle(&self, claimed: &Claimed, verdict: Verdict) -> bool {
        let attempt = Attempt { at: self.now, duration_ms: 1, status: Some(200), error: None, answer: None };
        let disabled = matches!(verdict, Verdict::Disabled { .. }).then(|| self.entry(Action::WebhookDisabled));
        self.store.settle(claimed, &attempt, &verdict, disabled).await.unwrap().is_some()
    }

    async fn deliveries(&self, endpoint: Uuid, status: Option<DeliveryStatus>) -> Vec<Delivery> {
        self.store.deliveries(endpoint, status, &PageRequest { limit: 200, after: None }).await.unwrap().data
    }

    /// The statuses of an endpoint's deliveries, oldest first.
    async fn statuses(&self, endpoint: Uuid) -> Vec<DeliveryStatus> {
        self.deliveries(endpoint, None).await.iter().rev().map(|delivery| delivery.status).collect()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}
