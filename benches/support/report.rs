//! What people read. Each figure has a line of its own, so that programs can read it too.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::commands::Pauses;
use super::cores::Cores;
use super::load::Load;

pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, shared by the load, the service, Postgres and the simulator");
}

pub fn part(title: &str) {
    println!("\n{title}");
}

pub fn figure(what: &str, count: u64, unit: &str) {
    line(what, &count.to_string(), unit);
}

pub fn milliseconds(what: &str, took: Duration) {
    line(what, &format!("{:.1}", took.as_secs_f64() * 1e3), "ms");
}

pub fn seconds(what: &str, took: Duration) {
    line(what, &format!("{:.2}", took.as_secs_f64()), "s");
}

pub fn memory(what: &str, kib: u64) {
    line(what, &format!("{:.1}", number(kib) / 1024.0), "MiB");
}

pub fn megabytes(what: &str, bytes: u64) {
    line(what, &format!("{:.1}", number(bytes) / 1e6), "MB");
}

/// How much there is for each of so many.
pub fn per(what: &str, sum: u64, many: u64) {
    line(what, &format!("{:.3}", number(sum) / number(many.max(1))), "");
}

pub fn load(load: &Load) {
    for (status, count) in &load.statuses {
        figure(&format!("answered {status}"), *count, "");
    }
    seconds("wall time", load.took);
    line("answers", &format!("{:.0}", number(load.latencies.len()) / load.took.as_secs_f64()), "/s");
    latencies(&load.latencies);
}

/// In microseconds.
pub fn latencies(latencies: &Histogram<u64>) {
    for (what, percentile) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)] {
        milliseconds(&format!("latency {what}"), Duration::from_micros(latencies.value_at_percentile(percentile)));
    }
}

/// The median and the 99th percentile, in microseconds.
pub fn latencies_of(what: &str, latencies: &Histogram<u64>) {
    for (name, percentile) in [("p50", 50.0), ("p99", 99.0)] {
        milliseconds(&format!("{what}, {name}"), Duration::from_micros(latencies.value_at_percentile(percentile)));
    }
}

/// So many in this time.
pub fn rate(what: &str, count: u64, took: Duration) {
    number_per_second(what, number(count) / took.as_secs_f64());
}

pub fn number_per_second(what: &str, rate: f64) {
    line(what, &format!("{rate:.0}"), "/s");
}

/// The head of a table of pauses.
pub fn pauses_head() {
    println!("  {:<46} {:>6} {:>8} {:^26} {:^26}", "", "", "", "to the PUT, ms", "to the answer, ms");
    print!("  {:<46} {:>6} {:>8}", "while", "pauses", "202");
    for _ in 0..2 {
        print!(" {:>8} {:>8} {:>8}", "p50", "p95", "max");
    }
    println!();
}

/// A row of that table.
pub fn pauses(what: &str, pauses: &Pauses) {
    print!("  {what:<46} {:>6} {:>8}", pauses.answers.len(), pauses.pending);
    for latencies in [&pauses.puts, &pauses.answers] {
        for percentile in [50.0, 95.0, 100.0] {
            let took = Duration::from_micros(latencies.value_at_percentile(percentile));
            print!(" {:>8.1}", took.as_secs_f64() * 1e3);
        }
    }
    println!();
}

/// Who used how many cores between two moments.
pub fn cores(before: &Cores, after: &Cores) {
    let seconds = (after.at - before.at).as_secs_f64();
    for ((who, before), (_, after)) in before.used.iter().zip(&after.used) {
        line(&format!("cores used by {who}"), &format!("{:.2}", (after - before) / seconds), "");
    }
}

fn line(what: &str, value: &str, unit: &str) {
    println!("  {what:<52} {value:>9} {unit}");
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}
