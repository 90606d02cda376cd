//! The settings for Postgres.

use std::ffi::OsString;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, secret_text};
use super::secret::secret;

/// The settings for Postgres, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct DatabaseArgs {
    /// Postgres, as `postgres://user:password@host/database`
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "URL")]
    database_url: Option<Given<SecretString>>,
    /// A file that contains DATABASE_URL
    #[arg(long, env, value_name = "FILE")]
    database_url_file: Option<OsString>,
}

impl DatabaseArgs {
    /// The connection options, or none after adding an error.
    pub fn read(self, errors: &mut SettingErrors) -> Option<PgConnectOptions> {
        let url = secret("DATABASE_URL", self.database_url, self.database_url_file.as_deref());
        let url = errors.require("DATABASE_URL", url)?;
        errors.take(connect_options(&url))
    }

    /// The connection options, for a command that has no other settings.
    ///
    /// # Errors
    /// If the URL is missing or is not a Postgres URL.
    pub fn options(self) -> Result<PgConnectOptions, SettingErrors> {
        let mut errors = SettingErrors::default();
        let options = self.read(&mut errors);
        errors.finish(options)
    }
}

fn connect_options(url: &SecretString) -> Result<PgConnectOptions, BadSetting> {
    let url = url.expose_secret();
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = url.parse().ok().filter(|_| is_postgres);
    options.ok_or_else(|| BadSetting::new("DATABASE_URL", "must be a postgres:// URL"))
}
