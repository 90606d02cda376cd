//! Campaigns that are paused and started by their skills, with `CXONE_API=nice`.

use reqwest::Method;
use serde_json::json;

use crate::nice::DIALING_SKILL;
use crate::support::{DIALING, World, eventually, pause};

impl World {
    async fn is_running(&self, skill: u32) -> bool {
        let skills = self.cxone.list("skills").await;
        skills.iter().find(|shown| shown["skillId"] == skill).expect("the skill")["isRunning"] == true
    }
}

#[tokio::test]
async fn a_pause_stops_the_running_skills_and_a_resume_starts_exactly_these() {
    let world = World::of_nice(&[]).await;
    for (skill, running) in [(5001, true), (5002, false)] {
        let members = json!({"campaign": DIALING, "isRunning": running});
        world.cxone.control(Method::PUT, &format!("skills/{skill}"), Some(members)).await;
    }
    let mapping = json!({"nice": {"skillId": DIALING_SKILL, "skillIds": [DIALING_SKILL, 5001, 5002]}});
    world.put_settings(DIALING, mapping).await;

    let (status, paused) = world.command("pause", &pause()).await;
    assert_eq!(
        (status, &paused["status"], &paused["newState"]),
        (200, &json!("applied"), &json!("PAUSED")),
        "{paused}"
    );
    assert!(!world.is_running(DIALING_SKILL).await && !world.is_running(5001).await);
    // One of the two is started later than the other.
    world.cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 500, "times": 1})).await;
    let (status, resumed) = world.command("resume", &json!({})).await;
    assert!([200, 202].contains(&status), "{resumed}");
    eventually("both skills run", async || {
        if world.is_running(DIALING_SKILL).await && world.is_running(5001).await {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
    assert!(!world.is_running(5002).await);
    let (status, missing) = world.command_to(&world.service.base_url, "/v1/campaigns/999/pause", &pause()).await;
    assert_eq!(status, 404, "{missing}");
    world.end().await;
}

#[tokio::test]
async fn a_skill_that_was_deleted_does_not_keep_the_others_running() {
    let world = World::of_nice(&[]).await;
    // Settings with an unknown skill are refused.
    world.sql("update campaign_settings set settings = jsonb_set(settings, '{nice,skillIds}', '[4002, 999]')").await;

    let (status, paused) = world.command("pause", &pause()).await;
    assert_eq!((status, &paused["newState"]), (200, &json!("PAUSED")), "{paused}");
    assert!(!world.is_running(DIALING_SKILL).await);
    world.end().await;
}

/// 5001 was stopped by Ringback once, and somebody has started it in CXone.
#[tokio::test]
async fn a_resume_does_not_start_a_skill_that_ran_again_and_was_stopped_by_somebody() {
    let world = World::of_nice(&[]).await;
    let set_running = async |running: bool| {
        let members = json!({"campaign": DIALING, "isRunning": running});
        world.cxone.control(Method::PUT, "skills/5001", Some(members)).await;
    };
    set_running(true).await;
    world.put_settings(DIALING, json!({"nice": {"skillId": DIALING_SKILL, "skillIds": [DIALING_SKILL, 5001]}})).await;
    let remembered = format!(
        "insert into cxone_stopped_skills (campaign_id, skill_id, changed_at)
         values ('{DIALING}', 5001, now() - interval '1 hour')"
    );
    world.sql(&remembered).await;
    world.get(&format!("/v1/campaigns/{DIALING}")).await;
    set_running(false).await;

    assert_eq!(world.command("pause", &pause()).await.0, 200);
    let (status, resumed) = world.command("resume", &json!({})).await;
    assert!([200, 202].contains(&status), "{resumed}");
    eventually("the skill of the campaign to run", async || {
        if world.is_running(DIALING_SKILL).await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert!(!world.is_running(5001).await);
    world.end().await;
}
