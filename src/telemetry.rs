//! Logs and metrics.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// What is logged where `RUST_LOG` says nothing.
pub const DEFAULT_FILTER: &str = "info";

/// Logs to standard error from here on, filtered by `RUST_LOG`, or by the default where that is not set.
pub fn start_logging(format: LogFormat, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second subscriber in one process (a test's) leaves the first one be.
    let _ = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
        LogFormat::Pretty => registry.with(lines.with_target(false)).try_init(),
    };
}

/// Seconds: from a query to Postgres to a caller that waits for CXone.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The metrics of this process, to be shown at `/metrics`. Always the same ones, however often it is asked for.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new();
            // Only an empty list of buckets is refused.
            let builder = builder.set_buckets(&SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("something else records this process's metrics");
            }
            metrics::describe_histogram!("ringback_http_request_seconds", "Requests by route and status");
            metrics::describe_histogram!("ringback_cxone_request_seconds", "Calls to CXone by operation and outcome");
            metrics::describe_counter!("ringback_cxone_token_requests_total", "Requests for an access token");
            metrics::describe_counter!("ringback_callbacks_total", "Callbacks that came to each status");
            metrics::describe_gauge!(
                "ringback_clock_offset_seconds",
                "How far this machine's clock is ahead of Postgres's, which is the one used"
            );
            handle
        })
        .clone()
}
