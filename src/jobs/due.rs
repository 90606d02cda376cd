//! The metrics of jobs that wait.

use jiff::Timestamp;

/// The jobs of a queue that are due and that no replica works on.
#[derive(Clone, Copy, Debug)]
pub struct DueJobs {
    /// The name of the queue, as in [`Queue::JOBS`](super::Queue::JOBS).
    pub queue: &'static str,
    pub count: i64,
    /// When the first of them became due.
    pub since: Option<Timestamp>,
}

impl DueJobs {
    /// Sets the metrics of the queue.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub fn export(self, now: Timestamp) {
        metrics::gauge!("ringback_jobs_due", "queue" => self.queue).set(self.count as f64);
        metrics::gauge!("ringback_jobs_oldest_due_seconds", "queue" => self.queue).set(age_seconds(self.since, now));
    }
}

/// The time since then; 0 without a time, or with one that is not reached.
pub fn age_seconds(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}
