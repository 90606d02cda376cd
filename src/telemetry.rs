//! Logs and metrics.

mod metrics;

use std::io::{self, BufWriter, Stderr, Write};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
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

/// The lines that may wait to be written. Beyond it, lines are dropped: a slow reader of the log must not stop the service.
const WAITING_LINES: usize = 16_384;

/// The pause after a write. A busy service wakes the writing thread at most once in this time, and not for each line. A process
/// that is killed loses the lines of this time.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts logging to standard error, filtered by `RUST_LOG`, or by `default_filter` if that is not set or invalid. Details of
/// other crates are never printed. A thread writes the lines, those that wait together. What is left is written when the guard
/// is dropped.
pub fn start_logging(format: LogFormat, default_filter: &str) -> WorkerGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_printed));
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = builder.finish(Paced(BufWriter::new(io::stderr())));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    // Fails if logging was started before in this process, as in a test. The first call wins.
    let _ = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
        LogFormat::Pretty => registry.with(lines.with_target(false)).try_init(),
    };
    guard
}

/// Whether a line may be printed, whatever `RUST_LOG` is. At `debug` and `trace`, other crates print what they work on: phone
/// numbers, headers and bodies.
fn may_be_printed(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    *metadata.level() <= Level::INFO || target == "ringback" || target.starts_with("ringback::")
}

/// Writes the lines that wait together, and pauses after them.
struct Paced(BufWriter<Stderr>);

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Called when no line waits, and at the end.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(PAUSE);
        Ok(())
    }
}
