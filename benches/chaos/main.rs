//! Replicas of the real binary while something fails or is replaced; and whether what they have acknowledged is true at the
//! end. `make chaos`, `make failover` and `make upgrade` run it; CONTRIBUTING.md says how to read it.

mod callers;
mod client;
mod commanders;
mod cxone;
mod end;
mod failover;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod load;
mod nemesis;
mod outsiders;
mod random_faults;
mod receiver;
mod record;
mod recovery;
mod replicas;
mod report;
mod sealed_log;
mod settings;
mod system;
mod upgrade;
mod verdict;
mod writers;

use std::process::ExitCode;

use ringback::shutdown;

use settings::{Scenario, Settings};

/// CXone's quota in requests a minute, and the setting of the replicas.
const QUOTA: u32 = 3000;
/// Campaigns that callbacks are for; no UUIDs, so that nobody commands them.
const CALLED: [&str; 3] = ["chaos-a", "chaos-b", "chaos-c"];
/// Campaigns that are paused and resumed.
const COMMANDED: [&str; 4] = [
    "0192f0c4-1111-7000-8000-00000000000a",
    "0192f0c4-1111-7000-8000-00000000000b",
    "0192f0c4-1111-7000-8000-00000000000c",
    "0192f0c4-1111-7000-8000-00000000000d",
];
/// The exit status after Ctrl-C, as a shell has it.
const INTERRUPTED: u8 = 130;

fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::read();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let interrupted = shutdown::on_signal()?;
        let run = async {
            match settings.scenario {
                Scenario::Chaos => Box::pin(random_faults::run(&settings)).await,
                Scenario::Failover => Box::pin(failover::run(&settings)).await,
                Scenario::Upgrade => Box::pin(upgrade::run(&settings)).await,
            }
        };
        match interrupted.run_until_cancelled(run).await {
            Some(violations) => Ok(ExitCode::from(u8::from(violations? > 0))),
            // Whatever was started is killed when it is dropped.
            None => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}
