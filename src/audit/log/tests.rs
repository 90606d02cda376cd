use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tlog_tiles::tlog::{check_tree, prove_tree, record_hash};
use uuid::Uuid;

use super::keys::{LogKeys, PublicKey, read_checkpoint};
use super::leaf::leaf_hash;
use super::proof::Proof;
use super::round::Round;
use super::sequencer::Sequencer;
use super::store::LogStore;
use super::tiles::prove;
use super::tree::{TILE_WIDTH, Tree};
use super::verify::{Broken, Expected, Reason, Verification, verify};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::Db;

pub(super) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(super) const OTHER_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
pub(super) const ORIGIN: &str = "audit.example.com/test";

pub(super) struct Log {
    pub store: LogStore,
    pub sequencer: Sequencer,
    pub pool: PgPool,
}

impl Log {
    fn over(pool: &PgPool, keys: &str) -> Self {
        let store = LogStore::new(Db::new(pool.clone()));
        let keys = LogKeys::parse(ORIGIN, keys).unwrap();
        Self { sequencer: Sequencer::new(store.clone(), keys, Clock::system()), store, pool: pool.clone() }
    }

    /// A log with this many entries, sealed and settled. The first one is that of the keys.
    pub async fn with_entries(pool: &PgPool, count: usize) -> Self {
        let log = Self::over(pool, KEY);
        log.seal().await;
        log.record(count - 1).await;
        log.seal().await;
        log
    }

    pub async fn record(&self, count: usize) {
        for n in 0..count {
            record(&self.pool, n).await;
        }
    }

    /// Seals and settles everything. Transactions of other tests delay the latter.
    pub async fn seal(&self) {
        let last: i64 = sqlx::query_scalar("select coalesce(max(seq), 0) from audit_entries where seq > 0")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        loop {
            let sealed = self.sequencer.step().await.unwrap();
            let (newest, settled_seq) = self.store.newest_and_settled().await.unwrap();
            if sealed == 0 && newest.is_some() && settled_seq >= last {
                break;
            }
        }
    }

    pub async fn verify(&self) -> Verification {
        verify(&self.store, &Expected::default()).await.unwrap()
    }

    pub async fn broken(&self) -> Broken {
        let verification = self.verify().await;
        assert!(!verification.valid);
        verification.first_broken.unwrap()
    }

    /// As somebody with the password of the owner, who switches the triggers off.
    pub async fn tamper(&self, sql: &str) {
        let sql = format!("begin; set local session_replication_role = replica; {sql}; commit");
        let tables = ["audit_entries", "audit_log_tiles", "audit_log_leaves", "audit_log_head", "audit_checkpoints"];
        let switch = |state: &str| tables.map(|table| format!("alter table {table} {state} trigger all;")).concat();
        let sql = format!("{}{sql}; {}", switch("disable"), switch("enable"));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn id_of(&self, seq: i64) -> Uuid {
        sqlx::query_scalar("select id from audit_entries where seq = $1").bind(seq).fetch_one(&self.pool).await.unwrap()
    }
}

pub(super) fn entry(n: usize) -> Entry {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let entry = Entry::new(Clock::system().new_id(), now, Action::KeyCreated, Actor::operator(), Outcome::Succeeded);
    entry.with_detail(&json!({"n": n, "name": "é"}))
}

async fn record(executor: impl sqlx::PgExecutor<'_>, n: usize) {
    sqlx::query("select audit_record($1)").bind(entry(n).into_json()).execute(executor).await.unwrap();
}

/// The first, a middle and the last entry of a full tile, of the one after it, and of the last one.
const PLACES: [i64; 6] = [1, 100, 256, 257, 300, 400];
pub(super) const ENTRIES: usize = 400;

#[sqlx::test]
async fn a_log_without_changes_is_valid(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    let verification = log.verify().await;
    assert!(verification.valid, "{verification:?}");
    assert_eq!((verification.entries, verification.sealed), (400, 400));
    let key = LogKeys::parse(ORIGIN, KEY).unwrap().public()[0].clone();
    assert_eq!(key.check(&verification.checkpoint.unwrap()).unwrap().size(), 400);
}

#[sqlx::test]
async fn entries_of_newer_versions_are_sealed(pool: PgPool) {
    let log = Log::with_entries(&pool, 2).await;
    let mut newer = entry(2).into_json();
    newer["action"] = json!("key.moved");
    sqlx::query("select audit_record($1)").bind(newer).execute(&pool).await.unwrap();
    log.seal().await;
    let verification = log.verify().await;
    assert!(verification.valid, "{verification:?}");
    assert_eq!(verification.sealed, 3);
}

#[sqlx::test]
async fn each_changed_entry_is_found(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    for seq in PLACES {
        let id = log.id_of(seq).await;
        log.tamper(&format!("update audit_entries set actor_name = actor_name || 'x' where seq = {seq}")).await;
        assert_eq!(log.broken().await, Broken { seq: Some(seq), id: Some(id), reason: Reason::Changed });
        log.tamper(&format!("update audit_entries set actor_name = rtrim(actor_name, 'x') where seq = {seq}")).await;
        assert!(log.verify().await.valid);
    }
}

#[sqlx::test]
async fn each_deleted_entry_is_found(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    for seq in PLACES.into_iter().rev() {
        log.tamper(&format!("delete from audit_entries where seq = {seq}")).await;
        assert_eq!(log.broken().await, Broken { seq: Some(seq), id: None, reason: Reason::Deleted });
    }
}

#[sqlx::test]
async fn entries_that_changed_places_are_found(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    for seq in [399, 300, 256, 1] {
        let id = log.id_of(seq + 1).await;
        log.tamper(&format!(
            "alter table audit_entries alter seq set generated by default;
             update audit_entries set seq = -1 where seq = {seq}; update audit_entries set seq = {seq} where seq = {seq} + 1;
             update audit_entries set seq = {seq} + 1 where seq = -1"
        ))
        .await;
        assert_eq!(log.broken().await, Broken { seq: Some(seq), id: Some(id), reason: Reason::Changed });
    }
}

#[sqlx::test]
async fn an_inserted_entry_is_found_and_never_sealed(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    // A rollback leaves a gap, which is no false alarm.
    let mut transaction = pool.begin().await.unwrap();
    record(&mut *transaction, 0).await;
    transaction.rollback().await.unwrap();
    log.record(1).await;
    log.seal().await;
    assert!(log.verify().await.valid);
    for seq in [401, 0, -7] {
        log.tamper(&format!(
            "insert into audit_entries (seq, id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome)
             overriding system value
             select {seq}, gen_random_uuid(), \"timestamp\", action, actor_type, actor_id, actor_name, outcome
             from audit_entries where seq = 400"
        ))
        .await;
        let id = log.id_of(seq).await;
        log.seal().await;
        assert_eq!(log.broken().await, Broken { seq: Some(seq), id: Some(id), reason: Reason::Inserted });
    }
}

#[sqlx::test]
async fn a_whole_batch_that_is_cut_off_or_left_out_is_found(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    let kept = log.verify().await.checkpoint.unwrap();
    log.record(50).await;
    log.seal().await;
    // The entries alone.
    log.tamper("delete from audit_entries where seq > 400").await;
    assert_eq!(log.broken().await, Broken { seq: Some(401), id: None, reason: Reason::Deleted });
    // The leaves with them.
    log.tamper("delete from audit_log_leaves where tile = 1").await;
    assert_eq!(log.broken().await.reason, Reason::Truncated);
    // Everything that tells of them: only a checkpoint that was kept elsewhere does.
    log.tamper(
        "delete from audit_entries where seq > 256; delete from audit_checkpoints where size > 1;
         update audit_log_head set size = 1, settled_seq = 1; update audit_log_leaves set seqs = array[1], last_seq = 1;
         delete from audit_entries where seq > 1",
    )
    .await;
    assert!(log.verify().await.valid);
    let kept = read_checkpoint(&kept).unwrap();
    let verification = verify(&log.store, &Expected { keys: &[], kept: Some(&kept) }).await.unwrap();
    assert_eq!(verification.first_broken.unwrap().reason, Reason::Truncated);
}

#[sqlx::test]
async fn a_log_that_was_rewritten_with_its_hashes_is_found_at_its_checkpoint(pool: PgPool) {
    let log = Log::with_entries(&pool, 300).await;
    let kept = log.verify().await.checkpoint.unwrap();
    log.record(10).await;
    log.seal().await;
    let (seq, id) = (305, log.id_of(305).await);
    log.tamper("update audit_entries set actor_name = 'somebody else' where seq = 305").await;
    let forged = leaf_hash(&log.store.entry(id).await.unwrap().unwrap().entry).unwrap();
    log.tamper(&format!(
        "update audit_log_tiles set hashes = overlay(hashes placing decode('{}', 'base64') from {}) where level = 0 and tile = 1",
        STANDARD.encode(forged.0),
        (seq - 1 - 256) * 32 + 1
    ))
    .await;
    // The first entry after the last checkpoint that holds.
    assert_eq!(
        log.broken().await,
        Broken { seq: Some(301), id: Some(log.id_of(301).await), reason: Reason::Rewritten }
    );

    // The whole log anew, with the same key: only the checkpoint that was kept differs.
    log.tamper("update audit_entries set actor_name = 'somebody else' where seq = 200").await;
    log.tamper("delete from audit_log_leaves; delete from audit_log_tiles; delete from audit_checkpoints").await;
    log.tamper("update audit_log_head set size = 0, settled_seq = 0, mark_xid = null, mark_seq = null").await;
    log.seal().await;
    assert!(log.verify().await.valid);
    let kept = read_checkpoint(&kept).unwrap();
    let verification = verify(&log.store, &Expected { keys: &[], kept: Some(&kept) }).await.unwrap();
    assert_eq!(verification.first_broken.unwrap().reason, Reason::Rewritten);
}

#[sqlx::test]
async fn a_transaction_that_commits_late_is_sealed_late(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    let mut late = pool.begin().await.unwrap();
    record(&mut *late, 0).await;
    // No transaction after it has ended yet.
    for _ in 0..3 {
        assert_eq!(log.sequencer.step().await.unwrap(), 0);
    }
    log.record(300).await;
    assert_eq!(log.sequencer.step().await.unwrap(), 300);
    assert_eq!(log.verify().await.sealed, 310);
    assert!(log.store.newest_and_settled().await.unwrap().1 <= 10);
    late.commit().await.unwrap();
    log.seal().await;
    let verification = log.verify().await;
    assert!(verification.valid, "{verification:?}");
    assert_eq!((verification.entries, verification.sealed), (311, 311));
}

#[sqlx::test]
async fn a_log_that_was_restored_on_a_new_server_is_settled_there(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    // The transactions of the new server have lower ids.
    log.tamper("update audit_log_head set mark_xid = '4000000000000', mark_seq = 10").await;
    log.record(10).await;
    log.seal().await;
    assert_eq!(log.store.newest_and_settled().await.unwrap().1, 20);
}

#[sqlx::test]
async fn only_one_sequencer_seals_at_a_time(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    log.record(10).await;
    let round = Round::begin(&log.store.db).await.unwrap();
    assert_eq!(log.sequencer.step().await.unwrap(), 0);
    round.unwrap().end().await.unwrap();
    assert_eq!(log.sequencer.step().await.unwrap(), 10);
}

#[sqlx::test]
async fn the_tree_of_the_log_cannot_be_rewritten_while_the_triggers_are_on(pool: PgPool) {
    let _log = Log::with_entries(&pool, 10).await;
    for sql in [
        "update audit_log_tiles set hashes = substr(hashes, 33)",
        "delete from audit_log_tiles",
        "truncate audit_log_tiles",
        "update audit_log_leaves set seqs = array[3]",
        "delete from audit_log_leaves",
        "update audit_checkpoints set size = 5",
        "delete from audit_checkpoints",
        "update audit_log_head set size = 2",
        "delete from audit_log_head",
    ] {
        let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{sql}");
    }
}

#[sqlx::test]
async fn a_proof_holds_for_its_entry_and_for_no_other(pool: PgPool) {
    let log = Log::with_entries(&pool, ENTRIES).await;
    let tree = log.store.newest_checkpoint().await.unwrap().unwrap();
    let key = LogKeys::parse(ORIGIN, KEY).unwrap().public()[0].to_string();
    for seq in PLACES {
        let recorded = log.store.entry(log.id_of(seq).await).await.unwrap().unwrap();
        let index = log.store.leaf_of(seq).await.unwrap().unwrap();
        let proof = Proof::make(&log.store, &recorded, index, &tree).await.unwrap();
        let file = serde_json::to_string(&proof).unwrap();
        let proof: Proof = serde_json::from_str(&file).unwrap();
        proof.check(&key).unwrap();
        let mut other = proof.clone();
        other.entry["actor"]["name"] = "somebody else".into();
        assert_eq!(other.check(&key).unwrap_err().to_string(), "the entry is not the one that the checkpoint covers");
        let other_key = LogKeys::parse(ORIGIN, OTHER_KEY).unwrap().public()[0].to_string();
        assert_eq!(
            proof.check(&other_key).unwrap_err().to_string(),
            "the checkpoint: no signature of it is by this key"
        );
    }
}

#[sqlx::test]
async fn a_larger_log_is_consistent_with_each_smaller_one(pool: PgPool) {
    let log = Log::with_entries(&pool, 300).await;
    let smaller = log.store.newest_checkpoint().await.unwrap().unwrap();
    log.record(250).await;
    log.seal().await;
    let tree = log.store.newest_checkpoint().await.unwrap().unwrap();
    let proof = prove(&log.store, &tree, |reader| prove_tree(tree.size, smaller.size, reader)).await.unwrap();
    check_tree(&proof, tree.size, tree.root, smaller.size, smaller.root).unwrap();
}

#[sqlx::test]
async fn a_new_key_signs_from_an_entry_that_names_it(pool: PgPool) {
    let log = Log::with_entries(&pool, 10).await;
    let both = Log::over(&pool, &format!("{OTHER_KEY},{KEY}"));
    both.seal().await;
    let verification = both.verify().await;
    assert!(verification.valid);
    assert_eq!(verification.sealed, 11);
    let checkpoint = verification.checkpoint.unwrap();
    for key in [KEY, OTHER_KEY] {
        LogKeys::parse(ORIGIN, key).unwrap().public()[0].check(&checkpoint).unwrap();
    }
    let detail: serde_json::Value =
        sqlx::query_scalar("select detail from audit_entries where seq = 11").fetch_one(&pool).await.unwrap();
    assert_eq!(detail["publicKeys"].as_array().unwrap().len(), 2);
    // A replica that still has the old key changes nothing.
    log.seal().await;
    assert_eq!(log.verify().await.sealed, 11);
}

#[test]
fn a_public_key_is_read_in_both_forms() {
    let key = &LogKeys::parse(ORIGIN, KEY).unwrap().public()[0].clone();
    let raw = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    let text = key.to_string();
    assert_eq!(PublicKey::parse(raw, ORIGIN).unwrap().to_string(), text);
    assert_eq!(PublicKey::parse(&text, "").unwrap().to_string(), text);
    assert!(PublicKey::parse("A6EHv", ORIGIN).is_none());
}

#[test]
fn the_leaf_of_an_entry_never_changes() {
    let id = Uuid::from_u128(7);
    let entry = Entry { id, answer_rate: Some(0.1), campaign_id: Some("c".into()), latency_ms: Some(41), ..entry(1) };
    let leaf = r#"{"action":"key.created","actor":{"id":"cli","name":"command line","type":"operator"},"answerRate":0.1,"callVolumeAfter":null,"callVolumeBefore":null,"callbackId":null,"campaignId":"c","complianceHold":null,"detail":{"n":1,"name":"é"},"id":"00000000-0000-0000-0000-000000000007","latencyMs":41,"newState":null,"outcome":"succeeded","previousState":null,"requestId":null,"timestamp":"2026-09-21T14:13:20Z","triggeredBy":null}"#;
    assert_eq!(leaf_hash(&entry).unwrap(), record_hash(leaf.as_bytes()));
}

proptest! {
    #[test]
    fn a_tree_that_is_continued_has_the_same_root_as_one_built_at_once(sizes in prop::collection::vec(0_u64..700, 1..6)) {
        let leaf = |n: u64| record_hash(&n.to_be_bytes());
        let (mut at_once, mut continued) = (Tree::default(), Tree::default());
        let mut full = Vec::new();
        for size in sizes {
            for _ in 0..size {
                at_once.push(leaf(at_once.size()), &mut Vec::new());
                continued.push(leaf(continued.size()), &mut full);
            }
            continued = Tree::resume(continued.size(), continued.edge().collect()).unwrap();
            prop_assert_eq!(at_once.root().unwrap(), continued.root().unwrap());
        }
        let tiles = full.iter().filter(|(at, _)| at.level == 0).count() as u64;
        prop_assert_eq!(tiles, continued.size() / TILE_WIDTH);
    }
}
