use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use strum::VariantArray as _;
use uuid::Uuid;

use super::store::Filter;
use super::{Action, Actor, AuditStore, Entry, Outcome, RecordedAction};
use crate::clock::Clock;
use crate::db::{Db, PageRequest, decode_cursor};
use crate::types::{AllowedCampaigns, CampaignId};

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T15:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

fn entry(seconds: i64, action: Action, outcome: Outcome) -> Entry {
    Entry::new(Clock::system().new_id(), at(seconds), action, Actor::operator(), outcome)
}

async fn record(pool: &PgPool, entry: Value) -> Result<Option<Uuid>, String> {
    let recorded = sqlx::query_scalar("select audit_record($1)").bind(entry).fetch_one(pool).await;
    recorded.map_err(|error| error.to_string())
}

async fn actions(pool: &PgPool, filter: Filter) -> Vec<RecordedAction> {
    let store = AuditStore::new(Db::new(pool.clone()));
    let page = store.page(&filter, &PageRequest { limit: 200, after: None }).await.unwrap();
    page.data.iter().map(|entry| entry.action.clone()).collect()
}

#[sqlx::test]
async fn every_action_can_be_recorded_and_read(pool: PgPool) {
    for action in Action::VARIANTS {
        record(&pool, entry(0, *action, Outcome::Succeeded).into_json()).await.unwrap();
    }
    let read: Vec<RecordedAction> = actions(&pool, Filter::default()).await.into_iter().rev().collect();
    assert_eq!(read, Action::VARIANTS);
}

#[sqlx::test]
async fn entries_of_newer_versions_are_read(pool: PgPool) {
    let mut newer = entry(0, Action::HoldPlaced, Outcome::Succeeded).into_json();
    newer["action"] = "hold.moved".into();
    record(&pool, newer).await.unwrap();
    assert_eq!(actions(&pool, Filter::default()).await, [RecordedAction::Newer("hold.moved".into())]);
}

#[sqlx::test]
async fn an_entry_is_recorded_once(pool: PgPool) {
    let entry = entry(0, Action::HoldPlaced, Outcome::Succeeded);
    for _ in 0..2 {
        assert_eq!(record(&pool, entry.clone().into_json()).await, Ok(Some(entry.id)));
    }
    assert_eq!(actions(&pool, Filter::default()).await, [Action::HoldPlaced]);
}

#[sqlx::test]
async fn an_entry_with_an_unknown_or_a_missing_key_is_refused(pool: PgPool) {
    let complete = entry(0, Action::HoldPlaced, Outcome::Succeeded).into_json();
    let keys: Vec<String> = complete.as_object().unwrap().keys().cloned().collect();
    for key in keys {
        let mut lacking = complete.clone();
        lacking.as_object_mut().unwrap().remove(&key);
        let refused = record(&pool, lacking).await.unwrap_err();
        assert!(refused.contains(&format!("audit entry lacks {key}")), "{refused}");
    }
    let mut misspelt = complete.clone();
    misspelt["campaignID"] = json!("a");
    assert!(record(&pool, misspelt).await.unwrap_err().contains("audit entry has unknown campaignID"));
    let mut no_name = complete.clone();
    no_name["actor"].as_object_mut().unwrap().remove("name");
    assert!(record(&pool, no_name).await.unwrap_err().contains("actor of an audit entry lacks name"));
    let mut bad_event = complete;
    bad_event["event"] = json!({"id": Uuid::nil(), "type": "campaign.paused", "text": ""});
    assert!(record(&pool, bad_event).await.unwrap_err().contains("webhook event lacks body"));
    assert!(actions(&pool, Filter::default()).await.is_empty());
}

#[sqlx::test]
async fn an_entry_is_never_changed_or_deleted(pool: PgPool) {
    record(&pool, entry(0, Action::HoldPlaced, Outcome::Succeeded).into_json()).await.unwrap();
    for change in [
        "update audit_entries set action = 'hold.lifted'",
        "delete from audit_entries where false",
        "truncate audit_entries",
        "set session_replication_role = replica; delete from audit_entries",
    ] {
        let refused = sqlx::raw_sql(change).execute(&pool).await.unwrap_err().to_string();
        assert!(refused.contains("audit entries are never changed or deleted"), "{change}: {refused}");
    }
}

#[sqlx::test]
async fn filters_are_combined(pool: PgPool) {
    #[derive(Serialize)]
    struct Detail {
        reason: &'static str,
    }
    let callback_id = Some(Clock::system().new_id());
    let campaign_id = Some("a".to_owned());
    let placed = entry(0, Action::HoldPlaced, Outcome::Succeeded).with_detail(&Detail { reason: "test" });
    let refused = entry(1, Action::CampaignPauseRefused, Outcome::Refused);
    let failed = entry(2, Action::CallbackFailed, Outcome::Failed);
    for entry in [
        Entry { campaign_id: campaign_id.clone(), ..placed },
        Entry { campaign_id, actor: Actor::system("worker"), ..refused },
        Entry { callback_id, ..failed },
    ] {
        record(&pool, entry.into_json()).await.unwrap();
    }
    let of = async |filter| actions(&pool, filter).await;
    let campaign = || CampaignId::parse("a").ok();

    let all = [Action::CallbackFailed, Action::CampaignPauseRefused, Action::HoldPlaced];
    assert_eq!(of(Filter::default()).await, all);
    assert_eq!(of(Filter { campaign_id: campaign(), ..Filter::default() }).await, all[1..]);
    assert_eq!(of(Filter { callback_id, ..Filter::default() }).await, all[..1]);
    assert_eq!(of(Filter { action: Some("hold.placed".into()), ..Filter::default() }).await, all[2..]);
    assert_eq!(of(Filter { actor: Some("worker".into()), ..Filter::default() }).await, all[1..2]);
    assert_eq!(of(Filter { outcome: Some(Outcome::Refused), ..Filter::default() }).await, all[1..2]);
    assert_eq!(of(Filter { from: Some(at(1)), to: Some(at(2)), ..Filter::default() }).await, all[1..2]);
    let both = Filter { campaign_id: campaign(), outcome: Some(Outcome::Failed), ..Filter::default() };
    assert!(of(both).await.is_empty());
}

#[sqlx::test]
async fn pages_list_every_entry_once_newest_first(pool: PgPool) {
    let mut recorded = Vec::new();
    for seconds in 0..5 {
        let entry = entry(seconds, Action::SettingsUpdated, Outcome::Succeeded);
        recorded.insert(0, entry.id);
        record(&pool, entry.into_json()).await.unwrap();
    }
    let store = AuditStore::new(Db::new(pool));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(&Filter::default(), &PageRequest { limit: 2, after }).await.unwrap();
        listed.extend(page.data.iter().map(|entry| entry.id));
        let Some(cursor) = page.next_cursor else { break };
        after = decode_cursor(&cursor);
    }
    assert_eq!(listed, recorded);
}

#[sqlx::test]
async fn entries_are_listed_by_their_time_and_then_by_the_order_of_their_insertion(pool: PgPool) {
    for (seconds, action) in [(2, Action::HoldPlaced), (1, Action::HoldLifted), (2, Action::HoldExtended)] {
        record(&pool, entry(seconds, action, Outcome::Succeeded).into_json()).await.unwrap();
    }
    let listed = [Action::HoldExtended, Action::HoldPlaced, Action::HoldLifted];
    assert_eq!(actions(&pool, Filter::default()).await, listed);
    let store = AuditStore::new(Db::new(pool));
    let (mut stepped, mut after) = (Vec::new(), None);
    loop {
        let step = store.step(&Filter::default(), after.as_ref(), 1).await.unwrap();
        stepped.extend(step.entries.iter().map(|entry| entry.action.clone()));
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(stepped, listed);
}

/// What a page reads: all rows of its scans, those that do not match included.
fn rows_read(plan: &Value) -> f64 {
    let node = |name: &str| plan[name].as_f64().unwrap_or_default();
    let is_scan = plan["Node Type"].as_str().is_some_and(|kind| kind.contains("Scan") && kind != "Subquery Scan");
    let own = if is_scan { (node("Actual Rows") + node("Rows Removed by Filter")) * node("Actual Loops") } else { 0.0 };
    own + plan["Plans"].as_array().into_iter().flatten().map(rows_read).sum::<f64>()
}

/// 30,000 entries. One in ten of the first 3,000 has rare values.
async fn insert_entries(pool: &PgPool) {
    sqlx::raw_sql(
        "insert into audit_entries (id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome, campaign_id, callback_id)
         select gen_random_uuid(), '2026-11-20T15:00:00Z'::timestamptz + n * interval '1 ms', action, 'system', actor, 'name of ' || actor,
             outcome, campaign, ('00000000-0000-7000-8000-' || lpad((n / 3)::text, 12, '0'))::uuid
         from generate_series(0, 29999) as n,
             lateral (select n < 3000 and n % 10 = 0 as is_old) as _,
             lateral (select case when is_old then 'hold.placed' else (array['callback.accepted', 'callback.scheduled',
                     'callback.confirmed'])[n % 3 + 1] end as action,
                 case when is_old then 'old' else 'busy' end as actor, case when is_old then 'old' else 'busy-' || n % 3 end as campaign,
                 case when is_old then 'failed' else 'succeeded' end as outcome) as __;
         analyze audit_entries",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test]
async fn a_page_reads_few_entries_whatever_the_filter_and_however_many_there_are(pool: PgPool) {
    insert_entries(&pool).await;
    let reports = Db::new(pool).for_reports();
    let of = |filter: &Filter| {
        sqlx::query_scalar::<_, Value>(concat!("explain (analyze, format json) ", include_str!("page.sql")))
            .bind(filter.campaign().map(CampaignId::as_str).map(str::to_owned))
            .bind(filter.callback_id)
            .bind(filter.action.clone())
            .bind(filter.actor.clone())
            .bind(filter.outcome.map(<&str>::from))
            .bind(filter.from.map(|at| at.to_sqlx()))
            .bind(filter.to.map(|at| at.to_sqlx()))
            .bind(None::<jiff_sqlx::Timestamp>)
            .bind(None::<i64>)
            .bind(!filter.has_rare_value())
            .bind(51_i64)
            .bind(filter.campaigns.texts())
    };
    let only = |id| AllowedCampaigns::only(CampaignId::parse(id));
    let campaign = |id| Filter { campaign_id: CampaignId::parse(id).ok(), ..Filter::default() };
    let action = |text: &str| Filter { action: Some(text.into()), ..Filter::default() };
    let actor = |text: &str| Filter { actor: Some(text.into()), ..Filter::default() };
    let outcome = |outcome| Filter { outcome: Some(outcome), ..Filter::default() };
    for filter in [
        Filter::default(),
        campaign("busy-1"),
        campaign("old"),
        campaign("none"),
        Filter { campaigns: only("old"), ..Filter::default() },
        Filter { callback_id: Some(Uuid::from_u128(7)), ..Filter::default() },
        action("callback.accepted"),
        action("callback.scheduled"),
        action("hold.placed"),
        action("hold.lifted"),
        actor("busy"),
        actor("old"),
        actor("name of busy"),
        actor("name of old"),
        actor("nobody"),
        outcome(Outcome::Succeeded),
        outcome(Outcome::Failed),
        outcome(Outcome::Refused),
        Filter { from: Some(at(3)), to: Some(at(4)), ..Filter::default() },
        Filter { to: Some(at(1)), ..action("hold.placed") },
        Filter { outcome: Some(Outcome::Failed), ..campaign("old") },
    ] {
        let explained = of(&filter).fetch_one(&reports.pool().clone()).await.unwrap();
        let read = rows_read(&explained[0]["Plan"]);
        assert!(read <= 350.0, "{filter:?} reads {read} entries: {explained:#}");
    }
}
