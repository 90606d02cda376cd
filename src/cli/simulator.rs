//! `ringback simulator`

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::shutdown;
use crate::simulator::{self, Campaign};

/// Stands in for CXone. Its control API, under /_control, makes it misbehave and shows what it was sent.
#[derive(clap::Args)]
pub struct Simulator {
    /// Address to serve on
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// The OAuth client that it knows
    #[arg(long, env = "CXONE_CLIENT_ID", default_value = "simulator")]
    client_id: String,
    /// That client's secret
    #[arg(long, env = "CXONE_CLIENT_SECRET", hide_env_values = true, default_value = "simulator-secret")]
    client_secret: String,
    /// A campaign that it has; give it once for each. It is ACTIVE
    #[arg(long = "campaign", value_name = "ID", default_value = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    campaigns: Vec<String>,
    /// How long each call takes at least, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency_ms: u64,
    /// The client's quota, in any 60 seconds; no limit, where absent
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// How long a token lives, in seconds
    #[arg(long, default_value_t = 1800, value_name = "SECONDS")]
    token_lifetime: u64,
    /// Starts a paused campaign by itself when its scheduledResumeTime is reached
    #[arg(long)]
    resumes_itself: bool,
    /// Decides what is left to chance
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Simulator {
    /// Serves until SIGTERM.
    pub async fn run(self) -> anyhow::Result<()> {
        let stop = shutdown::on_signal()?;
        let simulator = simulator::Simulator::new(simulator::Settings {
            client_id: self.client_id,
            client_secret: self.client_secret,
            latency: Duration::from_millis(self.latency_ms),
            requests_per_minute: self.requests_per_minute,
            token_lifetime: Duration::from_secs(self.token_lifetime),
            resumes_itself: self.resumes_itself,
            seed: self.seed,
            ..simulator::Settings::default()
        });
        for id in &self.campaigns {
            simulator.add_campaign(id, Campaign::default());
        }
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {} (--listen)", self.listen))?;
        anstream::eprintln!("the CXone simulator listens on http://{}", listener.local_addr()?);
        simulator::serve(listener, simulator, stop.cancelled_owned()).await.context("serving failed")
    }
}
