//! Signals to processes, and Linux's list of them.

use std::fs;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Sends a signal, such as `KILL`, to processes.
///
/// # Errors
/// Where one of them is gone already, or is somebody else's.
pub async fn signal(name: &str, processes: &[u32]) -> anyhow::Result<()> {
    let ids = processes.iter().map(u32::to_string);
    let status = Command::new("kill").arg("-s").arg(name).args(ids).status().await?;
    ensure!(status.success(), "SIG{name} could not be sent to {processes:?}");
    Ok(())
}

/// The processes that a process has started and that have not ended.
pub fn children(parent: u32) -> anyhow::Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").context("this needs Linux's /proc")?;
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(ids.filter(|id| parent_of(*id) == Some(parent)).collect())
}

/// None for one that has ended, waited for or not.
fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}
