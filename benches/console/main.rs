//! What many open consoles cost, and how soon they show a change. Each has the overview open, and reads its parts as the script of the
//! page does. They are at one replica, and the commands at another. `make bench ARGS='console'` runs only this.

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod screen;
#[allow(dead_code, reason = "each benchmark uses a part")]
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::json;
use tokio::task::JoinSet;

use harness::{Service, create_key};
use screen::{Screen, Seen};
use support::Outcome;
use support::commands::{CAMPAIGN, pause};
use support::cores::Cores;
use support::report;
use support::world::World;

const CONSOLES: usize = 200;
const SCOPES: [&str; 5] =
    ["callbacks:read", "campaigns:read", "campaigns:write", "campaigns:override", "webhooks:read"];
const NO_QUOTA: &str = "1000000";
/// Until all have read the whole page.
const SETTLED: Duration = Duration::from_secs(5);
/// In each situation.
const LASTING: Duration = Duration::from_secs(30);
/// Between two changes: rare ones, and a busy minute.
const CHANGES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];

fn main() -> Outcome {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|name| "console".contains(name.as_str())) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(consoles())
}

async fn consoles() -> Outcome {
    report::machine();
    let world = World::start(NO_QUOTA).await?;
    world.cxone.change_campaign(CAMPAIGN, json!({"state": "ACTIVE"})).await;
    let key = create_key(&world.database, &SCOPES).await;
    let replica = Service::start(&world.database, &world.cxone, &[]).await;
    let seen = Seen::new()?;
    let screens = (0..CONSOLES).map(|_| Screen::sign_in(&replica.base_url, &key, seen.clone()));
    let screens = try_join_all(screens).await?;
    let mut open = JoinSet::new();
    for screen in screens {
        open.spawn(screen.watch());
    }
    tokio::time::sleep(SETTLED).await;
    let bench = Bench { world, replica, seen };
    bench.nothing_happens().await?;
    for every in CHANGES {
        bench.changes(every).await?;
    }
    anyhow::ensure!(open.try_join_next().is_none(), "a console was closed");
    open.shutdown().await;
    bench.replica.kill().await;
    bench.world.end().await
}

struct Bench {
    world: World,
    replica: Service,
    seen: Seen,
}

impl Bench {
    async fn nothing_happens(&self) -> Outcome {
        report::part(&format!("{CONSOLES} open consoles, while nothing happens"));
        let before = self.cores().await?;
        tokio::time::sleep(LASTING).await;
        report::cores(&before, &self.cores().await?);
        Ok(())
    }

    /// Pauses and resumes in turn.
    async fn changes(&self, every: Duration) -> Outcome {
        report::part(&format!("{CONSOLES} open consoles, while a campaign changes every {} s", every.as_secs()));
        let before = self.cores().await?;
        let mut turns = tokio::time::interval(every);
        for turn in 0..LASTING.as_secs() / every.as_secs() {
            turns.tick().await;
            let is_paused = turn % 2 == 0;
            let (verb, body) = if is_paused { ("pause", pause()) } else { ("resume", json!({"force": true})) };
            self.seen.expect(is_paused);
            let answer = self.world.commands.send(verb, &body).await?;
            anyhow::ensure!(answer["status"].is_string(), "the {verb} was refused: {answer}");
        }
        turns.tick().await;
        report::cores(&before, &self.cores().await?);
        let latencies = self.seen.take();
        report::figure("changes that were shown", latencies.len(), "");
        report::latencies_of("from the command until it is shown", &latencies);
        report::milliseconds("from the command until it is shown, max", Duration::from_micros(latencies.max()));
        Ok(())
    }

    /// Of the replica with the consoles.
    async fn cores(&self) -> Outcome<Cores> {
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&self.world.database.pool).await?;
        Cores::now(&[("the replica with the consoles", self.replica.id())], u32::try_from(backend)?)
    }
}
