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
    /// Postgres without a pooler in between, for all that a pooler cannot carry; DATABASE_URL by default
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "URL")]
    database_direct_url: Option<Given<SecretString>>,
    /// A file that contains DATABASE_DIRECT_URL
    #[arg(long, env, value_name = "FILE")]
    database_direct_url_file: Option<OsString>,
}

/// How to connect to Postgres.
pub struct DatabaseOptions {
    /// For the statements of the service. There may be a pooler in between.
    pub pooled: PgConnectOptions,
    /// For all that a pooler cannot carry: notifications, migrations, and settings of a connection.
    pub direct: PgConnectOptions,
}

impl DatabaseArgs {
    /// The connection options of a command, or none after adding an error. A command has few connections, and so needs no
    /// pooler.
    pub fn read(mut self, errors: &mut SettingErrors) -> Option<PgConnectOptions> {
        match errors.take(self.take_direct())? {
            Some(direct) => Some(direct),
            None => self.read_pooled(errors),
        }
    }

    /// The connection options of the service, or none after adding errors.
    pub fn read_both(mut self, errors: &mut SettingErrors) -> Option<DatabaseOptions> {
        let direct = errors.take(self.take_direct());
        let pooled = self.read_pooled(errors)?;
        Some(DatabaseOptions { direct: direct?.unwrap_or_else(|| pooled.clone()), pooled })
    }

    fn take_direct(&mut self) -> Given<Option<PgConnectOptions>> {
        let file = self.database_direct_url_file.take();
        let url = secret("DATABASE_DIRECT_URL", self.database_direct_url.take(), file.as_deref())?;
        url.map(|url| connect_options("DATABASE_DIRECT_URL", &url)).transpose()
    }

    fn read_pooled(self, errors: &mut SettingErrors) -> Option<PgConnectOptions> {
        let url = secret("DATABASE_URL", self.database_url, self.database_url_file.as_deref());
        let url = errors.require("DATABASE_URL", url)?;
        errors.take(connect_options("DATABASE_URL", &url))
    }
}

/// The settings for the connections of the service, as given.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectionArgs {
    /// The most connections to Postgres, besides one for notifications and three for the audit log
    #[arg(long, env, default_value = "24", value_parser = number(2_u32..=1000), value_name = "N")]
    database_max_connections: Given<u32>,
}

impl ConnectionArgs {
    /// The size of the pool.
    pub fn read(self, errors: &mut SettingErrors) -> Option<u32> {
        errors.take(self.database_max_connections)
    }
}

fn connect_options(setting: &'static str, url: &SecretString) -> Result<PgConnectOptions, BadSetting> {
    let url = url.expose_secret();
    let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = url.parse().ok().filter(|_| is_postgres);
    options.ok_or_else(|| BadSetting::new(setting, "must be a postgres:// URL"))
}
