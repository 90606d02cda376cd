//! The settings for Postgres.

use std::ffi::OsString;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, number, secret_text};
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
        errors.take(connect_options("DATABASE_URL", &url))
    }
}

/// The settings for the connections of the service, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct ConnectionArgs {
    /// Postgres without a pooler in between, for notifications; DATABASE_URL by default
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "URL")]
    database_direct_url: Option<Given<SecretString>>,
    /// A file that contains DATABASE_DIRECT_URL
    #[arg(long, env, value_name = "FILE")]
    database_direct_url_file: Option<OsString>,
    /// The most connections to Postgres, besides one for notifications and three for the audit log
    #[arg(long, env, default_value = "24", value_parser = number(2_u32..=1000), value_name = "N")]
    database_max_connections: Given<u32>,
}

impl ConnectionArgs {
    /// The connection options for notifications, if they differ, and the size of the pool.
    pub fn read(self, errors: &mut SettingErrors) -> Option<(Option<PgConnectOptions>, u32)> {
        let url = secret("DATABASE_DIRECT_URL", self.database_direct_url, self.database_direct_url_file.as_deref());
        let direct = url.and_then(|url| url.map(|url| connect_options("DATABASE_DIRECT_URL", &url)).transpose());
        errors.take(direct).zip(errors.take(self.database_max_connections))
    }
}

fn connect_options(setting: &'static str, url: &SecretString) -> Result<PgConnectOptions, BadSetting> {
    let url = url.expose_secret();
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = url.parse().ok().filter(|_| is_postgres);
    options.ok_or_else(|| BadSetting::new(setting, "must be a postgres:// URL"))
}
