//! Answer rates that are read from CXone, with `CXONE_API=nice`.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{DIALING, World, create_key, eventually};

const POLL: (&str, &str) = ("CXONE_ANSWER_RATE_POLL_MS", "1000");
const SKILL: u64 = 4002;

fn guard(source: &str) -> Value {
    json!({
        "nice": {"skillId": SKILL},
        "answerRate": {"windowMs": 600_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 600_000, "source": source},
    })
}

impl World {
    /// With a campaign whose answer rate is read from CXone, and was read once.
    async fn of_dialer_intervals() -> (Self, Timestamp) {
        let mut world = Self::nice(&[POLL]).await;
        world.key =
            create_key(&world.database, &["campaigns:write", "campaigns:read", "events:write", "audit:read"]).await;
        let quarter = Timestamp::from_second(Timestamp::now().as_second() / 900 * 900).unwrap();
        world.set_dialed(quarter, 10, 9).await;
        world.set(&guard("cxone")).await;
        world.reads(1).await;
        (world, quarter)
    }

    /// Sets the calls of a quarter hour.
    async fn set_dialed(&self, start: Timestamp, dials: u32, connects: u32) {
        let intervals = json!({"intervals": [{"start": start, "dials": dials, "connects": connects}]});
        self.cxone.control(Method::PUT, &format!("skills/{SKILL}/dialer"), Some(intervals)).await;
    }

    /// Returns after so many more reads of the intervals have been stored.
    async fn reads(&self, more: i64) {
        let select = "select count(*) from answer_rate_reads where read_at > $1";
        for _ in 0..more {
            let now: jiff_sqlx::Timestamp =
                sqlx::query_scalar("select clock_timestamp()").fetch_one(&self.database.pool).await.unwrap();
            eventually("a read of the intervals", async || {
                let read: i64 = sqlx::query_scalar(select).bind(now).fetch_one(&self.database.pool).await.unwrap();
                if read > 0 { Ok(()) } else { Err("none".to_owned()) }
            })
            .await;
        }
    }

    async fn counted(&self) -> (Value, Value) {
        let figures = self.get(&format!("/v1/campaigns/{DIALING}")).await["answerRate"].clone();
        (figures["attempts"].clone(), figures["answers"].clone())
    }
}

#[tokio::test]
async fn a_campaign_whose_answer_rate_falls_in_cxone_is_paused_without_any_event() {
    let (world, quarter) = World::of_dialer_intervals().await;
    // What was there at the first read does not count, and no read counts twice.
    world.set_dialed(quarter, 50, 40).await;
    world.reads(3).await;
    assert_eq!(world.counted().await, (json!(40), json!(31)));
    // Events would count the same calls again.
    world.report(&world.service.base_url, 500, 0).await;

    world.set_dialed(quarter, 200, 41).await;
    world.cxone.campaign_when(DIALING, "PAUSED").await;

    let paused = world.entry_when("campaign.paused").await;
    assert_eq!((&paused["triggeredBy"], &paused["callVolumeBefore"]), (&json!("SLIDING_WINDOW_THROTTLE"), &json!(190)));
    assert!((paused["answerRate"].as_f64().unwrap() - 32.0 / 190.0).abs() < 1e-9, "{paused}");
    world.reads(2).await;
    assert_eq!(world.entries("hold.placed").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn two_replicas_count_an_interval_once() {
    let (world, quarter) = World::of_dialer_intervals().await;
    let second = world.another_nice(&[POLL]).await;
    world.set_dialed(quarter, 60, 40).await;
    world.reads(4).await;
    assert_eq!(world.counted().await, (json!(50), json!(31)));
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_source_that_the_api_of_cxone_does_not_have_is_refused() {
    let world = World::of_campaigns(&[]).await;
    let path = format!("/v1/campaigns/{DIALING}/settings");
    let put = async |source: &str| {
        let mut settings = guard(source);
        settings.as_object_mut().unwrap().remove("nice");
        let answer = world.request(Method::PUT, &path).json(&settings).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, problem) = put("cxone").await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/no-answer-rates")), "{problem}");
    let (status, problem) = put("dialer").await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/answerRate/source")), "{problem}");
    let (status, settings) = put("events").await;
    assert_eq!((status, &settings["answerRate"]["source"]), (200, &json!("events")));
    world.end().await;
}
