//! HTTP clients with the one crypto library that is compiled in: ring.
//!
//! `reqwest` takes its crypto library from rustls's process-wide default, so every client must be made here. clippy
//! refuses `reqwest::Client::new` and `reqwest::Client::builder` elsewhere.

// The only place that may use them.
#![allow(clippy::disallowed_methods)]

/// A builder for an HTTP client.
pub fn client_builder() -> reqwest::ClientBuilder {
    set_crypto_provider();
    reqwest::Client::builder()
}

/// An HTTP client without limits of its own, for tests, benchmarks and the demo.
///
/// # Panics
/// As [`reqwest::Client::new`]: if the system's root certificates cannot be read.
pub fn client() -> reqwest::Client {
    set_crypto_provider();
    reqwest::Client::new()
}

fn set_crypto_provider() {
    // An error means that a provider is already set, by an earlier call.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
