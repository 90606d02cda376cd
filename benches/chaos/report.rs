//! What people read. Each figure has a line of its own, so that programs can read it too.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::cxone::Cxone;
use super::nemesis::Nemesis;
use super::record::Record;
use super::recovery::{longest_silence, percentile, recoveries};
use super::settings::Settings;
use super::verdict::{Evidence, Kind, Violation};

/// Of violations, of all kinds together.
const EXAMPLES: usize = 20;
/// So that one rule's violations do not hide another's.
const EXAMPLES_OF_A_RULE: usize = 3;

pub fn start(settings: &Settings, binary: &Path, seed: u64, logs: &Path) {
    println!("seed {seed}: CHAOS_SEED={seed} makes the same choices again");
    println!("{} replicas of {}", settings.replicas, binary.display());
    println!("logs and all violations: {}", logs.display());
}

pub fn progress(elapsed: Duration, acknowledged: usize, kills: u32) {
    println!("{:>5} s  {acknowledged} callbacks acknowledged, {kills} kills", elapsed.as_secs());
}

pub fn end(nemesis: &Nemesis, record: &Record, cxone: &Cxone, evidence: &Evidence, stopped_at: Instant) {
    let disturbances = nemesis.disturbances.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let kept = record.kept();
    println!("\nanswers");
    for ((what, status), count) in &kept.answers {
        let status = if *status == 0 { "none".to_owned() } else { status.to_string() };
        figure(&format!("{what} {status}"), &count.to_string());
    }
    println!("\ncallbacks");
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for callback in &evidence.callbacks {
        let state = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let state =
            format!("{}, confirmation {}", state(&callback["status"]), state(&callback["confirmation"]["status"]));
        *states.entry(state).or_default() += 1;
    }
    for (state, count) in states {
        figure(&state, &count.to_string());
    }
    println!("\nCXone");
    let requests = cxone.requests();
    figure("requests", &requests.len().to_string());
    figure("contacts", &evidence.contacts.len().to_string());
    figure("messages", &evidence.messages.len().to_string());
    println!("\nrecovery: p50 and max, from the return until");
    for recovery in recoveries(&disturbances, &kept.successes, &requests) {
        figure(&format!("{}, times", recovery.what), &recovery.disturbances.to_string());
        durations("  an answer", &recovery.to_answer);
        durations("  a request to CXone", &recovery.to_request);
    }
    let silences = [("an answer", &kept.successes), ("a request to CXone", &requests)];
    for (what, moments) in silences {
        let longest = longest_silence(moments, stopped_at);
        figure(&format!("longest time without {what}"), &format!("{:.2} s", longest.as_secs_f64()));
    }
    println!();
    figure("kills", &nemesis.kills.load(Ordering::Relaxed).to_string());
    drop(kept);
    figure("acknowledged", &record.acknowledgements().to_string());
}

/// The verdict; all of it goes into a file.
pub fn violations(violations: &[Violation], logs: &Path) -> anyhow::Result<()> {
    let mut counts: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    for violation in violations {
        *counts.entry((violation.kind, &violation.what)).or_default() += 1;
    }
    for kind in [Kind::Lost, Kind::Duplicated, Kind::Wrong] {
        let of_kind = counts.iter().filter(|((other, _), _)| *other == kind);
        figure(&kind.to_string(), &of_kind.clone().map(|(_, count)| count).sum::<usize>().to_string());
        for ((_, what), count) in of_kind {
            println!("      {count:>6} × {what}");
        }
    }
    let shown = violations.iter().map(
        |violation| json!({ "kind": violation.kind.to_string(), "what": violation.what, "details": violation.details }),
    );
    fs::write(logs.join("violations.json"), serde_json::to_vec_pretty(&shown.collect::<Vec<_>>())?)?;
    let mut of_a_rule: HashMap<&str, usize> = HashMap::new();
    let examples = violations.iter().filter(|violation| {
        let seen = of_a_rule.entry(&violation.what).or_default();
        *seen += 1;
        *seen <= EXAMPLES_OF_A_RULE
    });
    for violation in examples.take(EXAMPLES) {
        println!("\n{}: {}", violation.kind, violation.what);
        println!("{}", serde_json::to_string_pretty(&violation.details)?);
    }
    Ok(())
}

fn durations(what: &str, sorted: &[Duration]) {
    let shown =
        |percent| percentile(sorted, percent).map_or("-".to_owned(), |took| format!("{:.2} s", took.as_secs_f64()));
    figure(&format!("{what} ({} seen)", sorted.len()), &format!("{:>9} {:>9}", shown(50), shown(100)));
}

fn figure(what: &str, value: &str) {
    println!("  {what:<52} {value:>9}");
}
