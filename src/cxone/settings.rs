//! Where CXone is, and how requests are authorized.

use std::time::Duration;

use secrecy::SecretString;

/// How the client's id and secret are sent to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthStyle {
    /// HTTP Basic.
    Basic,
    /// As form fields.
    Form,
}

/// The settings of the client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme and host, without a slash at the end.
    pub base_url: String,
    /// The id of the OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// How both are sent.
    pub auth: AuthStyle,
    /// The timeout of one request.
    pub timeout: Duration,
    /// The requests that CXone accepts in any minute, shared by all replicas of one database.
    pub requests_per_minute: u32,
}
