//! The metrics of this process, in Prometheus's text format.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

/// The upper bounds of the histogram buckets, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The recorder of this process. The first call creates it.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install_recorder).clone()
}

/// All metrics as text, with the process's own CPU time, memory and open files as of now.
pub fn render_metrics() -> String {
    let handle = metrics();
    Collector::default().collect();
    handle.render()
}

fn install_recorder() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    // Fails only for an empty list.
    let builder = builder.set_buckets(&SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another recorder is installed: metrics are not exported");
    }
    Collector::default().describe();
    describe();
    describe_cxone();
    describe_waiting_work();
    describe_operation();
    gauge!("ringback_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    handle
}

/// The unit and the help text of every metric. The gauges of single campaigns are described where they are set.
fn describe() {
    describe_histogram!("ringback_http_request_seconds", Unit::Seconds, "Duration of requests, by route and status");
    describe_counter!("ringback_callbacks_total", Unit::Count, "Callbacks that reached a status, by status");
    describe_counter!("ringback_callback_outcomes_total", Unit::Count, "Outcomes of the calls of callbacks, by status");
    describe_counter!(
        "ringback_callback_promises_total",
        Unit::Count,
        "Callbacks whose call became known: called in the window (kept), after it (late), or not at all (missed)"
    );
    describe_counter!(
        "ringback_callback_contacts_deleted_total",
        Unit::Count,
        "Contacts deleted in CXone because they must not be called, by reason"
    );
    describe_counter!(
        "ringback_callback_moves_total",
        Unit::Count,
        "Contacts that are to be moved, because their campaign may not call at their time"
    );
    describe_counter!(
        "ringback_placement_plans_total",
        Unit::Count,
        "Plans made that reserve capacity for expected callbacks"
    );
    describe_counter!("ringback_callbacks_at_risk_total", Unit::Count, "Callbacks that were marked as at risk");
    describe_counter!("ringback_campaign_changes_total", Unit::Count, "Campaign changes confirmed by CXone, by state");
    describe_counter!("ringback_webhook_attempts_total", Unit::Count, "Webhook delivery attempts, by outcome");
    describe_counter!("ringback_webhook_endpoints_disabled_total", Unit::Count, "Webhook endpoints that were disabled");
    describe_counter!(
        "ringback_audit_refusals_omitted_total",
        Unit::Count,
        "Refused requests without an audit entry of their own, by reason"
    );
}

/// What is read from Postgres at an interval. Each replica exports the same values, so take the maximum. Counts end at
/// 10,000.
fn describe_waiting_work() {
    describe_gauge!("ringback_callbacks_in_progress", Unit::Count, "Callbacks with work left to do, by status");
    describe_gauge!(
        "ringback_callbacks_oldest_age_seconds",
        Unit::Seconds,
        "Age of the oldest callback with work left to do, by status; 0 without one"
    );
    describe_gauge!("ringback_campaign_holds", Unit::Count, "Holds that are not lifted, by reason");
    describe_gauge!("ringback_jobs_due", Unit::Count, "Jobs that are due and that no replica works on, by queue");
    describe_gauge!(
        "ringback_jobs_oldest_due_seconds",
        Unit::Seconds,
        "For how long the oldest job has been due, by queue; 0 without one"
    );
    describe_gauge!("ringback_webhook_deliveries_pending", Unit::Count, "Webhook deliveries that have not ended");
    describe_gauge!(
        "ringback_webhook_oldest_pending_age_seconds",
        Unit::Seconds,
        "Age of the oldest webhook delivery that has not ended; 0 without one"
    );
    describe_gauge!(
        "ringback_webhook_endpoints",
        Unit::Count,
        "Webhook endpoints that are failing or disabled, by state"
    );
    describe_gauge!("ringback_audit_unsealed_entries", Unit::Count, "Audit entries that are not sealed, up to 1,000");
    describe_gauge!(
        "ringback_audit_oldest_unsealed_age_seconds",
        Unit::Seconds,
        "Age of the oldest audit entry that is not sealed; 0 without one"
    );
    describe_gauge!(
        "ringback_audit_other_partition_bytes",
        Unit::Bytes,
        "Size of the partition for audit entries of months without one, which should be empty"
    );
    describe_gauge!(
        "ringback_waiting_work_timestamp_seconds",
        Unit::Seconds,
        "Unix time at which the work that waits was last read from Postgres"
    );
}

fn describe_operation() {
    describe_counter!(
        "ringback_job_failures_total",
        Unit::Count,
        "Jobs that failed because of Postgres, by queue and step"
    );
    describe_gauge!("ringback_db_connections", Unit::Count, "Connections of the pool, by state");
    describe_gauge!("ringback_db_connections_limit", Unit::Count, "The most connections that the pool opens");
    describe_gauge!("ringback_db_waiting", Unit::Count, "Statements that wait for a connection of the pool");
    describe_gauge!(
        "ringback_clock_offset_seconds",
        Unit::Seconds,
        "How far this machine's clock is ahead of Postgres's clock, which the service uses"
    );
    describe_gauge!("ringback_build_info", Unit::Count, "Always 1; the label has the version");
}

fn describe_cxone() {
    describe_histogram!(
        "ringback_cxone_request_seconds",
        Unit::Seconds,
        "Duration of requests to CXone, by operation and outcome"
    );
    describe_counter!("ringback_cxone_token_requests_total", Unit::Count, "Requests for an access token, by outcome");
    describe_gauge!("ringback_cxone_token_timestamp_seconds", Unit::Seconds, "Unix time of the latest access token");
    describe_gauge!("ringback_cxone_unauthorized", Unit::Count, "1 while CXone rejects the client's credentials");
    describe_gauge!("ringback_cxone_breaker_open", Unit::Count, "1 while the circuit breaker is open, by endpoint");
    describe_counter!(
        "ringback_cxone_back_offs_total",
        Unit::Count,
        "429 answers that paused an endpoint, by endpoint"
    );
    describe_gauge!("ringback_cxone_budget_quota", Unit::Count, "Requests to CXone allowed per minute");
    describe_gauge!(
        "ringback_cxone_budget_class_quota",
        Unit::Count,
        "Requests to CXone that a class may use per minute; the count of budget_wait_seconds has those it used"
    );
    describe_gauge!("ringback_cxone_budget_used", Unit::Count, "Requests to CXone in the last minute, of all replicas");
    describe_counter!(
        "ringback_cxone_budget_refusals_total",
        Unit::Count,
        "Requests to CXone refused because the quota was used up, by class"
    );
    describe_histogram!(
        "ringback_cxone_budget_wait_seconds",
        Unit::Seconds,
        "Time that requests to CXone waited for the quota, by class"
    );
}
