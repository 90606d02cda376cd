use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::usage::Usage;
use super::{Grant, KeySecret, KeyStore, NewKey, Rotated, UsageSharing};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::{Db, PageRequest};
use crate::http::Scope;
use crate::types::{AllowedCampaigns, CampaignId, Rate};

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn entry(action: Action) -> Entry {
    Entry::new(Clock::system().new_id(), now(), action, Actor::operator(), Outcome::Succeeded)
}

async fn create(store: &KeyStore, expires_at: Option<Timestamp>) -> (Uuid, KeySecret) {
    let scopes = vec![Scope::CallbacksRead, Scope::CallbacksWrite];
    let grant = Grant::new(scopes, AllowedCampaigns::all(), None, expires_at);
    let key = NewKey { id: Clock::system().new_id(), name: "ivr".into(), grant };
    let secret = KeySecret::generate().unwrap();
    store.create(&key, &secret, now(), entry(Action::KeyCreated)).await.unwrap();
    (key.id, secret)
}

#[sqlx::test]
async fn a_key_is_found_by_its_secret_alone_and_only_its_hash_is_stored(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool.clone()));
    let (id, secret) = create(&store, None).await;
    create(&store, None).await;

    let found = store.find(secret.reveal()).await.unwrap().unwrap();
    assert_eq!((found.id, &*found.name), (id, "ivr"));
    assert_eq!(*found.grant.scopes, [Scope::CallbacksWrite, Scope::CallbacksRead]);
    assert!(store.find("rbk_other").await.unwrap().is_none());
    let rows: String =
        sqlx::query_scalar("select string_agg(k::text, ' ') from api_keys as k").fetch_one(&pool).await.unwrap();
    assert!(!rows.contains(secret.reveal()));
}

#[sqlx::test]
async fn a_key_is_valid_until_it_expires(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool));
    let end = now() + SignedDuration::from_secs(60);
    let (_, secret) = create(&store, Some(end)).await;

    let just_before = end - SignedDuration::from_millis(1);
    let key = store.find(secret.reveal()).await.unwrap().unwrap();
    assert!(key.is_valid(just_before) && !key.is_valid(end));
}

#[sqlx::test]
async fn a_key_is_revoked_once_and_at_once(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool.clone()));
    let (id, secret) = create(&store, None).await;

    assert!(store.revoke(id, now(), entry(Action::KeyRevoked)).await.unwrap());
    assert!(!store.revoke(id, now(), entry(Action::KeyRevoked)).await.unwrap());
    assert!(!store.revoke(Uuid::nil(), now(), entry(Action::KeyRevoked)).await.unwrap());

    assert!(!store.find(secret.reveal()).await.unwrap().unwrap().is_valid(now()));
    assert_eq!(store.list().await.unwrap()[0].revoked_at, Some(now()));
    let recorded: Vec<String> =
        sqlx::query_scalar("select action from audit_entries order by seq").fetch_all(&pool).await.unwrap();
    assert_eq!(recorded, ["key.created", "key.revoked"]);
}

#[sqlx::test]
async fn a_stored_scope_that_is_not_known_is_an_error(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool.clone()));
    let (_, secret) = create(&store, None).await;
    sqlx::raw_sql("update api_keys set scopes = '{callbacks:read,other}'").execute(&pool).await.unwrap();
    assert!(matches!(store.find(secret.reveal()).await, Err(sqlx::Error::Decode(_))));
}

#[sqlx::test]
async fn a_key_is_rotated_once_and_ends_with_its_grace(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool));
    let (old, secret) = create(&store, Some(now() + SignedDuration::from_hours(99))).await;
    let (first, second, newer) = (Uuid::from_u128(1), Uuid::from_u128(2), KeySecret::generate().unwrap());
    let (later, end) = (now() + SignedDuration::from_secs(1), now() + SignedDuration::from_hours(1));
    let rotate =
        async |ids, secret: &KeySecret| store.rotate(ids, secret, later, end, entry(Action::KeyRotated)).await.unwrap();

    assert_eq!(rotate((old, first), &newer).await, Rotated::Done);
    assert_eq!(rotate((old, second), &KeySecret::generate().unwrap()).await, Rotated::Before);
    assert_eq!(rotate((Uuid::nil(), second), &KeySecret::generate().unwrap()).await, Rotated::NotFound);
    let old = store.find(secret.reveal()).await.unwrap().unwrap();
    assert_eq!((old.grant.expires_at, old.replaced_by), (Some(end), Some(first)));
    let new = store.find(newer.reveal()).await.unwrap().unwrap();
    assert_eq!((new.replaces, new.grant.expires_at), (Some(old.id), Some(now() + SignedDuration::from_hours(99))));
    assert_eq!(new.grant.scopes, old.grant.scopes);
}

#[sqlx::test]
async fn a_restricted_key_with_a_rate_is_stored_and_listed_for_its_campaigns(pool: PgPool) {
    let store = KeyStore::new(Db::new(pool));
    create(&store, None).await;
    let only = |id: &str| AllowedCampaigns::only([CampaignId::parse(id).unwrap()]);
    let grant = Grant::new(vec![Scope::AuditRead], only("a"), Rate::parse("600/min").ok(), None);
    let key = NewKey { id: Uuid::from_u128(1), name: "partner".into(), grant: grant.clone() };
    store.create(&key, &KeySecret::generate().unwrap(), now(), entry(Action::KeyCreated)).await.unwrap();

    assert_eq!(store.get(key.id).await.unwrap().unwrap().grant, grant);
    let listed = async |campaigns: AllowedCampaigns| {
        store.page(&campaigns, &PageRequest { limit: 50, after: None }).await.unwrap().data.len()
    };
    assert_eq!((listed(AllowedCampaigns::all()).await, listed(only("a")).await, listed(only("b")).await), (2, 1, 0));
}

#[sqlx::test]
async fn replicas_learn_what_the_others_have_accepted(pool: PgPool) {
    let db = Db::new(pool);
    let (store, replicas) = (KeyStore::new(db.clone()), [Arc::<Usage>::default(), Arc::<Usage>::default()]);
    let grant = Grant::new(vec![Scope::AuditRead], AllowedCampaigns::all(), Rate::parse("100/h").ok(), None);
    let key = NewKey { id: Uuid::from_u128(1), name: "ivr".into(), grant };
    store.create(&key, &KeySecret::generate().unwrap(), now(), entry(Action::KeyCreated)).await.unwrap();
    let key = store.get(key.id).await.unwrap().unwrap();
    let share = async |usage: &Arc<Usage>| UsageSharing::new(db.clone(), Arc::clone(usage)).share(false).await.unwrap();

    for usage in &replicas {
        usage.count(&key, now());
        share(usage).await;
    }
    for _ in 0..40 {
        replicas[0].count(&key, now());
    }
    share(&replicas[0]).await;
    share(&replicas[1]).await;
    assert_eq!(replicas[1].count(&key, now()).unwrap().remaining, 58);
    assert_eq!(replicas[0].count(&key, now()).unwrap().remaining, 57);
    assert_eq!(store.get(key.id).await.unwrap().unwrap().last_used_at, Some(now()));
}
