//! The log under concurrent writers, rollbacks, and sequencers that crash at random moments.
//!
//! A seed decides what each writer and each sequencer does. Postgres and the scheduler decide when: a seed that fails may need
//! several runs.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use futures::future::{join, join_all, poll_fn};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use tlog_tiles::tlog::{check_tree, prove_tree};
use tokio::time::sleep;
use uuid::Uuid;

use super::keys::{LogKeys, PublicKey};
use super::proof::Proof;
use super::sequencer::Sequencer;
use super::store::LogStore;
use super::tiles::prove;
use super::verify::{Expected, verify};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::db::Db;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const WRITERS: u32 = 6;
const SEQUENCERS: u32 = 3;
/// Of a writer, for each seed.
const TRANSACTIONS: usize = 20;
/// The entries whose proofs are checked.
const PROOFS: usize = 10;

/// What the writers did.
#[derive(Default)]
struct Written {
    committed: Vec<Uuid>,
    rolled_back: Vec<Uuid>,
}

#[sqlx::test]
async fn each_committed_entry_is_sealed_once_whatever_happens_to_writers_and_sequencers(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let pool = options.max_connections(WRITERS + 2).connect_with(connect.clone()).await.unwrap();
    let now = Clock::system().now().as_millisecond().unsigned_abs();
    let replicas = join_all((0..SEQUENCERS).map(|n| replica(&connect, n))).await;
    let mut written = Written::default();
    for seed in [1, 2, now] {
        println!("seed {seed}");
        let new = run(seed, &pool, &replicas).await;
        written.committed.extend(new.committed);
        written.rolled_back.extend(new.rolled_back);
    }
    join_all(replicas.iter().map(PgPool::close)).await;
    assert!(written.rolled_back.len() > 50, "{} entries were rolled back", written.rolled_back.len());
    check(&pool, &written, Rng::with_seed(now)).await;
}

/// The connections of a sequencer. Postgres knows them by their name.
async fn replica(connect: &PgConnectOptions, n: u32) -> PgPool {
    let connect = connect.clone().application_name(&format!("sequencer {n}"));
    PgPoolOptions::new().max_connections(2).connect_with(connect).await.unwrap()
}

/// Writes and seals at the same time, until all writers are done.
async fn run(seed: u64, pool: &PgPool, replicas: &[PgPool]) -> Written {
    let is_done = AtomicBool::new(false);
    let random = |n: u32| Rng::with_seed(seed.wrapping_mul(100).wrapping_add(n.into()));
    let writers = async {
        let written = join_all((0..WRITERS).map(|n| write(random(n), pool))).await;
        is_done.store(true, Ordering::Relaxed);
        written
    };
    let seals = (WRITERS..).zip(replicas).map(|(n, replica)| seal(random(n), replica, &is_done));
    let (written, _) = join(writers, join(join_all(seals), terminate(random(99), pool, &is_done))).await;
    written.into_iter().fold(Written::default(), |mut all, written| {
        all.committed.extend(written.committed);
        all.rolled_back.extend(written.rolled_back);
        all
    })
}

/// Records entries in transactions that stay open for random times.
async fn write(mut random: Rng, pool: &PgPool) -> Written {
    let mut written = Written::default();
    for _ in 0..TRANSACTIONS {
        let mut transaction = pool.begin().await.unwrap();
        if random.bool() {
            // It has its place among the transactions long before its entries have theirs.
            sqlx::query("select pg_current_xact_id()").execute(&mut *transaction).await.unwrap();
            stay_open(&mut random).await;
        }
        let mut recorded = Vec::new();
        for _ in 0..random.u8(1..=5) {
            if random.u8(0..10) == 0 {
                sqlx::query("savepoint s").execute(&mut *transaction).await.unwrap();
                written.rolled_back.push(record(&mut transaction).await);
                sqlx::query("rollback to s").execute(&mut *transaction).await.unwrap();
            }
            recorded.push(record(&mut transaction).await);
            stay_open(&mut random).await;
        }
        if random.u8(0..4) == 0 {
            transaction.rollback().await.unwrap();
            written.rolled_back.extend(recorded);
        } else {
            transaction.commit().await.unwrap();
            written.committed.extend(recorded);
        }
    }
    written
}

async fn record(transaction: &mut PgConnection) -> Uuid {
    let clock = Clock::system();
    let entry = Entry::new(clock.new_id(), clock.now(), Action::KeyCreated, Actor::operator(), Outcome::Succeeded);
    let id = entry.id;
    sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(transaction).await.unwrap();
    id
}

/// Mostly for a few milliseconds, sometimes for as long as many other transactions take.
async fn stay_open(random: &mut Rng) {
    let longest = if random.u8(0..12) == 0 { 150 } else { 8 };
    sleep(Duration::from_millis(random.u64(0..=longest))).await;
}

/// Seals in rounds of random size. A third of them end at a random statement, or after it, before its result is known.
async fn seal(mut random: Rng, replica: &PgPool, is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        let sequencer = sequencer(replica, random.u16(1..=60));
        let polls = if random.u8(0..3) == 0 { random.usize(1..60) } else { usize::MAX };
        // A sequencer whose connection is terminated fails: the next round is another one's.
        let _ = until_crash(polls, Box::pin(sequencer.step())).await;
        sleep(Duration::from_millis(random.u64(0..10))).await;
    }
}

/// Does the work up to a poll, and drops it where it is then.
async fn until_crash<T>(mut polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Ends connections of sequencers, so that Postgres rolls back what they did.
async fn terminate(mut random: Rng, pool: &PgPool, is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.u64(20..100))).await;
        let name = format!("sequencer {}", random.u32(0..SEQUENCERS));
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = $1",
        )
        .bind(name)
        .execute(pool)
        .await
        .unwrap();
    }
}

fn sequencer(pool: &PgPool, largest_round: u16) -> Sequencer {
    let store = LogStore::new(Db::new(pool.clone()));
    let mut sequencer = Sequencer::new(store, keys(), Clock::system());
    sequencer.largest_round = largest_round;
    sequencer
}

fn keys() -> LogKeys {
    LogKeys::parse("audit.example.com/test", KEY).unwrap()
}

async fn check(pool: &PgPool, written: &Written, random: Rng) {
    let store = LogStore::new(Db::new(pool.clone()));
    settle(pool, &store).await;

    let sealed: Vec<(i64, Option<Uuid>)> = sqlx::query_as(
        "select s.seq, e.id from audit_log_leaves as l cross join unnest(l.seqs) with ordinality as s(seq, place)
         left join audit_entries as e using (seq) order by l.tile, s.place",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let places: HashMap<Uuid, (u64, i64)> =
        (0..).zip(&sealed).map(|(place, &(seq, id))| (id.expect("an entry of each leaf"), (place, seq))).collect();
    assert_eq!(places.len(), sealed.len(), "an entry is sealed twice");
    let missing = written.committed.iter().filter(|id| !places.contains_key(id)).count();
    assert_eq!(missing, 0, "committed entries are not sealed");
    // And the entry of the key.
    assert_eq!(places.len(), written.committed.len() + 1, "other entries are sealed");
    let rolled_back: HashSet<_> = written.rolled_back.iter().collect();
    assert!(!places.keys().any(|id| rolled_back.contains(id)), "an entry that was rolled back is sealed");

    let key = keys().public()[0].clone();
    let verification = verify(&store, &Expected { keys: std::slice::from_ref(&key), kept: None }).await.unwrap();
    assert!(verification.valid, "{verification:?}");
    assert_eq!((verification.entries, verification.sealed), (sealed.len() as u64, sealed.len() as u64));
    check_checkpoints(&store, &key).await;
    check_proofs(&store, &key, &places, random).await;
}

/// Seals and settles everything.
async fn settle(pool: &PgPool, store: &LogStore) {
    let last: i64 = sqlx::query_scalar("select max(seq) from audit_entries").fetch_one(pool).await.unwrap();
    while sequencer(pool, 20).step().await.unwrap() > 0 || store.newest_and_settled().await.unwrap().1 < last {}
}

/// Each is signed, and consistent with the one before.
async fn check_checkpoints(store: &LogStore, key: &PublicKey) {
    let checkpoints = store.checkpoints_after(0, i64::MAX).await.unwrap();
    for pair in checkpoints.windows(2) {
        let [older, tree] = pair else { unreachable!() };
        let signed = key.check(&tree.checkpoint).unwrap();
        assert_eq!((signed.size(), *signed.hash()), (tree.size, tree.root));
        let proof = prove(store, tree, |reader| prove_tree(tree.size, older.size, reader)).await.unwrap();
        check_tree(&proof, tree.size, tree.root, older.size, older.root).unwrap();
    }
    assert!(checkpoints.len() > 20, "{} checkpoints", checkpoints.len());
}

/// Proofs of random entries hold.
async fn check_proofs(store: &LogStore, key: &PublicKey, places: &HashMap<Uuid, (u64, i64)>, mut random: Rng) {
    let tree = store.newest_checkpoint().await.unwrap().unwrap();
    for (id, &(place, seq)) in random.choose_multiple(places, PROOFS) {
        assert_eq!(store.leaf_of(seq).await.unwrap(), Some(place));
        let recorded = store.entry(*id).await.unwrap().unwrap();
        Proof::make(store, &recorded, place, &tree).await.unwrap().check(&key.to_string()).unwrap();
    }
}
