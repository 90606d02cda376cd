//! `ringback simulator`

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;

use crate::config::{Given, SettingErrors, address, choice, number, secret, secret_text, text};
use crate::shutdown;
use crate::simulator::{self, Campaign};

/// Stands in for CXone. Its control API, under /_control, makes it misbehave and shows what it was sent.
#[derive(clap::Args)]
pub struct Simulator {
    /// Address to serve on
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:9090", value_parser = address())]
    listen: Given<SocketAddr>,
    /// Which of CXone's APIs it serves
    #[arg(long, default_value = "v2", value_parser = choice::<Api>())]
    api: Given<Api>,
    /// The OAuth client that it knows. With the API nice, also the id of the access key
    #[arg(long, env = "CXONE_CLIENT_ID", default_value = "simulator", value_parser = text())]
    client_id: Given<String>,
    /// That client's secret, and that of the access key; `simulator-secret` by default
    #[arg(long, env = "CXONE_CLIENT_SECRET", hide_env_values = true, value_parser = secret_text(), value_name = "SECRET")]
    client_secret: Option<Given<SecretString>>,
    /// A file that contains that secret
    #[arg(long, env = "CXONE_CLIENT_SECRET_FILE", value_name = "FILE")]
    client_secret_file: Option<OsString>,
    /// A campaign that it has; give it once for each. It is ACTIVE
    #[arg(long = "campaign", value_name = "ID", default_value = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8")]
    campaigns: Vec<String>,
    /// How long each call takes at least, in milliseconds
    #[arg(long, default_value = "0", value_parser = number(0..=u64::MAX), value_name = "MS")]
    latency_ms: Given<u64>,
    /// The client's quota, in any 60 seconds; no limit, where absent
    #[arg(long, value_parser = number(0..=u32::MAX), value_name = "N")]
    requests_per_minute: Option<Given<u32>>,
    /// How long a token lives, in seconds
    #[arg(long, default_value = "1800", value_parser = number(0..=u64::MAX), value_name = "SECONDS")]
    token_lifetime: Given<u64>,
    /// Starts a paused campaign by itself when its scheduledResumeTime is reached
    #[arg(long)]
    resumes_itself: bool,
    /// Decides what is left to chance
    #[arg(long, default_value = "0", value_parser = number(0..=u64::MAX))]
    seed: Given<u64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Api {
    V2,
    Nice,
    Both,
}

impl From<Api> for simulator::Api {
    fn from(api: Api) -> Self {
        match api {
            Api::V2 => Self::V2,
            Api::Nice => Self::Nice,
            Api::Both => Self::Both,
        }
    }
}

impl Simulator {
    /// Serves until SIGTERM.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let campaigns = self.campaigns.clone();
        let given = self.read(&mut errors);
        let (listen, settings) = errors.finish(given)?;
        let stop = shutdown::on_signal()?;
        let simulator = simulator::Simulator::new(settings);
        for id in &campaigns {
            simulator.add_campaign(id, Campaign::default());
        }
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (--listen)"))?;
        anstream::eprintln!("the CXone simulator listens on http://{}", listener.local_addr()?);
        simulator::serve(listener, simulator, stop.cancelled_owned()).await.context("serving failed")
    }

    /// The address and the settings, or none after adding errors.
    fn read(self, errors: &mut SettingErrors) -> Option<(SocketAddr, simulator::Settings)> {
        let listen = errors.take(self.listen);
        let api = errors.take(self.api);
        let client_id = errors.take(self.client_id);
        let secret = secret("CXONE_CLIENT_SECRET", self.client_secret, self.client_secret_file.as_deref());
        let client_secret = errors.take(secret);
        let latency = errors.take(self.latency_ms).map(Duration::from_millis);
        let requests_per_minute = errors.take(self.requests_per_minute.transpose());
        let token_lifetime = errors.take(self.token_lifetime).map(Duration::from_secs);
        let seed = errors.take(self.seed);
        let defaults = simulator::Settings::default();
        let client_secret = client_secret?.map(|secret| secret.expose_secret().to_owned());
        let settings = simulator::Settings {
            api: api?.into(),
            client_id: client_id?,
            client_secret: client_secret.unwrap_or(defaults.client_secret),
            latency: latency?,
            requests_per_minute: requests_per_minute?,
            token_lifetime: token_lifetime?,
            resumes_itself: self.resumes_itself,
            seed: seed?,
            ..simulator::Settings::default()
        };
        Some((listen?, settings))
    }
}
