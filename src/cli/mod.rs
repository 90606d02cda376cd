//! The command line: one file per command.

mod audit;
mod completions;
mod console;
mod cxone;
mod demo;
mod doctor;
mod health;
mod keys;
mod migrate;
mod openapi;
mod placement;
mod serve;
mod simulator;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::SettingErrors;

/// Exit status for missing or invalid settings.
const BAD_SETTINGS: u8 = 2;

/// Callbacks and campaign control between a contact centre's systems and NICE CXone
#[derive(Parser)]
#[command(name = "ringback", version, about, propagate_version = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Migrate the database, then serve until SIGTERM
    Serve(Box<serve::Serve>),
    /// Run everything on one machine: simulator, service, a campaign, sample callbacks
    Demo(demo::Demo),
    /// Run a simulator of CXone
    Simulator(simulator::Simulator),
    /// Update the database's schema
    Migrate(migrate::Migrate),
    /// Create, list, rotate and revoke API keys
    Keys(keys::Keys),
    /// Create links to the console
    Console(console::Console),
    /// Read and verify the audit log
    Audit(audit::Audit),
    /// Recompute placements
    Placement(placement::Placement),
    /// Check a tenant of CXone
    Cxone(cxone::Cxone),
    /// Ask the service on this machine whether it is ready; for probes of containers
    Health(health::Health),
    /// Check the settings and everything that the service needs, and say what to do. Changes nothing
    Doctor(Box<doctor::Doctor>),
    /// Print the OpenAPI document
    Openapi,
    /// Print the completions of a shell
    Completions(completions::Completions),
}

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(run(cli.command));
    // Not waited for: the look-up of a name goes on in its thread after SIGTERM. Each command waits for what it must finish.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.downcast_ref::<SettingErrors>().map_or_else(|| fail(&error), refuse),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(serve) => Box::pin(serve.run()).await,
        Command::Demo(demo) => Box::pin(demo.run()).await,
        Command::Simulator(simulator) => simulator.run().await,
        Command::Migrate(migrate) => migrate.run().await,
        Command::Keys(keys) => keys.run().await,
        Command::Console(console) => console.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Placement(placement) => placement.run().await,
        Command::Cxone(cxone) => cxone.run().await,
        Command::Health(health) => health.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Openapi => openapi::run(),
        Command::Completions(completions) => completions.run(Cli::command()),
    }
}

fn refuse(errors: &SettingErrors) -> ExitCode {
    anstream::eprintln!("{errors}");
    ExitCode::from(BAD_SETTINGS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    anstream::eprintln!("ringback: {error:#}");
    ExitCode::FAILURE
}
