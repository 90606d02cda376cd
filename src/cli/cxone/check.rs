//! `ringback cxone check`

use anyhow::bail;
use serde::Serialize;

use super::connected;
use crate::config::ServiceArgs;
use crate::cxone::{self, Class, RequestContext};
use crate::trace::Traceparent;

/// The settings are those of `ringback serve`.
#[derive(clap::Args)]
pub struct Check {
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All results, as JSON, in the form of those of `ringback doctor`.
#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    checks: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    status: &'static str,
    found: String,
}

impl<'a> Line<'a> {
    fn of(check: &'a cxone::Check) -> Self {
        let (status, found) = match &check.result {
            Ok(found) => ("ok", found.clone()),
            Err(error) => ("fail", error.to_string()),
        };
        Self { check: check.name, status, found }
    }
}

impl Check {
    /// Prints a line for each check. Fails where one fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let (db, cxone, clock) = connected(self.service.settings()?).await?;
        let trace = Traceparent::root(clock.new_id());
        let checks = cxone.check(RequestContext { class: Class::Background, trace: &trace }).await;
        db.close().await;
        let checks: Vec<Line<'_>> = checks.iter().map(Line::of).collect();
        let (failed, all) = (checks.iter().filter(|check| check.status == "fail").count(), checks.len());
        if self.json {
            let status = if failed > 0 { "fail" } else { "ok" };
            println!("{}", serde_json::to_string_pretty(&Report { status, checks })?);
        } else {
            for Line { check, status, found } in checks {
                let status = if status == "ok" { "ok" } else { "failed" };
                anstream::println!("{status:<6}  {check:<22}  {found}");
            }
        }
        if failed > 0 {
            bail!("{failed} of {all} checks failed");
        }
        Ok(())
    }
}
