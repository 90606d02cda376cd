//! Placement by a plan, its explanation and its replay, in the real service.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{World, caller, eventually, payload_with, text};

const CAMPAIGN: &str = "a1b2c3d4-e5f6-7890-a1b2-c3d4e5f67890";

/// Callbacks of the last five days, for windows from every hour on.
const HISTORY: &str = "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end,
        language, confirmation, attempts, request_id, created_at, updated_at, failure_code, failure_detail)
    select gen_random_uuid(), 'expired', '+12025550198', 'a1b2c3d4-e5f6-7890-a1b2-c3d4e5f67890', hour,
        hour + interval '2 hours', 'en', 'pending', 0, '', hour - interval '20 minutes', hour, 'window-passed', ''
    from generate_series(1, 120) as age, lateral (select date_trunc('hour', now()) - age * interval '1 hour' as hour) as h";

async fn placement(world: &World, number: &str) -> Value {
    let id = world.accept(&payload_with(json!({"campaignId": CAMPAIGN, "phoneNumber": number}))).await;
    world.callback_when(&id, |callback| !callback["dispatchTime"].is_null()).await;
    world.get(&format!("/v1/callbacks/{id}/placement")).await
}

async fn replay(world: &World, id: &str) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ringback"));
    program.args(["placement", "replay", "--callback", id]).env_clear().env("DATABASE_URL", &world.database.url);
    let output = program.output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_placement_by_a_plan_is_explained_and_replayed() {
    let world = World::start().await;
    world.cxone.add_campaign(CAMPAIGN);
    world.cxone.flatten_forecast(CAMPAIGN).await;
    sqlx::query(HISTORY).execute(&world.database.pool).await.unwrap();
    let first = placement(&world, &caller(1)).await;
    assert_eq!(first["planVersion"], Value::Null);
    eventually("a plan", async || {
        let plans = world.number("select count(*) from placement_places").await;
        if plans > 0 { Ok(()) } else { Err("there is none".to_owned()) }
    })
    .await;
    let second = placement(&world, &caller(2)).await;
    assert_eq!(second["planVersion"], 1, "{second}");
    assert!(text(&second, "reason").starts_with("The plan keeps"), "{second}");
    let hours = second["hours"].as_array().unwrap();
    assert_eq!(hours.iter().filter(|hour| hour["chosen"] == true).count(), 1, "{second}");
    assert!(hours.iter().any(|hour| hour["planned"].as_f64().unwrap() > 0.0), "{second}");

    let id = text(&second, "callbackId");
    assert_eq!(replay(&world, &id).await, (Some(0), format!("the same: {}\n", text(&second, "dispatchTime"))));
    let changed = "update callback_placements set decision = jsonb_set(decision, '{choice,reason}', '\"earliest\"')";
    sqlx::query(changed).execute(&world.database.pool).await.unwrap();
    assert_eq!(replay(&world, &id).await.0, Some(1));
    assert_eq!(replay(&world, "01a1fcff-84aa-720d-83ca-60abacb44d8c").await.0, Some(1));
    world.end().await;
}
