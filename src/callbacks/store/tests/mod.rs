//! The statements of the store, against Postgres.

mod among_open;
mod at_risk;
mod changes;
mod claim;
mod erase;
mod external_id;
mod insert;
mod list;
mod outcomes;
mod placing;
mod progress;
mod purge;
mod reschedule;
mod statistics;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::*;
use crate::audit::{Action, Outcome};
use crate::callbacks::attempt::CallbackRepository as _;
use crate::callbacks::model::testing::contact;
use crate::callbacks::model::{CallOutcome, Confirmation, testing};
use crate::cxone::ContactId;
use crate::placement::{Choice, Decision, Inputs, NOTICE, Reason};

const ANY: Claimable = Claimable { contacts: true, messages: true, notice: NOTICE };
const LEASE: SignedDuration = SignedDuration::from_secs(15);

fn store(pool: &PgPool) -> CallbackStore {
    CallbackStore::new(Db::new(pool.clone()))
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

fn now() -> Timestamp {
    at("14:00:00")
}

/// A decision for this time.
fn decided(dispatch_time: Timestamp) -> Decision {
    let choice = Choice { hour: dispatch_time, dispatch_time, reason: Reason::Earliest };
    Decision { inputs: Inputs::without_forecast(&[], &[], dispatch_time), choice }
}

/// Callback number `n`, accepted and due now, to be called from 15:00 to 17:00.
fn accepted(n: u16) -> Callback {
    testing::accepted(n, at("15:00:00"), now())
}

/// The same, placed at `start`.
fn placed(n: u16, start: &str) -> Callback {
    let mut callback = accepted(n);
    callback.place(at(start));
    callback
}

/// The same, with its contact at `start`, and its SMS still to be sent.
fn scheduled(n: u16, start: &str) -> Callback {
    let mut callback = placed(n, start);
    callback.schedule(contact(&callback, at(start)), None, now());
    callback.reset_confirmation();
    callback
}

/// An audit entry about the callback, with an id of its own.
fn entry(callback: &Callback, action: Action) -> Entry {
    let id = Uuid::new_v5(&callback.id, format!("{action:?} {}", callback.attempts).as_bytes());
    callback.entry(id, now(), action, Outcome::Succeeded, Status::Accepted)
}

async fn insert<'a>(
    store: &CallbackStore,
    callbacks: impl IntoIterator<Item = &'a Callback>,
) -> HashMap<Uuid, Inserted> {
    let new = callbacks.into_iter().map(|callback| (callback, entry(callback, Action::CallbackAccepted)));
    let new: Vec<_> = new.collect();
    store.insert(new.iter().map(|(callback, entry)| (*callback, entry)).collect()).await.unwrap()
}

/// Stores callbacks in any state.
async fn put(store: &CallbackStore, callbacks: &[Callback]) {
    for callback in callbacks {
        let new = Callback {
            status: Status::Accepted,
            confirmation: Confirmation::Pending,
            sms_session_id: None,
            due_at: Some(now()),
            ..callback.clone()
        };
        assert_eq!(insert(store, [&new]).await[&callback.id], Inserted::New);
        assert!(store.save(callback, None).await.unwrap());
    }
}

async fn stored(store: &CallbackStore, id: Uuid) -> Callback {
    store.find(id).await.unwrap().unwrap()
}

/// Claims one callback at `now`.
async fn claim(store: &CallbackStore, now: Timestamp) -> Option<Callback> {
    store.claim(now, now + LEASE, ANY, 1).await.unwrap().pop()
}

/// Callback number `n` of this campaign, with its contact at 15:00 and an open outcome.
fn of_campaign(n: u16, campaign: &str) -> Callback {
    let outcome = Some(CallOutcome::PENDING);
    Callback { campaign_id: CampaignId::parse(campaign).unwrap(), outcome, ..scheduled(n, "15:00:00") }
}

/// Adds a webhook endpoint for all events of callbacks.
async fn subscribe(pool: &PgPool) {
    sqlx::query(
        "insert into webhook_endpoints (id, url, is_configured, created_at)
         values (gen_random_uuid(), 'https://wfo.example.com/hooks', true, now())",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// The campaigns and the callbacks of the events, in the order of the events.
async fn published(pool: &PgPool) -> Vec<(String, Uuid)> {
    sqlx::query_as("select campaign_id, (body::jsonb ->> 'callbackId')::uuid from webhook_events order by seq")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// The actions in the audit log about a callback, in order.
async fn actions(pool: &PgPool, id: Uuid) -> Vec<String> {
    sqlx::query_scalar("select action from audit_entries where callback_id = $1 order by seq")
        .bind(id)
        .fetch_all(pool)
        .await
        .unwrap()
}
