//! Attempts and answers of a dialer, and the guard that pauses a campaign when few attempts are answered. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The length of the sliding window of a campaign without `answerRate` settings.
pub const DEFAULT_WINDOW: Duration = Duration::from_mins(5);

/// Attempts and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub attempts: u64,
    pub answers: u64,
}

impl Counts {
    /// Answers / attempts, 0 to 1; `None` without an attempt. An answer may outlive its attempt in the window, so there may
    /// be more answers than attempts: the rate is 1 then.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn rate(self) -> Option<f64> {
        (self.attempts > 0).then(|| (self.answers as f64 / self.attempts as f64).min(1.0))
    }

    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            attempts: self.attempts.saturating_add(other.attempts),
            answers: self.answers.saturating_add(other.answers),
        }
    }

    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            attempts: self.attempts.saturating_sub(other.attempts),
            answers: self.answers.saturating_sub(other.answers),
        }
    }
}

/// Where the attempts and answers of a campaign come from
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AnswerRateSource {
    /// From `POST /v1/campaigns/{id}/events`.
    #[default]
    Events,
    /// From CXone, which reports the calls of dialers by intervals.
    Cxone,
}

/// The limit below which the answer rate pauses a campaign
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerRateGuard {
    /// Whether a low answer rate pauses the campaign. Attempts and answers are counted in either case.
    pub enabled: bool,
    /// The length of the sliding window, in milliseconds.
    #[schema(minimum = 1_000, maximum = 86_400_000, example = 300_000)]
    pub window_ms: u32,
    /// Answers / attempts; a lower rate pauses the campaign.
    #[schema(minimum = 0, maximum = 1, example = 0.35)]
    pub min_answer_rate: f64,
    /// With fewer attempts in the window the campaign is never paused.
    #[schema(minimum = 1, example = 100)]
    pub min_attempts: u32,
    /// How long the campaign is paused, in milliseconds.
    #[schema(minimum = 100, maximum = 86_400_000, example = 600_000)]
    pub pause_for_ms: u32,
    /// `events`: attempts and answers are those that are posted as events. `cxone`: they are read from CXone, and events are
    /// ignored. CXone reports calls by quarter hours and late, so that they count when they are read: minutes after they were
    /// made.
    #[serde(default)]
    #[schema(required)]
    pub source: AnswerRateSource,
}

impl AnswerRateGuard {
    /// The length of the sliding window.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.into())
    }

    /// How long the campaign is paused.
    pub fn pause_for(&self) -> Duration {
        Duration::from_millis(self.pause_for_ms.into())
    }

    /// Whether these counts pause the campaign.
    pub fn is_tripped_by(&self, counts: Counts) -> bool {
        let has_enough_attempts = counts.attempts >= u64::from(self.min_attempts.max(1));
        self.enabled && has_enough_attempts && counts.rate().is_some_and(|rate| rate < self.min_answer_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(attempts: u64, answers: u64) -> Counts {
        Counts { attempts, answers }
    }

    fn guard() -> AnswerRateGuard {
        AnswerRateGuard {
            enabled: true,
            window_ms: 60_000,
            min_answer_rate: 0.35,
            min_attempts: 100,
            pause_for_ms: 1_000,
            source: AnswerRateSource::Events,
        }
    }

    #[test]
    fn a_campaign_is_paused_only_by_enough_attempts_and_too_few_answers() {
        for (counts, is_tripped) in [
            (counts(100, 20), true),
            (counts(100, 34), true),
            (counts(100, 35), false),
            (counts(99, 0), false),
            (counts(0, 0), false),
            (counts(0, 50), false),
            (counts(100, 200), false),
            (counts(u64::MAX, 0), true),
        ] {
            assert_eq!(guard().is_tripped_by(counts), is_tripped, "{counts:?}");
        }
        assert!(!AnswerRateGuard { enabled: false, ..guard() }.is_tripped_by(counts(100, 0)));
        assert!(!AnswerRateGuard { min_attempts: 0, min_answer_rate: 1.0, ..guard() }.is_tripped_by(Counts::default()));
    }

    #[test]
    fn there_is_no_rate_without_an_attempt_and_none_above_one() {
        for (counts, rate) in
            [(counts(0, 7), None), (counts(4, 0), Some(0.0)), (counts(4, 1), Some(0.25)), (counts(5, 7), Some(1.0))]
        {
            assert_eq!(counts.rate(), rate, "{counts:?}");
        }
    }

    #[test]
    fn counts_never_wrap() {
        let most = counts(u64::MAX, u64::MAX);
        assert_eq!(most.saturating_add(counts(1, 0)), most);
        assert_eq!(counts(1, 2).saturating_sub(most), Counts::default());
    }
}
