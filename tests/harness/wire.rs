//! Which API of CXone the tests use. `TEST_CXONE_API=nice` runs the tests that are written for both with the other one.

use ringback::simulator;
use sqlx::PgPool;

use super::Control;

/// Whether tests that name no API use the one that NICE publishes.
pub fn is_nice() -> bool {
    std::env::var_os("TEST_CXONE_API").is_some_and(|api| api == "nice")
}

/// The settings of a service for the API that NICE publishes, served at this address.
pub fn nice_settings(cxone_url: &str) -> Vec<(&'static str, String)> {
    let known = simulator::Settings::default();
    vec![
        ("CXONE_API", "nice".to_owned()),
        ("CXONE_CLIENT_ID", String::new()),
        ("CXONE_CLIENT_SECRET", String::new()),
        ("CXONE_ACCESS_KEY_ID", known.client_id),
        ("CXONE_ACCESS_KEY_SECRET", known.client_secret),
        ("CXONE_TOKEN_URL", format!("{cxone_url}/authentication/v1/token/access-key")),
        ("CXONE_DIGITAL_URL", format!("{cxone_url}/dfo/3.0")),
        ("SMS_CHANNEL_ID", "sms_1".to_owned()),
        ("CALLBACK_WITHOUT_FORECAST", "window-start".to_owned()),
    ]
}

/// Gives each campaign of the simulator its skill, whatever else its settings are.
pub async fn map_skills(database_url: &str, cxone: &Control) {
    let pool = PgPool::connect(database_url).await.unwrap();
    let schema = "
        create table if not exists test_skills (campaign_id text primary key, skill_id bigint not null);
        create or replace function add_test_skill() returns trigger language plpgsql as $$
        begin
            new.settings := new.settings || coalesce(
                (select jsonb_build_object('nice', jsonb_build_object('skillId', skill_id)) from test_skills
                 where campaign_id = new.campaign_id), '{}');
            return new;
        end $$;
        create or replace trigger add_test_skill before insert or update on campaign_settings
            for each row execute function add_test_skill();";
    sqlx::raw_sql(schema).execute(&pool).await.unwrap();
    for campaign in cxone.list("campaigns").await {
        let (id, skill) = (campaign["id"].as_str().unwrap().to_owned(), campaign["skillId"].as_i64().unwrap());
        sqlx::query("insert into test_skills values ($1, $2) on conflict do nothing")
            .bind(&id)
            .bind(skill)
            .execute(&pool)
            .await
            .unwrap();
        let settings = "insert into campaign_settings (campaign_id, settings, version, updated_at)
                        values ($1, '{}', 1, now()) on conflict (campaign_id) do nothing";
        sqlx::query(settings).bind(&id).execute(&pool).await.unwrap();
    }
    // No skill has a forecast today, so that callbacks are placed as early as their windows allow, at any time of the day.
    let forecast = "insert into cxone_forecast (due_at, refreshed_at, time_zone)
                    values (now() + interval '1 day', now(), 'UTC') on conflict (only_one) do nothing";
    sqlx::query(forecast).execute(&pool).await.unwrap();
    pool.close().await;
}
