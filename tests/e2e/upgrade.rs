//! A database of an older version, with work in the middle, goes on after its migration.

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::restrictions::MIGRATIONS;
use crate::support::{Cxone, DIALING, Database, Service, World, create_key, eventually};

/// A campaign of migration 12, which Ringback had paused with a hold that has just ended; and another, of which a resume
/// was accepted, and CXone had not answered yet.
const OLD_ROWS: &str = r#"
    insert into campaigns (campaign_id, state, state_seen_at, told, resume, due_at, created_at, updated_at)
    select id, 'PAUSED', now(), jsonb_build_object('state', state, 'reason', 'CARRIER_THROTTLE', 'until', null,
            'confirmed', state = 'PAUSED', 'is_ours', state = 'PAUSED', 'cause', jsonb_build_object(
                'by', actor, 'triggered_by', 'MANUAL_PAUSE', 'request_id', 'r', 'since', now(), 'previous', 'ACTIVE',
                'overrode', '[]'::jsonb, 'counts', '{"attempts": 0, "answers": 0}'::jsonb, 'by_answer_rate', false,
                'affected_callbacks', 0)),
        case when state = 'ACTIVE' then jsonb_build_object('by', actor, 'asked_at', now(), 'request_id', 'r',
            'max_agents', 7, 'windows', '[]'::jsonb, 'forced_until', null, 'overrode', '[]'::jsonb) end,
        now(), now(), now()
    from (values ('$PAUSED', 'PAUSED'), ('$STARTING', 'ACTIVE')) as v(id, state),
        (select '{"type": "operator", "id": "cli", "name": "command line"}'::jsonb as actor) as a;
    insert into campaign_holds (id, campaign_id, reason, compliance, triggered_by, placed_by, placed_at, ends_at)
    values (gen_random_uuid(), '$PAUSED', 'CARRIER_THROTTLE', false, 'MANUAL_PAUSE',
        '{"type": "operator", "id": "cli", "name": "command line"}', now() - interval '1 minute', now());
"#;
const STARTING: &str = "0192f0c4-1111-7000-8000-000000000077";

#[tokio::test]
async fn a_pause_and_a_resume_of_an_older_version_continue_after_the_migration() {
    let database = Database::create_empty().await;
    let cxone = Cxone::start().await;
    for campaign in [DIALING, STARTING] {
        let paused = json!({"state": "PAUSED", "pauseReason": "CARRIER_THROTTLE"});
        cxone.change_campaign(campaign, paused).await;
    }
    MIGRATIONS.run_to(12, &database.pool).await.unwrap();
    let rows = OLD_ROWS.replace("$PAUSED", DIALING).replace("$STARTING", STARTING);
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&database.pool).await.unwrap();

    let service = Service::start(&database, &cxone, &[]).await;
    let key = create_key(&database, &["audit:read"]).await;
    let world = World { database, cxone, service, key, http: crate::support::http_client() };

    world.cxone.campaign_when(DIALING, "ACTIVE").await;
    world.cxone.campaign_when(STARTING, "ACTIVE").await;
    assert_eq!(world.cxone.campaign(STARTING).await["maxAgents"], 7);
    eventually("an entry of each start", async || {
        let resumed = world.get("/v1/audit?action=campaign.resumed").await;
        if resumed["data"].as_array().unwrap().len() == 2 { Ok(()) } else { Err(resumed.to_string()) }
    })
    .await;
    world.end().await;
}

/// Callbacks of migration 59 for two numbers: one with two that are open and one that has ended, one with one.
const OLD_CALLBACKS: &str = "
    insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, confirmation,
        failure_code, failure_detail, attempts, due_at, request_id, created_at, updated_at)
    select gen_random_uuid(), status, phone_number, 'campaign', now() + start, now() + start + interval '2 hours', 'en',
        'pending', failure, failure, 0, case when status = 'accepted' then now() end, 'r', now() + start, now()
    from (values
        ('accepted', '+12025550101', interval '1 hour', null), ('accepted', '+12025550101', interval '3 hours', null),
        ('failed', '+12025550101', interval '1 hour', 'cxone-rejected'),
        ('accepted', '+12025550102', interval '1 hour', null)) as old(status, phone_number, start, failure);
";

#[tokio::test]
async fn numbers_that_had_several_open_callbacks_have_a_first_one_after_the_migration() {
    let database = Database::create_empty().await;
    MIGRATIONS.run_to(59, &database.pool).await.unwrap();
    sqlx::raw_sql(OLD_CALLBACKS).execute(&database.pool).await.unwrap();

    MIGRATIONS.run(&database.pool).await.unwrap();

    let places = "select among_open from callbacks where status = 'accepted' order by phone_number, requested_start";
    let places: Vec<String> = sqlx::query_scalar(places).fetch_all(&database.pool).await.unwrap();
    assert_eq!(places, ["first", "other", "only"]);
    database.drop().await;
}
