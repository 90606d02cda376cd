use jiff::ToSpan as _;
use jiff_sqlx::ToSqlx as _;
use sqlx::{AssertSqlSafe, PgPool};

use super::tests::Log;
use super::verify::{Broken, Reason};
use crate::audit::{Action, Actor, Entry, Outcome, Retention, set_retention};
use crate::clock::Clock;
use crate::db::Db;

/// Of the entries that the tests record, each in a month that is over.
const OLD: i64 = 100;

fn retention(pool: &PgPool) -> Retention {
    Retention::new((*pool.connect_options()).clone())
}

async fn keep_for_no_time(pool: &PgPool) {
    set_retention(&Db::new(pool.clone()), Some(0), &Clock::system()).await.unwrap();
}

/// Records entries of now.
async fn record_new(pool: &PgPool, count: usize) {
    for _ in 0..count {
        let clock = Clock::system();
        let entry = Entry::new(clock.new_id(), clock.now(), Action::KeyCreated, Actor::operator(), Outcome::Succeeded);
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(pool).await.unwrap();
    }
}

/// A sealed log of the entry of the keys, old entries, and 300 new ones. The retention of the old ones has ended.
async fn log_with_old_entries(pool: &PgPool) -> Log {
    let log = Log::with_entries(pool, 1 + usize::try_from(OLD).unwrap()).await;
    record_new(pool, 300).await;
    keep_for_no_time(pool).await;
    log.seal().await;
    log
}

#[sqlx::test]
async fn a_log_whose_old_entries_were_dropped_is_valid_and_says_so(pool: PgPool) {
    let log = log_with_old_entries(&pool).await;
    retention(&pool).step().await.unwrap();
    for sealed in [false, true] {
        if sealed {
            log.seal().await;
        }
        let verification = log.verify().await;
        assert!(verification.valid, "{verification:?}");
        assert_eq!(verification.expired, 100);
    }
    let detail: serde_json::Value =
        sqlx::query_scalar("select detail from audit_entries where action = 'audit.expired'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((detail["entries"].as_i64(), detail["lastSeq"].as_i64()), (Some(OLD), Some(OLD + 1)));
    // Once more, there is nothing to drop.
    retention(&pool).step().await.unwrap();
    assert_eq!(log.verify().await.expired, 100);
}

#[sqlx::test]
async fn what_was_dropped_at_different_times_is_added_up(pool: PgPool) {
    let log = log_with_old_entries(&pool).await;
    retention(&pool).step().await.unwrap();
    log.seal().await;
    // As on the first day of the month after next. The entry is recorded in the month that is dropped.
    let next_month = Clock::system().now() + (32 * 24).hours();
    let dropped: Option<String> = sqlx::query_scalar("select audit_expire_before(audit_month($1))")
        .bind(next_month.to_sqlx())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(dropped.unwrap().starts_with("audit_entries_20"));
    log.seal().await;
    let verification = log.verify().await;
    assert!(verification.valid, "{verification:?}");
    assert!(verification.expired > 400);
}

#[sqlx::test]
async fn an_entry_that_was_deleted_besides_is_found(pool: PgPool) {
    let log = log_with_old_entries(&pool).await;
    retention(&pool).step().await.unwrap();
    log.seal().await;
    for seq in [OLD + 2, 300] {
        log.tamper(&format!("delete from audit_entries where seq = {seq}")).await;
    }
    assert_eq!(log.broken().await, Broken { seq: Some(OLD + 2), id: None, reason: Reason::Deleted });
    // The entry of the keys is older than those that were dropped, and was kept.
    log.tamper("delete from audit_entries where seq = 1").await;
    assert_eq!(log.broken().await.reason, Reason::Deleted);
}

#[sqlx::test]
async fn a_partition_that_was_dropped_by_hand_is_found(pool: PgPool) {
    let log = log_with_old_entries(&pool).await;
    sqlx::raw_sql("drop table audit_entries_first").execute(&pool).await.unwrap();
    assert_eq!(log.broken().await, Broken { seq: Some(2), id: None, reason: Reason::Deleted });
}

#[sqlx::test]
async fn an_entry_is_kept_until_it_is_sealed(pool: PgPool) {
    let log = log_with_old_entries(&pool).await;
    log.record(1).await;
    retention(&pool).step().await.unwrap();
    assert_eq!(log.verify().await.expired, 0);
    log.seal().await;
    retention(&pool).step().await.unwrap();
    assert_eq!(log.verify().await.expired, 101);
}

#[sqlx::test]
async fn entries_are_kept_for_ever_unless_a_retention_is_set(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    retention(&pool).step().await.unwrap();
    keep_for_no_time(&pool).await;
    set_retention(&Db::new(pool.clone()), None, &Clock::system()).await.unwrap();
    log.seal().await;
    retention(&pool).step().await.unwrap();
    assert_eq!(log.verify().await.expired, 0);
    let changes: i64 =
        sqlx::query_scalar("select count(*) from audit_entries where action = 'audit.retention_changed'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(changes, 2);
}

#[sqlx::test]
async fn of_old_checkpoints_the_last_one_of_each_hour_is_kept_and_those_with_signatures(pool: PgPool) {
    let _log = Log::with_entries(&pool, 2).await;
    sqlx::raw_sql(
        "insert into audit_checkpoints (size, root, checkpoint, signed_at)
         select 1000 + n, sha256(n::text::bytea), 'c', now() - interval '2 days' - n * interval '10 minutes'
         from generate_series(1, 12) as n;
         insert into audit_cosignatures (size, signature, received_at)
         select size, E'— witness c2ln\n', now() from audit_checkpoints where size = 1003",
    )
    .execute(&pool)
    .await
    .unwrap();
    // They are signed in the order of their size.
    sqlx::raw_sql(
        "alter table audit_checkpoints disable trigger all;
         alter table audit_log_head disable trigger all;
         update audit_log_head set size = 2000;
         update audit_checkpoints set signed_at = date_trunc('hour', now() - interval '2 days')
             + (size - 1000) * interval '20 minutes' where size > 1000;
         alter table audit_checkpoints enable trigger all",
    )
    .execute(&pool)
    .await
    .unwrap();
    retention(&pool).step().await.unwrap();
    let kept: Vec<i64> = sqlx::query_scalar("select size from audit_checkpoints where size > 1000 order by size")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(kept, [1002, 1003, 1005, 1008, 1011, 1012]);
    let error = sqlx::query("delete from audit_checkpoints where size = 1008").execute(&pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
}

#[sqlx::test(migrations = false)]
async fn entries_of_a_log_without_partitions_are_kept_in_the_first_one(pool: PgPool) {
    // The tests' server has the current schema in each new database.
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let migrator = sqlx::migrate!();
    migrator.run_to(26, &pool).await.unwrap();
    record_new(&pool, 5).await;
    migrator.run(&pool).await.unwrap();
    record_new(&pool, 5).await;
    let seqs: Vec<(i64, String)> =
        sqlx::query_as("select seq, tableoid::regclass::text from audit_entries order by seq")
            .fetch_all(&pool)
            .await
            .unwrap();
    let expected: Vec<_> = (1..=10).map(|seq| (seq, "audit_entries_first".to_owned())).collect();
    assert_eq!(seqs, expected);
    let log = Log::with_entries(&pool, 2).await;
    assert!(log.verify().await.valid);
}

#[sqlx::test(migrations = false)]
async fn the_role_of_a_running_service_goes_on_after_the_log_got_partitions(pool: PgPool) {
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let migrator = sqlx::migrate!();
    migrator.run_to(26, &pool).await.unwrap();
    let role: String = sqlx::query_scalar("select 'of_' || md5(current_database())").fetch_one(&pool).await.unwrap();
    let grant = format!("create role {role}; grant select, insert on audit_entries to {role}");
    sqlx::raw_sql(AssertSqlSafe(grant)).execute(&pool).await.unwrap();
    migrator.run(&pool).await.unwrap();
    let granted: Vec<bool> = sqlx::query_scalar(
        "select has_table_privilege($1, name, privilege) from (values ('audit_entries', 'select'), ('audit_entries', 'insert'),
             ('audit_entries', 'update'), ('audit_entries_first', 'insert'), ('audit_retention', 'update')) as t(name, privilege)
         union all select has_sequence_privilege($1, 'audit_entries_seq_seq', 'usage')",
    )
    .bind(&role)
    .fetch_all(&pool)
    .await
    .unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("drop owned by {role}; drop role {role}"))).execute(&pool).await.unwrap();
    assert_eq!(granted, [true, true, false, false, false, true]);
}
