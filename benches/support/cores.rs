//! Processor time by process, from Linux's /proc.

use std::time::Instant;

use anyhow::Context as _;

use super::Outcome;
use crate::harness::processes::{children, stat};

/// Processor time used up to a moment.
pub struct Cores {
    pub at: Instant,
    /// Seconds, by user.
    pub used: Vec<(&'static str, f64)>,
}

impl Cores {
    /// Of these processes, of this one, which makes the load, and of the Postgres server that `backend` belongs to.
    pub fn now(processes: &[(&'static str, u32)], backend: u32) -> Outcome<Self> {
        let mut used = vec![("postgres", postgres(backend).unwrap_or(0.0))];
        for (name, id) in processes {
            used.push((*name, stat(*id).context("a process has ended")?.cpu_seconds));
        }
        let load = stat(std::process::id()).context("this process is not in /proc")?;
        used.push(("load", load.cpu_seconds));
        Ok(Self { at: Instant::now(), used })
    }
}

/// The server and all its processes. `None` if it runs on another machine.
fn postgres(backend: u32) -> Option<f64> {
    let server = stat(backend)?.parent;
    let processes = children(server).into_iter().filter_map(stat);
    Some(stat(server)?.cpu_seconds + processes.map(|process| process.cpu_seconds).sum::<f64>())
}
