//! TLS of the public port, and HTTP clients, with the one crypto library that is compiled in: ring. Clients ignore the proxies that the environment names.
//!
//! `reqwest` takes its crypto library from rustls's process-wide default, so every client must be made here. clippy
//! refuses `reqwest::Client::new` and `reqwest::Client::builder` elsewhere.

// The only place that may use them.
#![allow(clippy::disallowed_methods)]

mod server;

use secrecy::{ExposeSecret as _, SecretString};

pub use self::server::{ServerTls, TlsFileError};

/// A builder for an HTTP client.
pub fn client_builder() -> reqwest::ClientBuilder {
    set_crypto_provider();
    reqwest::Client::builder().no_proxy()
}

/// A builder for an HTTP client that sends every request through this proxy, if there is one.
///
/// # Errors
/// If the proxy's URL is invalid.
pub fn client_builder_through(proxy: Option<&SecretString>) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let builder = client_builder();
    Ok(match proxy {
        Some(url) => builder.proxy(reqwest::Proxy::all(url.expose_secret())?),
        None => builder,
    })
}

fn set_crypto_provider() {
    // An error means that a provider is already set, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
