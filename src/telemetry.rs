//! Logs and metrics.

mod metrics;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::metrics::{metrics, render_metrics};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people: coloured and aligned.
    Pretty,
}

/// The filter if `RUST_LOG` is not set.
pub const DEFAULT_FILTER: &str = "info";

/// Starts logging to standard error, filtered by `RUST_LOG`, or by `default_filter` if that is not set or invalid.
pub fn start_logging(format: LogFormat, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Fails if logging was started before in this process, as in a test. The first call wins.
    let _ = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
        LogFormat::Pretty => registry.with(lines.with_target(false)).try_init(),
    };
}
