//! The audit log: checkpoints that were published during the run are kept, and the log must still extend each of them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::client::Client;
use super::record::Record;
use super::replicas::Launch;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The checkpoints that were kept.
#[derive(Default)]
pub struct SealedLog {
    checkpoints: Vec<String>,
}

impl SealedLog {
    /// Keeps the newest checkpoint, where some replica gives it.
    pub async fn keep_checkpoint(&mut self, client: &Client) {
        for replica in 0..client.replicas.len() {
            let answer = client.look(replica, "/v1/audit/verification", TIMEOUT).await;
            if let Some(checkpoint) = answer.as_ref().and_then(|answer| answer.body["checkpoint"].as_str()) {
                self.checkpoints.push(checkpoint.to_owned());
                return;
            }
        }
    }

    /// Verifies the log, and that it extends each checkpoint that was kept.
    pub async fn verify(self, launch: &Launch, record: &Record) -> anyhow::Result<()> {
        verify(launch, record, &[]).await?;
        let file = launch.logs.join("checkpoint");
        for checkpoint in &self.checkpoints {
            std::fs::write(&file, checkpoint)?;
            verify(launch, record, &["--checkpoint", &file.to_string_lossy()]).await?;
        }
        println!("the audit log extends {} checkpoints that were kept during the run", self.checkpoints.len());
        Ok(())
    }
}

/// `ringback audit verify`
async fn verify(launch: &Launch, record: &Record, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(&launch.binary);
    command.args(["audit", "verify"]).args(arguments).env("DATABASE_URL", &launch.database_url).stdin(Stdio::null());
    let output = command.output().await?;
    let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        if arguments.is_empty() {
            println!("audit log: {}", printed.lines().next().unwrap_or_default());
        }
    } else {
        record.wrong("the audit log is not whole", json!({ "arguments": arguments, "error": error }));
    }
    Ok(())
}
