//! The settings of the console.

use std::ffi::OsString;

use reqwest::Url;
use secrecy::SecretString;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, optional_text, parsed, secret_text, text};
use super::secret::secret;
use crate::console::{ConsoleSettings, oidc_redirect, parse_address};
use crate::oidc::OidcClient;

/// The console, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct ConsoleArgs {
    /// Where browsers reach the service, such as https://ringback.example.com; for the sign-in at the identity provider, and behind a proxy that changes `Host`
    #[arg(long, env, value_parser = parsed(parse_address), value_name = "URL")]
    console_url: Option<Given<Url>>,
    /// Id of the service at OIDC_ISSUER: people sign in to the console there
    #[arg(long, env, value_parser = text(), value_name = "ID")]
    console_oidc_client_id: Option<Given<String>>,
    /// Secret of the service at OIDC_ISSUER; without it, it is a public client
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "SECRET")]
    console_oidc_client_secret: Option<Given<SecretString>>,
    /// A file that contains CONSOLE_OIDC_CLIENT_SECRET
    #[arg(long, env, value_name = "FILE")]
    console_oidc_client_secret_file: Option<OsString>,
}

impl ConsoleArgs {
    /// The settings, or none after adding errors.
    pub fn read(self, has_issuer: bool, errors: &mut SettingErrors) -> Option<ConsoleSettings> {
        let address = errors.take(self.console_url.transpose());
        let id = errors.take(optional_text(self.console_oidc_client_id));
        let name = "CONSOLE_OIDC_CLIENT_SECRET";
        let secret = secret(name, self.console_oidc_client_secret, self.console_oidc_client_secret_file.as_deref());
        let secret = errors.take(secret);
        let (address, id, secret) = (address?, id?, secret?);
        let Some(id) = id else {
            let missing = || BadSetting::new("CONSOLE_OIDC_CLIENT_ID", "is required with CONSOLE_OIDC_CLIENT_SECRET");
            let none = ConsoleSettings { address, oidc_client: None };
            return errors.take(if secret.is_some() { Err(missing()) } else { Ok(none) });
        };
        let required = |variable: &'static str| BadSetting::new(variable, "is required with CONSOLE_OIDC_CLIENT_ID");
        let issuer = errors.take(if has_issuer { Ok(()) } else { Err(required("OIDC_ISSUER")) });
        let redirect = address.as_ref().map(oidc_redirect).ok_or_else(|| required("CONSOLE_URL"));
        let redirect = errors.take(redirect);
        issuer?;
        Some(ConsoleSettings { address, oidc_client: Some(OidcClient { id, secret, redirect: redirect? }) })
    }
}
