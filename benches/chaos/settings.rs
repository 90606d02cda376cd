//! How a run is to be.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What happens to the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Scenario {
    /// Postgres, CXone and the replicas fail at any moment
    Chaos,
    /// The primary of two Postgres servers is killed, and the standby is promoted, again and again
    Failover,
    /// Replicas of an older version run on the newer schema, beside newer replicas
    Upgrade,
}

/// Runs replicas of the service while Postgres, CXone and the replicas themselves fail, and compares at the end what was
/// acknowledged with what came of it. Exits 1 where anything was lost, duplicated or wrong.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos")]
pub struct Settings {
    #[arg(value_enum, default_value_t = Scenario::Chaos)]
    pub scenario: Scenario,
    /// Of failover: how often the primary is killed
    #[arg(long, env = "FAILOVER_CYCLES", default_value_t = 20)]
    pub cycles: u32,
    /// Of upgrade: the older program. `--binary` is the newer one
    #[arg(long, env = "UPGRADE_OLD_BINARY", required_if_eq("scenario", "upgrade"))]
    pub old_binary: Option<PathBuf>,
    /// Of upgrade: how long each step lasts, in seconds
    #[arg(long, env = "UPGRADE_STEP_SECONDS", default_value_t = 20)]
    pub step_seconds: u64,
    /// Of chaos: how long things go wrong, in seconds
    #[arg(long, env = "CHAOS_SECONDS", default_value_t = 600)]
    seconds: u64,
    /// Of chaos: go on until so many processes were killed, however long that takes
    #[arg(long, env = "CHAOS_KILLS")]
    pub kills: Option<u32>,
    /// Decides what is left to chance; drawn where absent
    #[arg(long, env = "CHAOS_SEED")]
    seed: Option<u64>,
    /// Replicas of the service
    #[arg(long, env = "CHAOS_REPLICAS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub replicas: u16,
    /// Requests for callbacks a second; some are batches
    #[arg(long, env = "CHAOS_RATE", default_value_t = 6.0, value_parser = positive)]
    pub rate: f64,
    /// Share of the requests to CXone that fail, 0 to 1 [default: 0.2, or 0.02 in other runs than chaos]
    #[arg(long, env = "CHAOS_FAULTS", value_parser = share)]
    faults: Option<f64>,
    /// After the faults, how long every callback has to reach its final state, in seconds
    #[arg(long, env = "CHAOS_SETTLE_SECONDS", default_value_t = 600)]
    settle_seconds: u64,
    /// The program under test
    #[arg(long, env = "CHAOS_BINARY", default_value = env!("CARGO_BIN_EXE_ringback"))]
    pub binary: PathBuf,
    /// A short run: 30 seconds at 3 requests a second
    #[arg(long, env = "CHAOS_SMOKE", conflicts_with_all = ["kills", "seconds", "rate"])]
    smoke: bool,
}

impl Settings {
    /// From the command line and the environment.
    pub fn read() -> Self {
        // Cargo says --bench to every benchmark.
        let mut settings = Self::parse_from(std::env::args().filter(|argument| argument != "--bench"));
        if settings.smoke {
            (settings.seconds, settings.rate) = (30, 3.0);
        }
        settings
    }

    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000))
    }

    pub fn faults(&self) -> f64 {
        self.faults.unwrap_or(if self.scenario == Scenario::Chaos { 0.2 } else { 0.02 })
    }

    pub fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub fn settle_within(&self) -> Duration {
        Duration::from_secs(self.settle_seconds)
    }
}

fn share(text: &str) -> Result<f64, String> {
    number(text).filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be 0 to 1".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|rate| *rate > 0.0 && *rate <= 1000.0)
        .ok_or_else(|| "must be more than 0, up to 1000".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}
