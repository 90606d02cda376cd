//! Metrics, and what names them: the alerts, the dashboard and the runbook.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use regex::Regex;
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{CAMPAIGN, Receiver, World, eventually, has_program, pause, payload};

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/ringback.json");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");
const SIGNING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// All that the pattern's group matches.
fn found<'a>(pattern: &str, text: &'a str) -> BTreeSet<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect()
}

/// The source of all modules.
fn source(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let is_rust = path.extension().is_some_and(|extension| extension == "rs");
            if path.is_dir() {
                source(&path)
            } else if is_rust {
                std::fs::read_to_string(path).unwrap()
            } else {
                String::new()
            }
        })
        .collect()
}

fn sources() -> String {
    source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The names that are given a help text in the code.
fn described(source: &str) -> BTreeSet<&str> {
    found(r#"describe_(?:counter|gauge|histogram)!\(\s*"(ringback_\w+)""#, source)
}

/// The name of a histogram or summary for that of one of its series.
fn family<'a>(series: &'a str, families: &BTreeSet<&str>) -> &'a str {
    let stripped = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    stripped.filter(|name| families.contains(name)).unwrap_or(series)
}

#[test]
fn every_metric_that_is_set_is_described_and_every_description_is_used() {
    let source = sources();
    let set = found(r#"[^_](?:counter|gauge|histogram)!\(\s*"(ringback_\w+)""#, &source);
    assert_eq!(described(&source), set);
}

#[test]
fn alerts_dashboard_and_runbook_name_only_metrics_that_exist() {
    let source = sources();
    let described = described(&source);
    for (file, text) in [("alerts", ALERTS), ("dashboard", DASHBOARD), ("runbook", RUNBOOK)] {
        for name in found(r"\b(ringback_[a-z_]+)", text) {
            assert!(described.contains(family(name, &described)), "{name} of the {file} does not exist");
        }
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let alerts = found(r"- alert: (\w+)", ALERTS);
    assert_eq!(alerts, found(r"(?m)^## (\w+)$", RUNBOOK));
    for alert in alerts {
        let link = format!("runbook_url: docs/runbook.md#{}\n", alert.to_lowercase());
        assert!(ALERTS.contains(&link), "{alert}");
    }
}

/// The metrics of a service that has worked on a callback, a campaign and webhooks.
async fn metrics(world: &World) -> String {
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook_at(&receiver).await;
    world.ask(&payload()).await;
    world.command("pause", &pause()).await;
    world
        .deliveries_when(&hook, |sent| !sent.is_empty() && sent.iter().all(|sent| sent["status"] == "succeeded"))
        .await;
    eventually("the metrics of waiting work", async || {
        let metrics = world.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let is_read = metrics.contains("ringback_waiting_work_timestamp_seconds ");
        if is_read { Ok(metrics) } else { Err(metrics) }
    })
    .await
}

#[tokio::test]
async fn every_metric_has_help_and_type_and_promtool_accepts_all() {
    let world = World::of_webhooks(&[("AUDIT_SIGNING_KEY", SIGNING_KEY)]).await;
    let text = metrics(&world).await;

    let (helped, typed) = (found(r"(?m)^# HELP (\w+) \S", &text), found(r"(?m)^# TYPE (\w+) \w", &text));
    let series = found(r"(?m)^(\w+)[ {]", &text);
    let families: BTreeSet<_> = series.iter().map(|name| family(name, &typed)).collect();
    assert_eq!((&helped, &typed), (&families, &families));
    for name in found(r"\b(process_[a-z_]+)", &format!("{ALERTS}{DASHBOARD}")) {
        assert!(families.contains(name), "{name}");
    }
    if has_program("promtool").await {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = promtool.spawn().unwrap();
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
        let checked = promtool.wait_with_output().await.unwrap();
        let complaints = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && complaints.trim().is_empty(), "{complaints}");
    }
    world.end().await;
}

#[tokio::test]
async fn metrics_show_what_waits_for_every_replica() {
    let mut world = World::of_webhooks(&[]).await;
    world.cxone.go_down().await;
    let accepted = world.post("/v1/callbacks", &payload()).await;
    assert!(accepted.status().is_success());
    // Another replica, which never saw the request.
    let replica = crate::support::Service::start(&world.database, &world.cxone, &[]).await;
    eventually("the callback in the metrics of another replica", async || {
        let metrics = world.http.get(format!("{}/metrics", replica.base_url)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let is_shown = metrics.contains("ringback_callbacks_in_progress{status=\"accepted\"} 1\n");
        if is_shown { Ok(()) } else { Err(metrics) }
    })
    .await;
    replica.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_request_has_one_log_line_with_client_key_route_and_status() {
    let world = World::with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let path = format!("/v1/callbacks?campaignId={CAMPAIGN}");
    let forwarded = world.request(Method::GET, &path).header("x-forwarded-for", "198.51.100.9, 203.0.113.7");
    assert_eq!(forwarded.header("x-request-id", "traced").send().await.unwrap().status(), 200);
    assert_eq!(world.request(Method::GET, "/healthz").send().await.unwrap().status(), 200);
    let key: uuid::Uuid = sqlx::query_scalar("select id from api_keys").fetch_one(&world.database.pool).await.unwrap();

    let log = world.service.log_at_end().await;

    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let answered = |line: &&Value| line["message"] == "request answered";
    let traced: Vec<_> = lines.iter().filter(answered).filter(|line| line["request.id"] == "traced").collect();
    let [line] = traced[..] else { panic!("{log}") };
    assert_eq!(line["client.address"], "203.0.113.7");
    assert_eq!(line["key.id"], key.to_string());
    assert_eq!((&line["http.route"], &line["http.status"]), (&"/v1/callbacks".into(), &200.into()));
    assert!(line["http.duration_ms"].is_number() && line["http.method"] == "GET", "{line}");
    assert!(!lines.iter().any(|line| line["http.route"] == "/healthz"), "{log}");
    world.database.drop().await;
}
