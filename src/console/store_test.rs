use jiff::SignedDuration;
use sqlx::PgPool;

use super::*;
use crate::audit::{Action, Actor, Outcome};
use crate::http::Scope;
use crate::keys::{Grant, KeySecret, KeyStore, NewKey};

const KEY: Uuid = Uuid::from_u128(1);

fn at(minutes: i64) -> Timestamp {
    "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn entry(id: u128) -> Entry {
    Entry::new(Uuid::from_u128(id), at(0), Action::ConsoleSignedIn, Actor::operator(), Outcome::Succeeded)
}

async fn store(pool: PgPool) -> ConsoleStore {
    let db = Db::new(pool);
    let grant = Grant::new(vec![Scope::AuditRead], AllowedCampaigns::all(), None, None);
    let key = NewKey { id: KEY, name: "ada".into(), grant };
    let secret = KeySecret::generate().unwrap();
    KeyStore::new(db.clone()).create(&key, &secret, at(0), entry(1)).await.unwrap();
    ConsoleStore::new(db)
}

#[sqlx::test]
async fn a_session_of_a_person_is_read_as_it_was_stored(pool: PgPool) {
    let store = store(pool).await;
    let campaigns = AllowedCampaigns::only([CampaignId::parse("a").unwrap()]);
    let token = Token {
        id: Uuid::from_u128(7),
        name: "grace".into(),
        scopes: [Scope::AuditRead, Scope::CampaignsRead].into(),
        campaigns: campaigns.clone(),
        expires_at: at(60),
        valid_from: None,
    };
    let session = StoredSession { owner: Owner::Subject(Arc::new(token)), expires_at: at(60) };
    store.create_session([1; 32], &session, at(0), entry(2)).await.unwrap();
    let read = store.session([1; 32]).await.unwrap().unwrap();
    let Owner::Subject(read) = &read.owner else { panic!("{read:?}") };
    assert_eq!((read.id, &*read.name, read.expires_at), (Uuid::from_u128(7), "grace", at(60)));
    assert_eq!((&*read.scopes, &read.campaigns), (&[Scope::AuditRead, Scope::CampaignsRead][..], &campaigns));
    assert!(store.session([2; 32]).await.unwrap().is_none());
}

#[sqlx::test]
async fn a_session_ends_once_and_very_many_end_the_oldest(pool: PgPool) {
    let store = store(pool.clone()).await;
    let session = StoredSession { owner: Owner::Key(KEY), expires_at: at(60) };
    sqlx::query(
        "insert into console_sessions (token_hash, key_id, created_at, expires_at)
         select sha256(n::text::bytea), $1, $2::timestamptz + n * interval '1 second', $2 + interval '1 hour'
         from generate_series(1, 500) as n",
    )
    .bind(KEY)
    .bind(at(0).to_sqlx())
    .execute(&pool)
    .await
    .unwrap();
    store.create_session([1; 32], &session, at(10), entry(2)).await.unwrap();
    let count = "select count(*), bool_or(token_hash = sha256('1')) from console_sessions";
    assert_eq!(sqlx::query_as::<_, (i64, bool)>(count).fetch_one(&pool).await.unwrap(), (500, false));
    assert!(store.session([1; 32]).await.unwrap().is_some());
    store.end_session([1; 32], entry(3)).await.unwrap();
    store.end_session([1; 32], entry(4)).await.unwrap();
    assert!(store.session([1; 32]).await.unwrap().is_none());
    let entries: i64 = sqlx::query_scalar("select count(*) from audit_entries").fetch_one(&pool).await.unwrap();
    assert_eq!(entries, 3);
}

#[sqlx::test]
async fn a_link_is_used_once_and_not_after_its_end_and_what_has_ended_is_deleted(pool: PgPool) {
    let store = store(pool.clone()).await;
    for (number, expires_at) in [(1, at(10)), (2, at(10)), (3, at(20))] {
        store.create_link([number; 32], KEY, expires_at, entry(u128::from(number) + 1)).await.unwrap();
    }
    assert_eq!(store.use_link([1; 32], at(9)).await.unwrap(), Some(KEY));
    assert_eq!(store.use_link([1; 32], at(9)).await.unwrap(), None);
    assert_eq!(store.use_link([2; 32], at(10)).await.unwrap(), None);
    let session = StoredSession { owner: Owner::Key(KEY), expires_at: at(15) };
    store.create_session([1; 32], &session, at(0), entry(9)).await.unwrap();
    store.purge(at(14)).await.unwrap();
    assert!(store.session([1; 32]).await.unwrap().is_some());
    store.purge(at(20)).await.unwrap();
    for table in ["console_links", "console_sessions"] {
        let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.unwrap(), 0, "{table}");
    }
}
