//! Signals to processes, and Linux's /proc.

use std::fs;
use std::process::Stdio;

use tokio::process::Command;

/// Sends a signal, such as `KILL`. Returns false if one of the processes has already ended.
pub async fn signal(name: &str, processes: &[u32]) -> bool {
    let ids = processes.iter().map(u32::to_string);
    let output = Command::new("kill").arg("-s").arg(name).args(ids).output().await.unwrap();
    output.status.success()
}

/// The child processes that have not ended.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("this needs Linux's /proc");
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| stat(*id).is_some_and(|stat| stat.parent == parent)).collect()
}

/// Whether a process has not ended.
pub fn is_running(process: u32) -> bool {
    stat(process).is_some()
}

/// The resident memory of a process, in KiB.
pub fn resident_kib(process: u32) -> u64 {
    memory_kib(process, "VmRSS:")
}

/// A line of /proc/PID/status, such as `RssAnon:`, in KiB.
pub fn memory_kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a line of this name");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What /proc/PID/stat says of a process.
pub struct Stat {
    pub parent: u32,
    /// Processor time in seconds, with that of its children that have ended.
    pub cpu_seconds: f64,
}

/// `None` if the process has ended, whether its parent waited for it or not.
pub fn stat(process: u32) -> Option<Stat> {
    // Linux counts processor time in hundredths of a second, on every architecture.
    const TICKS_PER_SECOND: f64 = 100.0;

    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name is in parentheses, and may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    if *fields.first()? == "Z" {
        return None;
    }
    let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, cpu_seconds: ticks / TICKS_PER_SECOND })
}

/// Whether a program that a test needs is installed. A test that returns without it prints `skipped`; with `CI=true`
/// this panics instead.
pub async fn has_program(name: &str) -> bool {
    let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    is_installed(name, status.is_ok())
}

/// As [`has_program`], of a module of Python.
pub async fn has_python_module(name: &str) -> bool {
    let arguments = ["-m", name, "--version"];
    let status = Command::new("python3").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    is_installed(&format!("python3 with {name}"), status.is_ok_and(|status| status.success()))
}

fn is_installed(name: &str, installed: bool) -> bool {
    if !installed {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} is not installed: CI needs it");
        eprintln!("skipped: {name} is not installed");
    }
    installed
}
