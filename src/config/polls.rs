//! The settings for what is read from CXone regularly.

use std::time::Duration;

use super::errors::SettingErrors;
use super::given::{Given, number, optional_text, text};
use crate::callbacks::{OutcomeSettings, ReachedDispositions};

/// The settings for what is read from CXone regularly, as given.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct PollArgs {
    /// How often the outcomes of calls are read, in milliseconds; for CXONE_API=nice
    #[arg(long, env, default_value = "120000", value_parser = number(1000_u64..=3_600_000), value_name = "MS")]
    cxone_outcome_poll_ms: Given<u64>,
    /// Dispositions that say that the person was reached: ids or names, separated by commas. Without it, CXone's
    /// classification decides
    #[arg(long, env, value_parser = text(), value_name = "LIST")]
    cxone_reached_dispositions: Option<Given<String>>,
    /// How often the calls of dialers are read for campaigns whose `answerRate.source` is `cxone`, in milliseconds
    #[arg(long, env, default_value = "60000", value_parser = number(1000_u64..=3_600_000), value_name = "MS")]
    cxone_answer_rate_poll_ms: Given<u64>,
}

impl PollArgs {
    /// The settings for outcomes, and how often answer rates are read; or none after adding errors.
    pub fn read(self, errors: &mut SettingErrors) -> Option<(OutcomeSettings, Duration)> {
        let poll_every = errors.take(self.cxone_outcome_poll_ms).map(Duration::from_millis);
        let reached = errors.take(optional_text(self.cxone_reached_dispositions));
        let answer_rate_poll = errors.take(self.cxone_answer_rate_poll_ms).map(Duration::from_millis);
        let reached = ReachedDispositions::parse(&reached?.unwrap_or_default());
        Some((OutcomeSettings { poll_every: poll_every?, reached }, answer_rate_poll?))
    }
}
