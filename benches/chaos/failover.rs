//! `make failover`: the primary of two Postgres servers is killed, the standby is promoted, and the dead server becomes the
//! next standby, under load and again and again.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use super::client::Client;
use super::harness::{Cluster, Outage};
use super::load::Load;
use super::nemesis::Nemesis;
use super::recovery::Target;
use super::sealed_log::SealedLog;
use super::settings::Settings;
use super::system::System;
use super::writers::Writers;

/// Each replica acknowledges writes within this time after the promotion.
const WRITES_BACK_WITHIN: Duration = Duration::from_secs(15);
/// How long a cycle waits for that before it goes on.
const WRITES_BACK_AT_MOST: Duration = Duration::from_mins(1);
/// Milliseconds under load before a failure.
const UNDISTURBED: std::ops::Range<u64> = 2_000..6_000;
/// Milliseconds until somebody has noticed that the primary is dead, as Patroni and others do.
const UNNOTICED: std::ops::Range<u64> = 0..4_000;
/// Milliseconds without a standby: sometimes longer than the 8 s after which the service gives up a statement, and sometimes
/// until no connection of the server is free, because those that were given up wait for the standby too.
const WITHOUT_STANDBY: std::ops::Range<u64> = 4_000..45_000;
/// An answer that was on its way has arrived by then.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// A run; gives how many violations there were.
pub async fn run(settings: &Settings) -> anyhow::Result<usize> {
    let cluster = Cluster::start().await;
    let mut system = System::start(settings, settings.binary.clone(), cluster.url()).await?;
    let replicas = system.start_replicas().await?;
    let client = system.client(&replicas).await?;
    system.cxone.fail(settings.faults()).await?;
    let load = Load::start(&client, settings.rate, &mut system.rng);
    let writers = Writers::start(&load.callers, &mut system.rng);
    let nemesis = Nemesis::new(client.record.clone());
    let rng = system.rng.fork();
    let mut failovers = Failovers { cluster, writers, nemesis, client, log: SealedLog::default(), rng, slowest: None };
    print_header();
    for number in 1..=settings.cycles {
        failovers.cycle(number).await;
    }
    let Failovers { cluster, writers, nemesis, client, log, slowest, .. } = failovers;
    drop(writers);
    let violations = system.finish(settings, &client, load, log, &nemesis).await?;
    println!("  writes were back within {} of a promotion, at {} failovers", seconds(slowest), settings.cycles);
    drop((replicas, cluster));
    Ok(violations)
}

struct Failovers {
    cluster: Cluster,
    writers: Writers,
    nemesis: Nemesis,
    client: Client,
    log: SealedLog,
    rng: Rng,
    /// The longest time from a promotion until all replicas acknowledged writes.
    slowest: Option<Duration>,
}

impl Failovers {
    /// Kills the primary once, and every third time the standby before that.
    async fn cycle(&mut self, number: u32) {
        if number.is_multiple_of(3) {
            self.pause(UNDISTURBED).await;
            self.lose_standby().await;
        }
        self.pause(UNDISTURBED).await;
        self.log.keep_checkpoint(&self.client).await;
        let outage = if self.rng.bool() { Outage::Closed } else { Outage::Silent };
        let acknowledged = self.client.record.acknowledgements();
        let began = Instant::now();
        self.cluster.kill_primary(outage).await;
        self.nemesis.kills.fetch_add(1, Ordering::Relaxed);
        self.pause(UNNOTICED).await;
        let ordered_at = Instant::now();
        self.cluster.promote().await;
        let promoted_at = Instant::now();
        self.nemesis.disturbed("primary killed", Target::Postgres, began, promoted_at);
        let back = self.writers.back_after(promoted_at, WRITES_BACK_AT_MOST).await;
        self.cluster.rebuild_standby().await;
        let rebuilt = promoted_at.elapsed();
        let last = back.iter().copied().collect::<Option<Vec<_>>>().and_then(|back| back.into_iter().max());
        println!(
            "{number:>5} {acknowledged:>9} {outage:>8?} {:>9} {:>9} {:>9} {:>9}",
            seconds(Some(ordered_at - began)),
            seconds(Some(promoted_at - ordered_at)),
            seconds(Some(rebuilt)),
            shown(&back),
        );
        self.slowest = self.slowest.max(last);
        if last.is_none_or(|last| last > WRITES_BACK_WITHIN) {
            let details = json!({ "cycle": number, "outage": format!("{outage:?}"), "back": shown(&back) });
            self.nemesis.record.wrong("a replica acknowledged no write within 15 s of a promotion", details);
        }
    }

    /// For a while the primary has no standby, and may answer no commit.
    async fn lose_standby(&mut self) {
        let began = Instant::now();
        self.cluster.kill_standby().await;
        let killed_at = Instant::now();
        self.nemesis.kills.fetch_add(1, Ordering::Relaxed);
        self.pause(WITHOUT_STANDBY).await;
        let acknowledged = self.writers.count_after(killed_at + ON_ITS_WAY);
        if acknowledged > 0 {
            let details = json!({ "writes": acknowledged });
            self.nemesis.record.wrong("writes were acknowledged that no standby has", details);
        }
        self.cluster.restart_standby().await;
        let restarted_at = Instant::now();
        self.nemesis.disturbed("standby killed", Target::Postgres, began, restarted_at);
        let back = self.writers.back_after(restarted_at, WRITES_BACK_AT_MOST).await;
        let (lasted, shown) = (seconds(Some(restarted_at - began)), shown(&back));
        println!("      no standby for {lasted}; writes are back after {shown}");
        if back.contains(&None) {
            let details = json!({ "lasted": lasted, "back": shown });
            self.nemesis
                .record
                .wrong("a replica acknowledged no write within a minute of the standby's return", details);
        }
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(milliseconds))).await;
    }
}

fn print_header() {
    println!(
        "acknowledged: callbacks before the kill. after the promotion: first write of each replica, and new standby"
    );
    println!("cycle acknowledged outage unnoticed promotion standby  first writes");
}

fn shown(back: &[Option<Duration>]) -> String {
    back.iter().map(|back| seconds(*back)).collect::<Vec<_>>().join(" ")
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}
