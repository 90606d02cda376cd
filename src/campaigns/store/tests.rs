//! Tests of the campaign store in Postgres.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use strum::VariantNames as _;
use uuid::Uuid;

use super::CampaignStore;
use crate::audit::{Action, Actor};
use crate::campaigns::model::{
    Campaign, Changes, Command, CommandKind, Counts, Hold, PauseReason, Status, Timing, Trigger,
};
use crate::campaigns::ports::CampaignRepository as _;
use crate::clock::Clock;
use crate::cxone::{CampaignState, DialerCampaign};
use crate::db::{CreatedPosition, Db, PageRequest};
use crate::trace::Traceparent;
use crate::types::CampaignId;

const TIMING: Timing = Timing {
    pause_lead: Duration::from_secs(2),
    uncertain_for: Duration::from_mins(1),
    check_interval: Duration::from_secs(45),
};
const FIRST: Uuid = Uuid::from_u128(1);
const SECOND: Uuid = Uuid::from_u128(2);

pub(super) fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

pub(super) fn clock() -> Clock {
    Clock::from_fn(now)
}

pub(super) fn id() -> CampaignId {
    CampaignId::parse("campaign-1").unwrap()
}

pub(super) fn store(pool: &PgPool) -> CampaignStore {
    CampaignStore::new(Db::new(pool.clone()))
}

/// Inserts a campaign that became due, and whose check became due, so many seconds ago.
async fn insert(pool: &PgPool, id: &str, due: Option<i64>, check: Option<i64>) {
    sqlx::query(
        "insert into campaigns (campaign_id, due_at, check_at, created_at, updated_at)
         values ($1, now() - $2 * interval '1 second', now() - $3 * interval '1 second', now(), now())",
    )
    .bind(id)
    .bind(due)
    .bind(check)
    .execute(pool)
    .await
    .unwrap();
}

async fn expire_leases(pool: &PgPool) {
    sqlx::query("update campaigns set leased_until = now() - interval '1 second' where leased_by is not null")
        .execute(pool)
        .await
        .unwrap();
}

pub(super) fn hold(id: Uuid, ends_at: Option<Timestamp>) -> Hold {
    Hold {
        id,
        reason: PauseReason::CarrierThrottle,
        compliance: false,
        triggered_by: Trigger::ManualPause,
        placed_by: Actor::operator(),
        placed_at: now(),
        ends_at,
        max_agents: Some(3),
        regulatory_window: None,
        request_id: Some("request-1".into()),
        affected_callbacks: Some(2),
        counts: Counts { attempts: 10, answers: 4 },
        revision: 0,
    }
}

fn command(kind: CommandKind, id: Uuid, revision: i64) -> Command {
    Command {
        id,
        is_repeated: false,
        revision,
        kind,
        by: Actor::operator(),
        request_id: None,
        trace: Traceparent::root(id),
        arrived_at: now(),
        may_override: false,
    }
}

/// Places a hold as a command does, and saves it.
async fn pause(store: &CampaignStore, campaign: &mut Campaign, hold_id: Uuid, ends_at: Option<Timestamp>) {
    pause_with(store, campaign, hold(hold_id, ends_at)).await;
}

async fn pause_with(store: &CampaignStore, campaign: &mut Campaign, hold: Hold) {
    let mut changes = Changes::default();
    let hold_id = hold.id;
    let pause = command(CommandKind::Pause(Box::new(hold)), hold_id, campaign.revision);
    campaign.apply(&pause, None, &mut changes, &clock()).unwrap();
    let report = campaign.report(None, Status::Pending, now());
    changes.command = Some((hold_id, report));
    assert!(store.save(campaign, changes, None, false).await.unwrap());
    *campaign = store.load(&id()).await.unwrap();
}

pub(super) async fn actions(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select action from audit_entries order by seq").fetch_all(pool).await.unwrap()
}

#[sqlx::test]
async fn concurrent_claims_get_different_campaigns_and_each_campaign_is_claimed_once(pool: PgPool) {
    let store = store(&pool);
    for number in 0..6 {
        insert(&pool, &format!("campaign-{number}"), Some(number), None).await;
    }
    let claims = (1..=10).map(|lease| {
        let store = store.clone();
        tokio::spawn(async move { store.claim_due(Uuid::from_u128(lease), false).await.unwrap() })
    });
    let mut claimed: Vec<String> = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        claimed.extend(claim.await.unwrap().map(|id| id.to_string()));
    }
    // A claim that met a row that another one had just locked may find none.
    while let Some(id) = store.claim_due(clock().new_id(), false).await.unwrap() {
        claimed.push(id.to_string());
    }
    claimed.sort();
    assert_eq!(claimed, (0..6).map(|number| format!("campaign-{number}")).collect::<Vec<_>>());
}

#[sqlx::test]
async fn the_campaign_that_has_been_due_the_longest_is_claimed_first_and_checks_come_last(pool: PgPool) {
    let store = store(&pool);
    insert(&pool, "check", None, Some(500)).await;
    insert(&pool, "older", Some(60), None).await;
    insert(&pool, "newer", Some(30), Some(900)).await;
    insert(&pool, "later", Some(-60), Some(-60)).await;
    for expected in ["older", "newer"] {
        let claimed = store.claim_due(clock().new_id(), true).await.unwrap().unwrap();
        assert_eq!(claimed.as_str(), expected);
    }
    assert_eq!(store.claim_due(clock().new_id(), false).await.unwrap(), None);
    assert_eq!(store.claim_due(clock().new_id(), true).await.unwrap().unwrap().as_str(), "check");
    assert_eq!(store.claim_due(clock().new_id(), true).await.unwrap(), None);
}

#[sqlx::test]
async fn a_lease_keeps_others_out_until_it_ends_or_expires(pool: PgPool) {
    let store = store(&pool);
    assert!(store.claim(&id(), FIRST).await.unwrap());
    assert!(!store.claim(&id(), SECOND).await.unwrap());
    assert_eq!(store.load(&id()).await.unwrap().leased_by, Some(FIRST));

    store.end_lease(SECOND).await.unwrap();
    assert!(!store.claim(&id(), SECOND).await.unwrap(), "only its holder ends a lease");
    store.end_lease(FIRST).await.unwrap();
    assert!(store.claim(&id(), SECOND).await.unwrap());

    expire_leases(&pool).await;
    assert_eq!(store.load(&id()).await.unwrap().leased_by, None);
    store.renew(&id(), FIRST).await.unwrap();
    assert_eq!(store.load(&id()).await.unwrap().leased_by, None, "only its holder renews a lease");
    store.renew(&id(), SECOND).await.unwrap();
    assert_eq!(store.load(&id()).await.unwrap().leased_by, Some(SECOND));
    expire_leases(&pool).await;
    assert!(store.claim(&id(), FIRST).await.unwrap());
}

#[sqlx::test]
async fn a_save_is_refused_at_another_revision_and_under_another_lease(pool: PgPool) {
    let store = store(&pool);
    assert!(store.claim(&id(), FIRST).await.unwrap());
    let campaign = store.load(&id()).await.unwrap();
    assert!(!store.save(&campaign, Changes::default(), Some(SECOND), false).await.unwrap());
    assert!(store.save(&campaign, Changes::default(), Some(FIRST), false).await.unwrap());
    assert!(!store.save(&campaign, Changes::default(), Some(FIRST), false).await.unwrap(), "the revision is older");

    let campaign = store.load(&id()).await.unwrap();
    assert_eq!((campaign.revision, campaign.leased_by), (2, Some(FIRST)));
    assert!(store.save(&campaign, Changes::default(), None, false).await.unwrap(), "a lease is not required");
    let campaign = store.load(&id()).await.unwrap();
    assert_eq!(campaign.leased_by, Some(FIRST), "a save without a lease ends none");
    assert!(store.save(&campaign, Changes::default(), Some(FIRST), true).await.unwrap());
    assert_eq!(store.load(&id()).await.unwrap().leased_by, None);
}

#[sqlx::test]
async fn a_refused_save_stores_nothing(pool: PgPool) {
    let store = store(&pool);
    let mut stale = store.load(&id()).await.unwrap();
    assert!(store.save(&stale, Changes::default(), None, false).await.unwrap());
    let mut changes = Changes::default();
    stale.place(hold(FIRST, None), &mut changes, &clock());
    changes.command = Some((FIRST, stale.report(None, Status::Pending, now())));
    assert!(!store.save(&stale, changes, None, false).await.unwrap());
    assert!(store.load(&id()).await.unwrap().holds.is_empty());
    assert!(store.command_report(FIRST).await.unwrap().is_none());
    assert!(actions(&pool).await.is_empty());
}

#[sqlx::test]
async fn what_is_saved_is_loaded_again(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    pause(&store, &mut campaign, FIRST, None).await;
    let shown = DialerCampaign {
        state: CampaignState::Active,
        pause_reason: None,
        resume_at: None,
        max_agents: Some(10),
        dialing_mode: None,
        is_partly_started: false,
        keeps_reasons: true,
    };
    let mut changes = Changes::default();
    assert!(campaign.plan(&shown, &TIMING, &mut changes, &clock()).is_some());
    campaign.override_until = Some(now());
    campaign.failures = 3;
    campaign.schedule(&TIMING, &clock());
    assert!(store.save(&campaign, changes, None, false).await.unwrap());
    let expected = Campaign { revision: campaign.revision + 1, ..campaign };
    assert_eq!(store.load(&id()).await.unwrap(), expected);
}

#[sqlx::test]
async fn a_hold_is_placed_refreshed_and_lifted_with_its_entries(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    let end = now() + SignedDuration::from_hours(1);
    pause(&store, &mut campaign, FIRST, Some(end)).await;
    // Its counts are those of the campaign, which has no events.
    let placed = Hold { counts: Counts::default(), ..hold(FIRST, Some(end)) };
    assert_eq!(campaign.holds, [Hold { revision: 2, ..placed.clone() }]);

    let later = end + SignedDuration::from_hours(1);
    pause(&store, &mut campaign, SECOND, Some(later)).await;
    assert_eq!(campaign.holds, [Hold { revision: 3, ends_at: Some(later), ..placed }]);

    let mut changes = Changes::default();
    campaign.lift(|_| true, &Actor::operator(), Trigger::ManualResume, None, &mut changes, &clock());
    assert!(store.save(&campaign, changes, None, false).await.unwrap());
    assert!(store.load(&id()).await.unwrap().holds.is_empty());
    let expected = [Action::HoldPlaced, Action::HoldExtended, Action::HoldLifted];
    assert_eq!(actions(&pool).await, expected.map(|action| action.as_str().to_owned()));
}

#[sqlx::test]
async fn a_hold_that_ended_before_it_was_saved_is_stored_as_lifted(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    let mut changes = Changes::default();
    campaign.place(hold(FIRST, Some(now())), &mut changes, &clock());
    campaign.advance(&TIMING, &mut changes, &clock());
    assert!(store.save(&campaign, changes, None, false).await.unwrap());
    assert!(store.load(&id()).await.unwrap().holds.is_empty());
    let lifted: bool = sqlx::query_scalar("select lifted_at is not null from campaign_holds where id = $1")
        .bind(FIRST)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(lifted);
}

#[sqlx::test]
async fn a_command_is_executed_once_and_its_report_is_found_again(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    assert!(store.command_report(FIRST).await.unwrap().is_none());
    pause(&store, &mut campaign, FIRST, None).await;
    let report = store.command_report(FIRST).await.unwrap().unwrap();
    assert_eq!((report.status, report.holds.len()), (Status::Pending, 1));

    let changes = Changes { command: Some((FIRST, report)), ..Changes::default() };
    assert!(!store.save(&campaign, changes, None, false).await.unwrap());
}

#[sqlx::test]
async fn of_concurrent_runs_of_a_command_one_is_saved(pool: PgPool) {
    let store = store(&pool);
    let campaign = store.load(&id()).await.unwrap();
    let runs = (0..8).map(|_| {
        let (store, mut campaign) = (store.clone(), campaign.clone());
        tokio::spawn(async move {
            let mut changes = Changes::default();
            campaign.place(hold(FIRST, None), &mut changes, &clock());
            changes.command = Some((FIRST, campaign.report(None, Status::Pending, now())));
            store.save(&campaign, changes, None, false).await.unwrap()
        })
    });
    let mut saved = 0;
    for run in runs.collect::<Vec<_>>() {
        saved += i32::from(run.await.unwrap());
    }
    assert_eq!(saved, 1);
    assert_eq!(store.load(&id()).await.unwrap().holds.len(), 1);
}

#[sqlx::test]
async fn old_commands_are_purged(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    pause(&store, &mut campaign, FIRST, None).await;
    assert_eq!(store.purge_commands().await.unwrap(), 0);
    sqlx::query("update campaign_commands set created_at = now() - interval '9 days'").execute(&pool).await.unwrap();
    assert_eq!(store.purge_commands().await.unwrap(), 1);
    assert!(store.command_report(FIRST).await.unwrap().is_none());
}

#[sqlx::test]
async fn pages_continue_after_the_last_campaign_newest_first(pool: PgPool) {
    let store = store(&pool);
    for number in 0..5 {
        insert(&pool, &format!("campaign-{number}"), None, None).await;
    }
    // Two have the same time: the id decides.
    sqlx::query(
        "update campaigns set created_at = timestamptz '2026-11-20' + right(campaign_id, 1)::int / 2 * interval '1 s'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(&crate::types::AllowedCampaigns::all(), &PageRequest { limit: 2, after }).await.unwrap();
        let Some(last) = page.data.last() else { break };
        after = Some(CreatedPosition { created_at: last.created_at, id: last.id.clone() });
        ids.extend(page.data.iter().map(|campaign| campaign.id.to_string()));
        if page.next_cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, ["campaign-4", "campaign-3", "campaign-2", "campaign-1", "campaign-0"]);
}

#[sqlx::test]
async fn only_a_campaign_of_which_nothing_is_known_is_deleted(pool: PgPool) {
    let store = store(&pool);
    store.load(&id()).await.unwrap();
    store.delete_unknown(&id()).await.unwrap();
    assert!(store.find(&id()).await.unwrap().is_none());

    let mut campaign = store.load(&id()).await.unwrap();
    pause(&store, &mut campaign, FIRST, None).await;
    store.delete_unknown(&id()).await.unwrap();
    assert!(store.find(&id()).await.unwrap().is_some());
}

#[sqlx::test]
async fn every_pause_reason_is_stored(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    for (number, reason) in (1..).zip(PauseReason::VARIANTS) {
        let reason = PauseReason::parse(reason).unwrap();
        pause_with(&store, &mut campaign, Hold { reason, ..hold(Uuid::from_u128(number), None) }).await;
    }
    assert_eq!(campaign.holds.len(), PauseReason::VARIANTS.len());
}

#[sqlx::test]
async fn an_unknown_stored_value_is_an_error(pool: PgPool) {
    let store = store(&pool);
    store.load(&id()).await.unwrap();
    sqlx::query(r#"update campaigns set last_sent = '{"pause": {"reason": "LUNCH"}}'"#).execute(&pool).await.unwrap();
    assert!(matches!(store.find(&id()).await, Err(sqlx::Error::Decode(_))));
}

#[sqlx::test]
async fn a_changed_hold_makes_the_campaign_due_for_comparison_with_its_callbacks(pool: PgPool) {
    let store = store(&pool);
    let mut campaign = store.load(&id()).await.unwrap();
    assert!(store.claim_risk().await.unwrap().is_none());
    pause(&store, &mut campaign, FIRST, None).await;
    let claim = store.claim_risk().await.unwrap().unwrap();
    assert_eq!(claim.campaigns, [id().to_string()]);
    assert!(store.claim_risk().await.unwrap().is_none(), "it is claimed");
    let held = store.held_periods(&claim, now()).await.unwrap();
    assert_eq!(held.periods.len(), 1);
    assert_eq!((held.periods[0].from, held.periods[0].until), (now(), None));
}

/// Names of `last_sent` as migration 13 wrote them.
#[sqlx::test(migrations = false)]
async fn what_was_sent_before_the_names_changed_is_still_read(pool: PgPool) {
    // The tests' server has the current schema in each new database.
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let migrator = sqlx::migrate!();
    migrator.run_to(15, &pool).await.unwrap();
    let last_sent = serde_json::json!({
        "pause": {
            "reason": "SCHEDULED", "until": null, "agents": 3, "agents_before": 10, "is_plain": true,
            "cause": {
                "by": Actor::operator(), "triggered_by": "MANUAL_PAUSE", "request_id": "\"doubts\": \"refusals\":",
                "since": now(), "previous": "ACTIVE", "overrode": [], "counts": {"attempts": 0, "answers": 0},
                "by_answer_rate": false, "affected_callbacks": null, "command_id": null,
            },
        },
        "change": null, "doubts": [], "refusals": 2, "agents_due": null,
    });
    sqlx::query("insert into campaigns (campaign_id, last_sent, created_at, updated_at) values ($1, $2, now(), now())")
        .bind(id().as_str())
        .bind(last_sent)
        .execute(&pool)
        .await
        .unwrap();
    migrator.run(&pool).await.unwrap();
    let sent = store(&pool).load(&id()).await.unwrap().last_sent;
    let pause = sent.pause.unwrap();
    assert_eq!((sent.rejections, pause.is_minimal), (2, true));
    assert_eq!(pause.cause.request_id.as_deref(), Some("\"doubts\": \"refusals\":"));
}
