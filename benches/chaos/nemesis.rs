//! What goes wrong, at moments that chance decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::cxone::Cxone;
use super::harness::Postgres;
use super::record::Record;
use super::recovery::{Disturbance, Target};
use super::replicas::Replica;

/// A draining replica has ended by then, whatever else goes wrong.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// What both parts of it share.
#[derive(Clone)]
pub struct Nemesis {
    pub stop: CancellationToken,
    pub record: Record,
    pub kills: Arc<AtomicU32>,
    pub disturbances: Arc<Mutex<Vec<Disturbance>>>,
}

impl Nemesis {
    pub fn new(record: Record) -> Self {
        Self { stop: CancellationToken::new(), record, kills: Arc::default(), disturbances: Arc::default() }
    }

    /// Disturbs replicas, one after the other and sometimes all; gives them back once all of them run.
    pub async fn of_replicas(
        self,
        mut replicas: Vec<Replica>,
        cxone: Arc<Cxone>,
        mut rng: Rng,
    ) -> anyhow::Result<Vec<Replica>> {
        while self.rest(rng.u64(1_000..4_000)).await {
            self.notice_ends(&mut replicas).await?;
            if rng.u32(0..100) < 20 {
                cxone.revoke_tokens().await;
            }
            let replica = rng.usize(0..replicas.len());
            let down = Duration::from_millis(rng.u64(0..2_000));
            match rng.u32(0..100) {
                0..50 => self.kill(&mut replicas[replica], down).await?,
                50..70 => self.freeze(&replicas[replica], Duration::from_millis(rng.u64(1_000..15_000))).await?,
                70..93 => self.drain(&mut replicas[replica], down).await?,
                _ => self.kill_all(&mut replicas, down).await?,
            }
        }
        self.notice_ends(&mut replicas).await?;
        Ok(replicas)
    }

    /// Disturbs Postgres; gives it back running.
    pub async fn of_postgres(self, mut postgres: Postgres, mut rng: Rng) -> anyhow::Result<Postgres> {
        while self.rest(rng.u64(4_000..14_000)).await {
            let down = Duration::from_millis(rng.u64(0..3_000));
            let began = Instant::now();
            let what = match rng.u32(0..100) {
                0..45 => {
                    postgres.kill().await;
                    self.kills.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(down).await;
                    postgres.run().await;
                    "Postgres killed"
                }
                45..65 => {
                    postgres.stop().await;
                    tokio::time::sleep(down).await;
                    postgres.run().await;
                    "Postgres restarted"
                }
                _ => {
                    postgres.freeze().await;
                    tokio::time::sleep(Duration::from_millis(rng.u64(1_000..5_000))).await;
                    postgres.thaw().await;
                    "Postgres frozen"
                }
            };
            self.disturbed(what, Target::Postgres, began, Instant::now());
        }
        Ok(postgres)
    }

    async fn kill(&self, replica: &mut Replica, down: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        replica.kill().await?;
        self.kills.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(down).await;
        let back = replica.serve().await?;
        self.disturbed("replica killed", Target::Replica(replica.index), began, back);
        Ok(())
    }

    async fn kill_all(&self, replicas: &mut [Replica], down: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        for replica in replicas.iter_mut() {
            replica.kill().await?;
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(down).await;
        let mut back = began;
        for replica in replicas.iter_mut() {
            back = back.max(replica.serve().await?);
        }
        self.disturbed("all replicas killed", Target::AllReplicas, began, back);
        Ok(())
    }

    async fn freeze(&self, replica: &Replica, lasting: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        replica.freeze(lasting).await?;
        self.disturbed("replica stopped", Target::Replica(replica.index), began, Instant::now());
        Ok(())
    }

    async fn drain(&self, replica: &mut Replica, down: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        match replica.drain(DRAIN_WITHIN).await? {
            Some(status) if status.success() => {}
            Some(status) => {
                let details = json!({ "replica": replica.index, "status": status.to_string() });
                self.record.wrong("a draining replica did not exit 0", details);
            }
            None => {
                let details = json!({ "replica": replica.index, "seconds": DRAIN_WITHIN.as_secs() });
                self.record.wrong("a draining replica did not end in time", details);
            }
        }
        tokio::time::sleep(down).await;
        let back = replica.serve().await?;
        self.disturbed("replica drained", Target::Replica(replica.index), began, back);
        Ok(())
    }

    /// Starts those again that have ended though nobody ended them.
    async fn notice_ends(&self, replicas: &mut [Replica]) -> anyhow::Result<()> {
        for replica in replicas {
            if let Some(status) = replica.ended_by_itself()? {
                let details = json!({ "replica": replica.index, "status": status.to_string() });
                self.record.wrong("a replica ended by itself", details);
                replica.serve().await?;
            }
        }
        Ok(())
    }

    pub fn disturbed(&self, what: &'static str, target: Target, began: Instant, back: Instant) {
        let disturbance = Disturbance { what, target, began, back };
        self.disturbances.lock().unwrap_or_else(PoisonError::into_inner).push(disturbance);
    }

    /// False where it is to stop.
    async fn rest(&self, milliseconds: u64) -> bool {
        let pause = tokio::time::sleep(Duration::from_millis(milliseconds));
        self.stop.run_until_cancelled(pause).await.is_some() && !self.stop.is_cancelled()
    }
}
