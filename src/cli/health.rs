//! `ringback health`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Url;

use crate::config::{Given, ListenArgs, ListenSettings, SettingErrors, keep};
use crate::tls;

/// Shorter than the limits of usual probes.
const WITHIN: Duration = Duration::from_secs(2);
/// The most of an answer that is shown, in characters.
const SHOWN: usize = 300;

/// The settings are those of `ringback serve`.
#[derive(clap::Args)]
pub struct Health {
    #[command(flatten)]
    listen: ListenArgs,
    /// Ask this service instead of the one on this machine, such as <https://ringback.example.com>
    #[arg(long, value_parser = keep(parse_url))]
    url: Option<Given<Url>>,
}

impl Health {
    /// Asks the service whether it is ready. Fails if it is not.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let (listen, url) = (self.listen.read(&mut errors), errors.take(self.url.transpose()));
        let (listen, url) = errors.finish(listen.zip(url))?;
        let client = tls::client_builder().timeout(WITHIN);
        let (client, url) = match url {
            Some(url) => (client, url.join("/readyz")?.to_string()),
            // The certificate does not name the address of this machine.
            None => (client.tls_danger_accept_invalid_certs(true), local_url(&listen)),
        };
        let answer = client.build()?.get(&url).send().await.with_context(|| format!("{url} does not respond"))?;
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        let body: String = body.trim().chars().take(SHOWN).collect();
        if !status.is_success() {
            bail!("{url} answered {status}: {body}");
        }
        println!("{body}");
        Ok(())
    }
}

/// Where the service of these settings answers on this machine.
fn local_url(listen: &ListenSettings) -> String {
    let address = listen.metrics.unwrap_or(listen.address);
    let scheme = if listen.tls.is_some() && listen.metrics.is_none() { "https" } else { "http" };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{scheme}://{}/readyz", SocketAddr::new(ip, address.port()))
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or("must be an http or https URL")
}
