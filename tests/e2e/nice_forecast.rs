//! The forecast of the service with `CXONE_API=nice`, which it makes from the history of skills.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, caller, instant, payload_with, text};

/// The number of the first campaign of the simulator, and its skill; then those of the second.
const CAMPAIGN: &str = "101";
const SKILL: u32 = 4001;
const OTHER_CAMPAIGN: &str = "102";
const OTHER_SKILL: u32 = 4002;
/// The time zone of the business unit is not asked for about callbacks.
const REJECT: [(&str, &str); 2] = [("CALLBACK_WITHOUT_FORECAST", "reject"), ("CXONE_CALLBACK_TIMES", "utc")];
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The start of the hour that comes this many hours after the current one.
fn hour(hours: i64) -> Timestamp {
    let current = Timestamp::now().as_second().div_euclid(3600);
    Timestamp::from_second((current + hours) * 3600).unwrap()
}

/// The history of an hour of the same weekday in each week: so many contacts a quarter, with this handle time.
fn weeks_of(skill: u32, hour: Timestamp, contacts: u32, handle_time: u32) -> Vec<Value> {
    let quarters = (1..=8).flat_map(|week| (0..4).map(move |quarter| (week, quarter)));
    let row = |(week, quarter): (i64, i64)| {
        let start = hour - SignedDuration::from_hours(week * 7 * 24) + SignedDuration::from_mins(quarter * 15);
        json!({
            "intervalStartDate": start, "skillId": skill.to_string(), "isOutbound": true, "totalContacts": contacts,
            "totalHandled": contacts, "averageHandleTime": handle_time.to_string(),
        })
    };
    quarters.map(row).collect()
}

/// A request for a callback in these hours after the current one.
fn within_hours(campaign: &str, start: Timestamp, end: Timestamp, caller: String) -> Value {
    payload_with(json!({
        "campaignId": campaign, "requestedStart": start, "requestedEnd": end, "phoneNumber": caller,
    }))
}

impl World {
    /// The history of a skill, and that the business unit is in UTC: the weeks of the tests have no change of the clocks.
    async fn put_history(&self, skill: u32, history: Value) {
        self.cxone.control(Method::PUT, "nice", Some(json!({"timeZone": "UTC"}))).await;
        self.cxone.control(Method::PUT, &format!("skills/{skill}/history"), Some(history)).await;
    }

    /// The same few contacts in each hour of a day, and many in one of them.
    async fn put_busy_hour(&self, skill: u32, busy: Timestamp, logged_in: u32) {
        let hours = (0..6).map(hour).flat_map(|hour| {
            let (contacts, handle_time) = if hour == busy { (4, 900) } else { (1, 300) };
            weeks_of(skill, hour, contacts, handle_time)
        });
        let rows: Vec<Value> = hours.collect();
        self.put_history(skill, json!({"raw": rows, "agents": logged_in})).await;
    }

    /// How often a path was requested.
    async fn requests_of(&self, path: &str) -> usize {
        let received = self.cxone.received_all().await;
        received.iter().filter(|request| text(request, "path").to_lowercase().ends_with(path)).count()
    }

    async fn histories(&self) -> usize {
        self.requests_of("/wfm-data/skills/contacts").await
    }
}

#[tokio::test]
async fn a_callback_is_placed_in_the_hour_with_the_most_room_by_the_history_of_its_skill() {
    let world = World::nice(&REJECT).await;
    let busy = hour(3);
    world.put_busy_hour(SKILL, busy, 0).await;

    for n in 0..3 {
        let (status, callback) = world.ask(&within_hours(CAMPAIGN, hour(2), hour(5), caller(n))).await;
        assert_eq!(status, 201, "{callback}");
        let at = instant(&callback["dispatchTime"]);
        assert!(busy <= at && at < busy + HOUR, "{callback}");
    }
    // For all skills: two requests, and one for the time zone. Nothing is asked about a later hour.
    assert_eq!((world.histories().await, world.requests_of("/business-unit").await), (2, 1));
    assert_eq!(world.requests_of("/skills/activity").await, 0);
    world.end().await;
}

#[tokio::test]
async fn the_agents_who_are_logged_in_count_in_the_current_hour() {
    let world = World::nice(&REJECT).await;
    world.put_busy_hour(SKILL, hour(1), 50).await;
    for n in 0..2 {
        let start = Timestamp::from_second(Timestamp::now().as_second() + 1).unwrap();
        let (status, callback) = world.ask(&within_hours(CAMPAIGN, start, hour(3), caller(n))).await;
        assert_eq!(status, 201, "{callback}");
        let (created, at) = (instant(&callback["createdAt"]), instant(&callback["dispatchTime"]));
        let hour_of = |at: Timestamp| at.as_second().div_euclid(3600);
        let is_at_the_end_of_an_hour = created.as_second().rem_euclid(3600) > 3500;
        assert!(hour_of(at) == hour_of(created) || is_at_the_end_of_an_hour, "{callback}");
    }
    assert_eq!(world.requests_of("/skills/activity").await, 1);
    world.end().await;
}

#[tokio::test]
async fn a_skill_with_a_week_of_history_has_no_forecast() {
    let world = World::nice(&REJECT).await;
    world.put_history(SKILL, json!({"weeks": 1, "contactsPerInterval": 3})).await;
    world.put_history(OTHER_SKILL, json!({"weeks": 3, "contactsPerInterval": 3})).await;
    let ask = async |campaign| world.ask(&within_hours(campaign, hour(2), hour(4), caller(1))).await;

    let (status, problem) = ask(CAMPAIGN).await;
    assert_eq!((status, &problem["type"]), (422, &json!("/problems/no-forecast")), "{problem}");
    let (status, callback) = ask(OTHER_CAMPAIGN).await;
    assert_eq!(status, 201, "{callback}");
    world.end().await;
}

#[tokio::test]
async fn replicas_make_one_forecast() {
    let world = World::nice(&REJECT).await;
    let other = world.another_nice(&REJECT).await;
    for (skill, busy) in [(SKILL, hour(3)), (OTHER_SKILL, hour(4))] {
        world.put_busy_hour(skill, busy, 0).await;
    }
    let asked = (0..8).map(|n| {
        let (replica, campaign) = if n % 2 == 0 { (&world.service, CAMPAIGN) } else { (&other, OTHER_CAMPAIGN) };
        let request = world.http.post(format!("{}/v1/callbacks", replica.base_url)).bearer_auth(&world.key);
        let body = within_hours(campaign, hour(2), hour(5), caller(n));
        async move {
            let answer = request.header("prefer", "respond-async").json(&body).send().await.unwrap();
            text(&answer.json().await.unwrap(), "id")
        }
    });
    for id in futures::future::join_all(asked).await {
        assert_eq!(world.settled_soon(&id).await["status"], "scheduled");
    }
    assert_eq!((world.histories().await, world.requests_of("/business-unit").await), (2, 1));
    other.kill().await;
    world.end().await;
}

#[tokio::test]
async fn the_last_forecast_is_used_while_a_new_one_cannot_be_made() {
    let world = World::nice(&REJECT).await;
    for skill in [SKILL, OTHER_SKILL] {
        world.put_busy_hour(skill, hour(3), 0).await;
    }
    let ask = async |campaign, n| world.ask(&within_hours(campaign, hour(2), hour(5), caller(n))).await;
    assert_eq!(ask(CAMPAIGN, 1).await.0, 201);

    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 500})).await;
    world.sql("update cxone_forecast set due_at = now() - interval '1 minute'").await;
    for n in 2..4 {
        let (status, callback) = ask(OTHER_CAMPAIGN, n).await;
        assert_eq!((status, world.histories().await), (201, 3), "{callback}");
    }
    world.end().await;
}

#[tokio::test]
async fn where_cxone_refuses_the_history_callbacks_are_placed_without_a_forecast() {
    let world = World::nice(&[]).await;
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 403})).await;
    let start = hour(2);
    for (n, campaign) in [CAMPAIGN, OTHER_CAMPAIGN].into_iter().enumerate() {
        let (status, callback) = world.ask(&within_hours(campaign, start, start + HOUR, caller(n))).await;
        assert_eq!((status, instant(&callback["dispatchTime"])), (201, start), "{callback}");
    }
    assert_eq!(world.histories().await, 1);
    world.end().await;
}
