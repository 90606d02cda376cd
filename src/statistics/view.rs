//! The answer.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Numbers;
use crate::callbacks::{CallbackCounts, PromiseResults};
use crate::campaigns::CommandResults;
use crate::cxone::{Class, ClassUse, QuotaUse};
use crate::types::{CampaignId, Interval};
use crate::webhooks::DeliveryCounts;

/// What happened in a span
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Statistics, example = json!({
    "campaignId": null, "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z",
    "callbacks": {"accepted": 12, "scheduled": 1150, "failed": 8, "expired": 2, "cancelled": 28},
    "promises": {"kept": 1089, "late": 1, "missed": 10, "open": 72, "keptRate": 0.99},
    "pauses": {"applied": 14, "unchanged": 2, "unconfirmed": 0, "refused": 1, "successRate": 1.0, "medianLatencyMs": 41.0,
        "p95LatencyMs": 230.5},
    "resumes": {"applied": 13, "unchanged": 0, "unconfirmed": 0, "refused": 3, "successRate": 1.0, "medianLatencyMs": 39.0,
        "p95LatencyMs": 187.0},
    "webhooks": {"succeeded": 2380, "dead": 20, "pending": 4, "successRate": 0.992},
    "quota": {"requestsPerMinute": 100, "used": 37, "classes": [
        {"class": "control", "quota": 100, "used": 3}, {"class": "waiting", "quota": 100, "used": 20},
        {"class": "background", "quota": 100, "used": 8}, {"class": "routine", "quota": 10, "used": 5},
        {"class": "clientRead", "quota": 5, "used": 1}]}}))]
pub(super) struct StatisticsView {
    /// Null for all campaigns that the key allows.
    #[schema(required, value_type = Option<String>)]
    campaign_id: Option<CampaignId>,
    from: Timestamp,
    to: Timestamp,
    callbacks: CallbacksView,
    promises: PromisesView,
    pauses: CommandsView,
    resumes: CommandsView,
    webhooks: DeliveriesView,
    quota: QuotaView,
}

/// The callbacks that were accepted in the span, by their status now
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallbackStatistics)]
struct CallbacksView {
    accepted: i64,
    scheduled: i64,
    failed: i64,
    expired: i64,
    cancelled: i64,
}

/// What became of these callbacks, without the cancelled ones
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PromiseStatistics)]
struct PromisesView {
    /// CXone called in the window. Where it does not report calls: it had the contact until the window ended.
    kept: i64,
    /// CXone called after the window.
    late: i64,
    /// CXone did not call the person, or never had the contact.
    missed: i64,
    /// Not known yet.
    open: i64,
    /// The kept ones among those that are known, from 0 to 1. Null if there are none.
    #[schema(required)]
    kept_rate: Option<f64>,
}

/// The pauses, or the resumes, that ended in the span
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CommandStatistics)]
struct CommandsView {
    /// CXone has confirmed the change, whatever caused it: a command, the end of a hold, the answer rate, or the regulatory window.
    applied: i64,
    /// The campaign was in that state.
    unchanged: i64,
    /// Answered with 202, and not confirmed by CXone yet.
    unconfirmed: i64,
    /// They do not count in the rate.
    refused: i64,
    /// The part that was applied or needed no change, from 0 to 1. Null if there are none.
    #[schema(required)]
    success_rate: Option<f64>,
    /// From the cause of a change until CXone confirmed it. Null if there was none.
    #[schema(required)]
    median_latency_ms: Option<f64>,
    #[schema(required)]
    p95_latency_ms: Option<f64>,
}

/// The deliveries of the events of the span
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeliveryStatistics)]
struct DeliveriesView {
    succeeded: i64,
    /// Not retried any more.
    dead: i64,
    pending: i64,
    /// The part of those that ended, from 0 to 1. Null if there are none.
    #[schema(required)]
    success_rate: Option<f64>,
}

/// The requests to CXone in the last minute, of all replicas and campaigns
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QuotaStatistics)]
struct QuotaView {
    requests_per_minute: u32,
    used: u32,
    /// Most urgent first.
    #[schema(min_items = 5, max_items = 5)]
    classes: Vec<QuotaClassView>,
}

/// The requests of one class
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaClassStatistics)]
struct QuotaClassView {
    class: QuotaClass,
    /// What the class may use at most. Classes share the quota.
    quota: u32,
    used: u32,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum QuotaClass {
    Control,
    Waiting,
    Background,
    Routine,
    ClientRead,
}

impl StatisticsView {
    pub(super) fn new(campaign_id: Option<CampaignId>, span: Interval, numbers: &Numbers) -> Self {
        let Numbers { callbacks, commands, deliveries, quota } = numbers;
        let CallbackCounts { accepted, scheduled, failed, expired, cancelled, promises } = *callbacks;
        Self {
            campaign_id,
            from: span.start,
            to: span.end,
            callbacks: CallbacksView { accepted, scheduled, failed, expired, cancelled },
            promises: promises.into(),
            pauses: commands.pauses.into(),
            resumes: commands.resumes.into(),
            webhooks: (*deliveries).into(),
            quota: (*quota).into(),
        }
    }
}

impl From<PromiseResults> for PromisesView {
    fn from(PromiseResults { kept, late, missed, open }: PromiseResults) -> Self {
        Self { kept, late, missed, open, kept_rate: rate(kept, late + missed) }
    }
}

impl From<CommandResults> for CommandsView {
    fn from(results: CommandResults) -> Self {
        let CommandResults { applied, unchanged, unconfirmed, refused, median_ms, p95_ms } = results;
        Self {
            applied,
            unchanged,
            unconfirmed,
            refused,
            success_rate: rate(applied + unchanged, unconfirmed),
            median_latency_ms: median_ms,
            p95_latency_ms: p95_ms,
        }
    }
}

impl From<DeliveryCounts> for DeliveriesView {
    fn from(DeliveryCounts { succeeded, dead, pending }: DeliveryCounts) -> Self {
        Self { succeeded, dead, pending, success_rate: rate(succeeded, dead) }
    }
}

impl From<QuotaUse> for QuotaView {
    fn from(QuotaUse { quota, used, classes }: QuotaUse) -> Self {
        Self { requests_per_minute: quota, used, classes: classes.into_iter().map(QuotaClassView::from).collect() }
    }
}

impl From<ClassUse> for QuotaClassView {
    fn from(ClassUse { class, quota, used }: ClassUse) -> Self {
        let class = match class {
            Class::Control => QuotaClass::Control,
            Class::Waiting => QuotaClass::Waiting,
            Class::Background => QuotaClass::Background,
            Class::Routine => QuotaClass::Routine,
            Class::ClientRead => QuotaClass::ClientRead,
        };
        Self { class, quota, used }
    }
}

/// The part of the good ones. None if there are none at all.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rate(good: i64, bad: i64) -> Option<f64> {
    let all = good + bad;
    (all > 0).then(|| good as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_known_ones_and_none_without_any() {
        assert_eq!((rate(0, 0), rate(0, 3), rate(3, 0)), (None, Some(0.0), Some(1.0)));
        // It is not rounded: one that failed is seen.
        assert!(rate(999_999, 1) < Some(1.0));
    }
}
