//! `ringback console`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use reqwest::Url;
use uuid::Uuid;

use crate::audit::Actor;
use crate::clock::Clock;
use crate::config::{DatabaseArgs, Given, SettingErrors, keep, parsed};
use crate::console::{ConsoleStore, Sessions, parse_address};
use crate::db::{self, SharedTime};
use crate::keys::KeyStore;

#[derive(clap::Args)]
pub struct Console {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print a link that signs in once within ten minutes, with the scopes of a key
    Link {
        /// The id of the key, as in `ringback keys list`
        #[arg(value_parser = keep(parse_id))]
        key: Given<Uuid>,
        /// Address of the service, such as <https://ringback.example.com>
        #[arg(long, env, default_value = "http://localhost:8080", value_parser = parsed(parse_address), value_name = "URL")]
        console_url: Given<Url>,
    },
}

impl Console {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let Action::Link { key, console_url } = self.action;
        let (database, key, url) = (self.database.read(&mut errors), errors.take(key), errors.take(console_url));
        let ((database, key), url) = errors.finish(database.zip(key).zip(url))?;
        db::migrate_or_check(&database).await?;
        let db = db::connect(&database, db::ONE_CONNECTION).await.context("Postgres cannot be reached")?;
        let time = SharedTime::follow(&db, Clock::system()).await.context("Postgres does not say what time it is")?;
        let keys = KeyStore::new(db.clone());
        if keys.get(key).await?.is_none_or(|key| !key.is_valid(time.clock().now())) {
            bail!("no key {key} that is valid; `ringback keys list` shows them");
        }
        let sessions = Sessions::new(ConsoleStore::new(db.clone()), keys, time.clock());
        println!("{}", url.join(&sessions.create_link(key, Actor::operator()).await?)?);
        db.close().await;
        Ok(())
    }
}

fn parse_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "must be the id of a key, as `ringback keys list` shows it")
}
