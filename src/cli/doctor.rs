//! `ringback doctor`

mod checks;

use anyhow::bail;
use serde::Serialize;

use self::checks::{Finding, Status};
use crate::config::ServiceArgs;

/// The settings are those of `ringback serve`.
#[derive(clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All findings, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    status: Status,
    checks: &'a [Finding],
}

impl Doctor {
    /// Prints a line for each check. Fails where one fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let findings = match self.service.settings() {
            Ok(settings) => {
                let mut findings = vec![Finding::ok("settings", "all are valid")];
                findings.extend(Box::pin(checks::run(settings)).await);
                findings
            }
            Err(errors) => errors
                .to_string()
                .lines()
                .map(|line| Finding::fail("settings", line.trim_start_matches("error: "), "correct this setting"))
                .collect(),
        };
        if self.json {
            let status = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok);
            println!("{}", serde_json::to_string_pretty(&Report { status, checks: &findings })?);
        } else {
            for finding in &findings {
                anstream::println!("{finding}");
            }
        }
        let failed = findings.iter().filter(|finding| finding.status == Status::Fail).count();
        if failed > 0 {
            bail!("{failed} of {} checks failed", findings.len());
        }
        Ok(())
    }
}
