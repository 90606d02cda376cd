//! Entries that take the number of another one, and a tree that was rewritten.

use sqlx::PgPool;

use super::tests::{ENTRIES, Log, entry};
use super::verify::Reason;

#[sqlx::test]
async fn an_entry_whose_number_is_taken_is_an_error_and_not_left_out(pool: PgPool) {
    Log::with_entries(&pool, ENTRIES).await;
    let insert = "insert into audit_entries (seq, id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome)
         overriding system value
         select 1 + (select last_value from audit_entries_seq_seq), gen_random_uuid(), \"timestamp\", action, actor_type,
             actor_id, actor_name, outcome
         from audit_entries where seq = 400";
    sqlx::raw_sql(insert).execute(&pool).await.unwrap();
    let refused = sqlx::query("select audit_record($1)").bind(entry(0).into_json()).execute(&pool).await.unwrap_err();
    assert!(refused.to_string().contains("has the number of this one"), "{refused}");

    // The same entry again is no error: its first commit was not answered.
    let twice = entry(1).into_json();
    for _ in 0..2 {
        sqlx::query("select audit_record($1)").bind(&twice).execute(&pool).await.unwrap();
    }
}

/// Each partition has its own index, so that a number can be taken in another one.
#[sqlx::test]
async fn a_second_entry_with_the_same_number_is_found(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    log.tamper(
        "insert into audit_entries (seq, id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome)
         overriding system value
         select 400, gen_random_uuid(), '2200-01-01', action, actor_type, actor_id, 'somebody else', outcome
         from audit_entries where seq = 400",
    )
    .await;
    let broken = log.broken().await;
    assert_eq!(broken.seq, Some(400));
    assert!(matches!(broken.reason, Reason::Inserted | Reason::Changed), "{broken:?}");
}

#[sqlx::test]
async fn a_tree_that_was_rewritten_is_not_signed(pool: PgPool) {
    let log = Log::with_entries(&pool, 300).await;
    log.tamper(
        "update audit_log_tiles set hashes = overlay(hashes placing '\\x00' from 1) where level = 0 and tile = 1",
    )
    .await;
    log.record(1).await;
    let refused = log.sequencer.step().await.unwrap_err();
    assert!(refused.to_string().contains("do not fit its last checkpoint"), "{refused}");
}
