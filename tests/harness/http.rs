//! The HTTP client of tests and benchmarks.

use reqwest::{Client, ClientBuilder};

/// A client for plain HTTP. Without root certificates it is built at once; a debug build takes 100 ms to read them.
pub fn plain_http() -> ClientBuilder {
    ringback::tls::client_builder().tls_certs_only([])
}

/// [`plain_http`] with the default settings.
pub fn http_client() -> Client {
    plain_http().build().unwrap()
}
