//! `ringback completions`

use clap::Command;
use clap_complete::Shell;

/// Prints what a shell needs to complete the command line.
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl Completions {
    /// Runs the command.
    pub fn run(&self, mut program: Command) -> anyhow::Result<()> {
        let shell = match self.shell.as_str() {
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => Shell::Bash,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program, "ringback", &mut script);
        crate::cli::table::written(&script)?;
        Ok(())
    }
}
