//! Whether the receivers of webhooks can be reached. No event is sent.

use futures::StreamExt as _;
use reqwest::Url;

use super::sender::{Sender, WebhookSettings};
use super::store::WebhookStore;
use crate::clock::Clock;
use crate::db::PageRequest;

/// The most endpoints that are tried, the newest.
const MOST: i64 = 50;
/// Those at the same time.
const AT_ONCE: usize = 8;

/// What was found of one endpoint.
#[derive(Debug)]
pub struct Probe {
    /// The host: a path may be secret.
    pub host: String,
    /// The status of its answer, or why there is none.
    pub result: Result<u16, String>,
    /// Why it gets no events, if it is disabled.
    pub disabled: Option<String>,
    /// Whether its secret cannot be read without an encryption key.
    pub lacks_key: bool,
}

/// Tries to reach the newest 50 endpoints.
///
/// # Errors
/// If Postgres fails, or the machine's TLS cannot be set up.
pub async fn probe(store: &WebhookStore, settings: &WebhookSettings, clock: &Clock) -> anyhow::Result<Vec<Probe>> {
    let sender = Sender::new(settings.clone(), clock.clone())?;
    let endpoints = store.page(&PageRequest { limit: MOST, after: None }).await?.data;
    let stored = endpoints.into_iter().map(|endpoint| {
        let lacks_key = !endpoint.is_configured && settings.cipher.is_none();
        (endpoint.url, endpoint.disabled.map(|(_, reason)| reason), lacks_key)
    });
    let mut targets: Vec<_> = stored.collect();
    // The service stores it when it starts.
    let configured = sender.configured_url().filter(|url| targets.iter().all(|(known, ..)| known != url));
    targets.extend(configured.map(str::to_owned).map(|url| (url, None, false)));
    let probes = targets.into_iter().map(|(url, disabled, lacks_key)| {
        let sender = &sender;
        async move {
            let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned));
            Probe { host: host.unwrap_or_default(), result: sender.reach(&url).await, disabled, lacks_key }
        }
    });
    Ok(futures::stream::iter(probes).buffered(AT_ONCE).collect().await)
}
