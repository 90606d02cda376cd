//! Who has used how much of the machine, from Linux's /proc.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;

use super::world::Outcome;

/// Linux shows processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time that was used until a moment.
pub struct Cores {
    pub at: Instant,
    /// Seconds, by user.
    pub used: Vec<(&'static str, f64)>,
}

impl Cores {
    /// Of these processes, of the one that makes the load, and of the Postgres server that `backend` belongs to.
    pub fn now(processes: &[(&'static str, u32)], backend: u32) -> Outcome<Self> {
        let mut used = vec![("postgres", Process::read(&backend.to_string()).map_or(0.0, Process::of_siblings))];
        for (name, id) in processes {
            used.push((*name, Process::read(&id.to_string())?.seconds));
        }
        used.push(("load", Process::read("self")?.seconds));
        Ok(Self { at: Instant::now(), used })
    }
}

struct Process {
    parent: u32,
    /// Of processor time, with that of its children that have ended.
    seconds: f64,
}

impl Process {
    fn read(process: &str) -> Outcome<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The program's name is in parentheses, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no process state")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
        let parent = fields.get(1).and_then(|parent| parent.parse().ok()).context("no parent")?;
        Ok(Self { parent, seconds: ticks / TICKS_PER_SECOND })
    }

    /// Of its parent, and of all that its parent has started.
    fn of_siblings(self) -> f64 {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let siblings = all.filter_map(|entry| Self::read(entry.file_name().to_str()?).ok());
        let siblings = siblings.filter(|process| process.parent == self.parent).map(|process| process.seconds);
        siblings.sum::<f64>() + Self::read(&self.parent.to_string()).map_or(0.0, |parent| parent.seconds)
    }
}

/// Memory that the process has resident.
pub fn resident_kib(process: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
