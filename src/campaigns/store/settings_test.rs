//! Tests of the settings in Postgres.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::tests::{actions, clock, hold, id, now, store};
use super::{CampaignStore, Saved, SettingsStore};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::campaigns::model::{CampaignSettings, Changes, Hold, PlacementRefusal, PlacementRules};
use crate::campaigns::ports::CampaignRepository as _;
use crate::db::Db;
use crate::types::{CampaignId, TimeWindow};

fn other_id() -> CampaignId {
    CampaignId::parse("campaign-2").unwrap()
}

/// Settings with a value for each member.
fn complete() -> CampaignSettings {
    let stored = json!({
        "businessHours": {"timezone": "Europe/Berlin", "days": [
            {"day": "MONDAY", "startTime": "08:00", "endTime": "20:00"},
            {"day": "FRIDAY", "startTime": "22:00", "endTime": "02:00"},
        ]},
        "averageHandleTimeSeconds": 420, "smsFrom": "+18005551234",
        "maxAgents": 30, "carrierLimit": {"maxConcurrentCalls": 100, "maxAgents": 30},
        "regulatoryWindow": {"startTime": "21:00", "endTime": "02:00", "timezone": "Europe/Berlin"},
        "enforceRegulatoryWindow": true,
        "answerRate": {
            "enabled": true, "windowMs": 60_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 300_000,
        },
    });
    serde_json::from_value(stored).unwrap()
}

fn with_agents(max_agents: u32) -> CampaignSettings {
    CampaignSettings { max_agents: Some(max_agents), ..CampaignSettings::default() }
}

fn entry(campaign: &CampaignId) -> Entry {
    let entry = Entry::new(clock().new_id(), now(), Action::SettingsUpdated, Actor::operator(), Outcome::Succeeded);
    Entry { campaign_id: Some(campaign.to_string()), ..entry }
}

struct Fixture {
    pool: PgPool,
    settings: SettingsStore,
    campaigns: CampaignStore,
}

impl Fixture {
    fn new(pool: PgPool) -> Self {
        Self { settings: SettingsStore::new(Db::new(pool.clone())), campaigns: store(&pool), pool }
    }

    /// Saves settings of a campaign. Returns their version, or `None` where they were refused as stale.
    async fn save(&self, campaign: &CampaignId, settings: &CampaignSettings, expected: Option<i64>) -> Option<i64> {
        match self.settings.save(campaign, settings, expected, now(), entry(campaign)).await.unwrap() {
            Saved::As(version) => Some(version),
            Saved::Stale => None,
        }
    }

    /// Saves different settings at once, each in place of the expected version. Returns what became of each.
    async fn save_at_once(&self, expected: Option<i64>) -> Vec<(CampaignSettings, Option<i64>)> {
        let saves = (0..8).map(|agents| async move {
            let settings = with_agents(agents);
            let version = self.save(&id(), &settings, expected).await;
            (settings, version)
        });
        futures::future::join_all(saves).await
    }

    async fn stored(&self, campaign: &CampaignId) -> (CampaignSettings, i64) {
        self.settings.with_version(campaign).await.unwrap()
    }

    async fn revision(&self) -> i64 {
        self.campaigns.find(&id()).await.unwrap().unwrap().revision
    }

    async fn number_of_campaigns(&self) -> i64 {
        sqlx::query_scalar("select count(*) from campaigns").fetch_one(&self.pool).await.unwrap()
    }

    /// Sets when the campaign is due and when its check is.
    async fn schedule(&self, due_at: Option<Timestamp>, check_at: Option<Timestamp>) {
        sqlx::query("update campaigns set due_at = $1, check_at = $2")
            .bind(due_at.map(|at| at.to_sqlx()))
            .bind(check_at.map(|at| at.to_sqlx()))
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// When the campaign is due and when its check is.
    async fn scheduled(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let campaign = self.campaigns.find(&id()).await.unwrap().unwrap();
        (campaign.due_at, campaign.check_at)
    }

    async fn place(&self, holds: impl IntoIterator<Item = Hold>) {
        let mut campaign = self.campaigns.load(&id()).await.unwrap();
        let mut changes = Changes::default();
        holds.into_iter().for_each(|hold| campaign.place(hold, &mut changes, &clock()));
        assert!(self.campaigns.save(&campaign, changes, None, false).await.unwrap());
    }

    async fn lift(&self, hold: Uuid) {
        sqlx::query("update campaign_holds set lifted_at = now(), lifted_by = placed_by where id = $1")
            .bind(hold)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

/// Why no callback can be placed in the next hour.
fn refusal(rules: &PlacementRules) -> Option<PlacementRefusal> {
    let window = TimeWindow::parse(now(), now() + SignedDuration::from_hours(1)).unwrap();
    rules.restrictions.refusal(&window, now())
}

fn held_until(earliest_start: Timestamp) -> PlacementRefusal {
    PlacementRefusal::CampaignHeld { earliest_start }
}

#[sqlx::test]
async fn settings_that_were_never_set_are_the_defaults_at_version_0(pool: PgPool) {
    let fixture = Fixture::new(pool);
    assert_eq!(fixture.stored(&id()).await, (CampaignSettings::default(), 0));
    assert_eq!(fixture.settings.with_version(&id()).await.unwrap().0, CampaignSettings::default());
    assert_eq!(fixture.number_of_campaigns().await, 0, "reading stores nothing");
}

#[sqlx::test]
async fn what_is_saved_is_read_again(pool: PgPool) {
    let fixture = Fixture::new(pool);
    assert_eq!(fixture.save(&id(), &complete(), None).await, Some(1));
    assert_eq!(fixture.stored(&id()).await, (complete(), 1));
    assert_eq!(fixture.settings.with_version(&id()).await.unwrap().0, complete());
    assert_eq!(fixture.campaigns.find(&id()).await.unwrap().unwrap().settings, complete());
}

#[sqlx::test]
async fn each_save_replaces_all_settings_with_the_next_version(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let saves = [(complete(), None), (with_agents(3), Some(1)), (with_agents(3), Some(2)), (complete(), None)];
    for (version, (settings, expected)) in (1..).zip(saves) {
        assert_eq!(fixture.save(&id(), &settings, expected).await, Some(version));
        assert_eq!(fixture.stored(&id()).await, (settings, version));
    }
}

#[sqlx::test]
async fn a_stale_version_is_refused_and_nothing_is_stored(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&id(), &with_agents(1), None).await;
    fixture.save(&id(), &with_agents(2), None).await;
    let (revision, entries) = (fixture.revision().await, actions(&fixture.pool).await);
    for stale in [-1, 0, 1, 3] {
        assert_eq!(fixture.save(&id(), &complete(), Some(stale)).await, None, "{stale}");
    }
    assert_eq!(fixture.stored(&id()).await, (with_agents(2), 2));
    assert_eq!((fixture.revision().await, actions(&fixture.pool).await), (revision, entries));
}

#[sqlx::test]
async fn settings_that_were_never_set_have_no_version_but_0(pool: PgPool) {
    let fixture = Fixture::new(pool);
    for stale in [-1, 1] {
        assert_eq!(fixture.save(&id(), &complete(), Some(stale)).await, None, "{stale}");
    }
    assert_eq!(fixture.stored(&id()).await, (CampaignSettings::default(), 0));
    assert_eq!(fixture.number_of_campaigns().await, 0);
    assert!(actions(&fixture.pool).await.is_empty());
    assert_eq!(fixture.save(&id(), &complete(), Some(0)).await, Some(1));
}

#[sqlx::test]
async fn of_concurrent_replacements_of_one_version_one_is_saved(pool: PgPool) {
    let fixture = Fixture::new(pool);
    for version in 0..3 {
        let saves = fixture.save_at_once(Some(version)).await;
        let saved: Vec<_> = saves.into_iter().filter_map(|(settings, saved)| Some((settings, saved?))).collect();
        assert_eq!(saved.len(), 1, "{saved:?}");
        assert_eq!(saved[0], fixture.stored(&id()).await);
        assert_eq!(saved[0].1, version + 1);
    }
    assert_eq!(actions(&fixture.pool).await.len(), 3);
}

#[sqlx::test]
async fn concurrent_saves_that_expect_no_version_get_different_versions(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let saves: HashMap<_, _> =
        fixture.save_at_once(None).await.into_iter().map(|(settings, version)| (version.unwrap(), settings)).collect();
    let mut versions: Vec<i64> = saves.keys().copied().collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    assert_eq!(fixture.stored(&id()).await, (saves[&8].clone(), 8));
    assert_eq!(actions(&fixture.pool).await.len(), 8);
}

#[sqlx::test]
async fn settings_and_versions_belong_to_one_campaign(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&id(), &complete(), None).await;
    assert_eq!(fixture.stored(&other_id()).await, (CampaignSettings::default(), 0));
    assert_eq!(fixture.save(&other_id(), &with_agents(5), Some(1)).await, None);
    assert_eq!(fixture.save(&other_id(), &with_agents(5), Some(0)).await, Some(1));
    assert_eq!(fixture.stored(&id()).await, (complete(), 1));
    assert_eq!((fixture.stored(&other_id()).await, fixture.revision().await), ((with_agents(5), 1), 1));
}

#[sqlx::test]
async fn saved_settings_are_recorded(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let entry = entry(&id()).with_detail(&json!({"settings": complete().masked()}));
    let recorded = entry.id;
    fixture.settings.save(&id(), &complete(), None, now(), entry).await.unwrap();
    let (action, campaign, detail): (String, String, Value) =
        sqlx::query_as("select action, campaign_id, detail from audit_entries where id = $1")
            .bind(recorded)
            .fetch_one(&fixture.pool)
            .await
            .unwrap();
    assert_eq!((action.as_str(), campaign.as_str()), ("settings.updated", "campaign-1"));
    assert_eq!(detail, json!({"settings": complete().masked()}));
}

#[sqlx::test]
async fn settings_that_cannot_be_recorded_are_not_saved(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&id(), &with_agents(1), None).await;
    let refused = Entry { answer_rate: Some(2.0), ..entry(&id()) };
    assert!(fixture.settings.save(&id(), &complete(), Some(1), now(), refused).await.is_err());
    assert_eq!((fixture.stored(&id()).await, fixture.revision().await), ((with_agents(1), 1), 1));
}

#[sqlx::test]
async fn what_was_decided_on_other_settings_is_not_saved(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let stale = fixture.campaigns.load(&id()).await.unwrap();
    fixture.save(&id(), &complete(), None).await;
    assert!(!fixture.campaigns.save(&stale, Changes::default(), None, false).await.unwrap());
    let current = fixture.campaigns.load(&id()).await.unwrap();
    assert!(fixture.campaigns.save(&current, Changes::default(), None, false).await.unwrap());
}

#[sqlx::test]
async fn saved_settings_make_a_scheduled_campaign_due_and_every_campaign_whose_window_is_enforced(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let later = Some(now() + SignedDuration::from_hours(1));
    fixture.campaigns.load(&id()).await.unwrap();
    let (enforced, not_enforced) = (complete(), with_agents(3));
    for (settings, before, after) in [
        (&not_enforced, (None, None), (None, None)),
        (&not_enforced, (later, None), (Some(now()), None)),
        (&not_enforced, (None, later), (None, Some(now()))),
        (&enforced, (None, None), (Some(now()), None)),
        (&enforced, (later, later), (Some(now()), Some(now()))),
    ] {
        fixture.schedule(before.0, before.1).await;
        fixture.save(&id(), settings, None).await;
        assert_eq!(fixture.scheduled().await, after, "{before:?}");
    }
}

#[sqlx::test]
async fn the_first_settings_make_a_new_campaign_due_where_its_window_is_enforced(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&other_id(), &with_agents(3), None).await;
    assert_eq!(fixture.campaigns.find(&other_id()).await.unwrap().unwrap().due_at, None);
    fixture.save(&id(), &complete(), None).await;
    assert_eq!(fixture.scheduled().await, (Some(now()), None));
}

#[sqlx::test]
async fn a_campaign_with_settings_is_not_deleted_as_unknown(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&id(), &with_agents(3), None).await;
    fixture.campaigns.delete_unknown(&id()).await.unwrap();
    assert!(fixture.campaigns.find(&id()).await.unwrap().is_some());
}

#[sqlx::test]
async fn placement_depends_on_compliance_holds_that_are_not_lifted(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let [end, later] = [2, 3].map(|hours| now() + SignedDuration::from_hours(hours));
    let [lifted, other, compliance] = [1, 2, 3].map(Uuid::from_u128);
    fixture
        .place([
            Hold { compliance: true, ..hold(lifted, Some(later)) },
            hold(other, None),
            Hold { compliance: true, ..hold(compliance, Some(end)) },
        ])
        .await;
    let refused = async || refusal(&fixture.settings.placement_rules(&id()).await.unwrap());
    assert_eq!(refused().await, Some(held_until(later)));
    fixture.lift(lifted).await;
    assert_eq!(refused().await, Some(held_until(end)));
    fixture.lift(compliance).await;
    assert_eq!(refused().await, None);
}

#[sqlx::test]
async fn only_campaigns_with_settings_or_compliance_holds_have_placement_rules(pool: PgPool) {
    let fixture = Fixture::new(pool);
    let end = now() + SignedDuration::from_hours(2);
    fixture.place([Hold { compliance: true, ..hold(Uuid::nil(), Some(end)) }]).await;
    fixture.save(&other_id(), &complete(), None).await;
    let [unknown, not_asked_for] = ["campaign-3", "campaign-4"].map(|id| CampaignId::parse(id).unwrap());
    fixture.save(&not_asked_for, &complete(), None).await;
    let rules = fixture.settings.placement_rules_of_each(&[&id(), &other_id(), &unknown]).await.unwrap();
    assert_eq!(rules.len(), 2);
    let [held, set] = ["campaign-1", "campaign-2"].map(|id| &rules[id]);
    assert_eq!((&held.settings, refusal(held)), (&CampaignSettings::default(), Some(held_until(end))));
    let opening = PlacementRefusal::OutsideRegulatoryWindow { earliest_start: "2026-11-20T20:00:00Z".parse().unwrap() };
    assert_eq!((&set.settings, refusal(set)), (&complete(), Some(opening)));
}

#[sqlx::test]
async fn stored_settings_that_cannot_be_read_are_an_error(pool: PgPool) {
    let fixture = Fixture::new(pool);
    fixture.save(&id(), &complete(), None).await;
    sqlx::query(r#"update campaign_settings set settings = '{"maxAgents": "many"}'"#)
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert!(matches!(fixture.settings.with_version(&id()).await, Err(sqlx::Error::Decode(_))));
    assert!(matches!(fixture.settings.placement_rules(&id()).await, Err(sqlx::Error::Decode(_))));
}

#[sqlx::test]
async fn skills_in_the_settings_of_several_campaigns_are_found(pool: PgPool) {
    for (campaign, settings) in [
        ("a", json!({"nice": {"skillId": 1, "campaignId": null, "skillIds": [4, 5]}})),
        ("b", json!({"nice": {"skillId": 1, "campaignId": null, "skillIds": [5]}})),
        ("c", json!({"nice": {"skillId": 4, "campaignId": null, "skillIds": []}})),
        ("d", json!({"nice": {"skillId": 5, "campaignId": 101, "skillIds": []}})),
        ("e", json!({"nice": null})),
        ("f", json!({})),
    ] {
        sqlx::query(
            "insert into campaign_settings (campaign_id, settings, version, updated_at) values ($1, $2, 1, now())",
        )
        .bind(campaign)
        .bind(settings)
        .execute(&pool)
        .await
        .unwrap();
    }
    let shared = SettingsStore::new(Db::new(pool)).shared_skills().await.unwrap();
    let campaigns = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    assert_eq!(shared, [(4, campaigns(["a", "c"])), (5, campaigns(["a", "b"]))]);
}
