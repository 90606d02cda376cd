//! `ringback audit`

mod list;
mod verify;

use clap::Subcommand;

#[derive(clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print entries, newest first
    List(Box<list::List>),
    /// Check the whole audit log, or one proof without the database
    Verify(verify::Verify),
}

impl Audit {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List(list) => list.run().await,
            Action::Verify(verify) => verify.run().await,
        }
    }
}
