//! Everything that asks something of the service.

use std::time::Duration;

use fastrand::Rng;
use ringback::clock::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::callers::Callers;
use super::client::Client;
use super::commanders::Commander;
use super::{CALLED, COMMANDED};

/// How often each replica is asked whether it answers.
const PROBE_EVERY: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Callers, commanders, and probes of each replica.
pub struct Load {
    pub callers: Callers,
    stop: CancellationToken,
    clients: TaskTracker,
    probes: CancellationToken,
}

impl Load {
    /// `rate` is that of the requests for callbacks, in requests a second.
    pub fn start(client: &Client, rate: f64, rng: &mut Rng) -> Self {
        let callers = Callers::new(client.clone(), CALLED.map(str::to_owned).to_vec());
        let (stop, probes) = (CancellationToken::new(), CancellationToken::new());
        let load = Self { callers, stop, clients: TaskTracker::new(), probes };
        load.clients.spawn(load.callers.clone().call(rate, rng.fork(), load.stop.clone()));
        for campaign in COMMANDED {
            load.clients.spawn(commander(client, campaign).command(rng.fork(), load.stop.clone()));
        }
        for replica in 0..client.replicas.len() {
            let (client, probes) = (client.clone(), load.probes.clone());
            tokio::spawn(async move { probes.run_until_cancelled(probe(&client, replica)).await });
        }
        load
    }

    /// Starts nothing new, and waits until everybody has an answer. One campaign keeps a hold.
    pub async fn finish(self, client: &Client, rng: &mut Rng) {
        self.stop.cancel();
        self.clients.close();
        self.clients.wait().await;
        self.probes.cancel();
        commander(client, COMMANDED[0]).hold_for_an_hour(rng).await;
    }
}

fn commander(client: &Client, campaign: &str) -> Commander {
    Commander { client: client.clone(), campaign: campaign.to_owned(), clock: Clock::system() }
}

/// Asks a replica for something that needs Postgres, again and again.
async fn probe(client: &Client, replica: usize) {
    let mut turns = tokio::time::interval(PROBE_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        client.look(replica, "/v1/callbacks?limit=1", PROBE_TIMEOUT).await;
    }
}
