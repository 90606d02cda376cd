//! What the audit log says about pauses and resumes, in numbers.

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;

use super::statistics::{CommandCounts, CommandResults};
use super::tests::{clock, now, store};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::types::{AllowedCampaigns, CampaignId, Interval};

/// An entry of the campaign `c`, `seconds` after the span began.
fn entry(action: Action, seconds: i64, request: Option<&str>) -> Entry {
    let at = now() + SignedDuration::from_secs(seconds);
    Entry {
        campaign_id: Some("c".into()),
        request_id: request.map(Into::into),
        ..Entry::new(clock().new_id(), at, action, Actor::operator(), Outcome::Succeeded)
    }
}

fn applied(action: Action, latency_ms: i64) -> Entry {
    Entry { latency_ms: Some(latency_ms), ..entry(action, 1, None) }
}

async fn record(pool: &PgPool, entries: impl IntoIterator<Item = Entry>) {
    for entry in entries {
        sqlx::query("select audit_record($1)").bind(entry.into_json()).execute(pool).await.unwrap();
    }
}

async fn count(pool: &PgPool, campaigns: &AllowedCampaigns) -> CommandCounts {
    let end: Timestamp = now() + SignedDuration::from_mins(1);
    store(pool).command_counts(campaigns, Interval { start: now(), end }).await.unwrap()
}

#[sqlx::test]
async fn changes_are_counted_with_the_median_and_the_95th_percentile_of_their_latency(pool: PgPool) {
    assert_eq!(count(&pool, &AllowedCampaigns::all()).await, CommandCounts::default());
    record(&pool, (1..=5).map(|n| applied(Action::CampaignPaused, 100 * n))).await;
    // These have a latency too, which is not that of a change.
    let slow = |action| Entry { latency_ms: Some(9_000), ..entry(action, 2, Some("other")) };
    record(&pool, [slow(Action::CampaignPauseUnchanged), slow(Action::CampaignPauseRefused)]).await;
    record(&pool, [applied(Action::CampaignResumed, 70), slow(Action::CampaignResumeRefused)]).await;
    record(&pool, [slow(Action::CampaignResumeUnchanged), entry(Action::HoldPlaced, 1, None)]).await;

    let counts = count(&pool, &AllowedCampaigns::all()).await;

    let pauses = CommandResults {
        applied: 5,
        unchanged: 1,
        unconfirmed: 0,
        refused: 1,
        median_ms: Some(300.0),
        p95_ms: Some(480.0),
    };
    let resumes = CommandResults { applied: 1, median_ms: Some(70.0), p95_ms: Some(70.0), ..pauses };
    assert_eq!(counts, CommandCounts { pauses, resumes });
}

#[sqlx::test]
async fn a_pending_command_is_unconfirmed_until_an_entry_of_its_request_confirms_it(pool: PgPool) {
    record(
        &pool,
        [
            entry(Action::CampaignPausePending, 1, Some("confirmed")),
            entry(Action::CampaignPaused, 2, Some("confirmed")),
            entry(Action::CampaignPausePending, 3, Some("confirmed after the span")),
            entry(Action::CampaignPaused, 61, Some("confirmed after the span")),
            entry(Action::CampaignPausePending, 4, Some("found paused")),
            entry(Action::CampaignPauseUnchanged, 5, Some("found paused")),
            entry(Action::CampaignPausePending, 6, Some("resumed, not paused")),
            entry(Action::CampaignResumed, 7, Some("resumed, not paused")),
            entry(Action::CampaignResumePending, 8, Some("of another campaign")),
            Entry {
                campaign_id: Some("other".into()),
                ..entry(Action::CampaignResumed, 9, Some("of another campaign"))
            },
            entry(Action::CampaignResumePending, 60, Some("after the span")),
        ],
    )
    .await;
    let results = |applied, unchanged, unconfirmed| CommandResults {
        applied,
        unchanged,
        unconfirmed,
        ..CommandResults::default()
    };

    let all = count(&pool, &AllowedCampaigns::all()).await;
    let one = count(&pool, &AllowedCampaigns::only(CampaignId::parse("other"))).await;

    assert_eq!(all, CommandCounts { pauses: results(1, 1, 1), resumes: results(2, 0, 1) });
    assert_eq!(one, CommandCounts { pauses: results(0, 0, 0), resumes: results(1, 0, 0) });
}
