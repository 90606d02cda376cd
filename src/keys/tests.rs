use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::{KeySecret, KeyStore, NewKey};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::Db;
use crate::http::Scope;

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn entry(action: Action) -> Entry {
    Entry::new(Clock::system().new_id(), now(), action, Actor::operator(), Outcome::Succeeded)
}

async fn create(store: &KeyStore, expires_at: Option<Timestamp>) -> (Uuid, KeySecret) {
    let scopes = vec![Scope::CallbacksRead, Scope::CallbacksWrite];
    let key = NewKey { id: Clock::system().new_id(), name: "ivr".into(), scopes, expires_at };
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
    assert_eq!(*found.scopes, [Scope::CallbacksRead, Scope::CallbacksWrite]);
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
