//! `ringback placement`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use uuid::Uuid;

use crate::callbacks::CallbackStore;
use crate::config::{DatabaseArgs, Given, SettingErrors, parsed};
use crate::db;
use crate::placement::Decision;
use crate::types::parse_uuid;

#[derive(clap::Args)]
pub struct Placement {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Decide about a callback again, by what was known then. Exit status 1 if the result differs
    Replay(Replay),
}

#[derive(clap::Args)]
struct Replay {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The callback
    #[arg(long, value_parser = parsed(parse_uuid), value_name = "ID")]
    callback: Given<Uuid>,
}

impl Placement {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Replay(replay) => replay.run().await,
        }
    }
}

impl Replay {
    async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        let database = self.database.read(&mut errors);
        let given = database.zip(errors.take(self.callback));
        let (database, id) = errors.finish(given)?;
        let db = db::connect(&database, db::ONE_CONNECTION).await.context("cannot connect to Postgres")?;
        let placed = CallbackStore::new(db.clone()).placement(id).await;
        db.close().await;
        let placed = placed.context("the placement cannot be read")?;
        report(&placed.with_context(|| format!("there is no placement of callback {id}"))?.decision)
    }
}

fn report(stored: &Decision) -> anyhow::Result<()> {
    let again = stored.inputs.clone().decide().map(|decision| decision.choice);
    let time = stored.choice.dispatch_time;
    match again {
        Some(choice) if choice == stored.choice => {
            anstream::println!("the same: {time}");
            Ok(())
        }
        Some(choice) => bail!("{time} was chosen, but now it is {}", choice.dispatch_time),
        None => bail!("{time} was chosen, but now no hour is possible"),
    }
}
