//! Whether the provider can be used, for `ringback doctor`.

use jiff::SignedDuration;
use secrecy::SecretString;

use super::provider::{Provider, ProviderError};
use super::settings::OidcSettings;
use crate::clock::Clock;

/// What was found.
#[derive(Debug)]
pub struct Probe {
    /// The keys that can verify tokens.
    pub keys: usize,
    /// The keys for other uses or algorithms.
    pub ignored: usize,
    /// How far the provider's clock is ahead, to the second, if it tells its time.
    pub clock_offset: Option<SignedDuration>,
}

/// Reads the description and the keys of the provider.
///
/// # Errors
/// What does not work, in words.
pub async fn probe(settings: &OidcSettings, proxy: Option<&SecretString>, clock: &Clock) -> Result<Probe, String> {
    let provider = Provider::new(settings.issuer.clone(), proxy).map_err(|error| error.to_string())?;
    let named = |what: &'static str| move |error: ProviderError| format!("{what}: {error}");
    let url = provider.key_url().await.map_err(named("discovery"))?;
    let (keys, time) = provider.keys_at(&url).await.map_err(named("keys"))?;
    let clock_offset = time.map(|time| time.duration_since(clock.now()));
    Ok(Probe { keys: keys.len(), ignored: keys.ignored, clock_offset })
}
