//! The service with `CXONE_API=nice`: callbacks, skills and text messages over the API that NICE publishes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CALLER, CAMPAIGN, DIALING, World, payload, payload_with};

/// The skill of the first campaign of the simulator, and of the second.
const SKILL: u32 = 4001;
pub const DIALING_SKILL: u32 = 4002;

impl World {
    /// With keys for everything that these tests do, and the skills of two campaigns.
    pub async fn of_nice(settings: &[(&str, &str)]) -> Self {
        let mut world = Self::nice(settings).await;
        world.key = crate::support::create_key(
            &world.database,
            &["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"],
        )
        .await;
        world.put_settings(CAMPAIGN, json!({"nice": {"skillId": SKILL}})).await;
        world.put_settings(DIALING, json!({"nice": {"skillId": DIALING_SKILL}})).await;
        world
    }

    pub async fn put_settings(&self, campaign: &str, settings: Value) {
        let (status, answer) = self.try_settings(campaign, settings).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn try_settings(&self, campaign: &str, settings: Value) -> (u16, Value) {
        let request = self.request(Method::PUT, &format!("/v1/campaigns/{campaign}/settings")).json(&settings);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The scheduled callbacks in NICE that were not deleted.
    async fn live_contacts(&self) -> Vec<Value> {
        let contacts = self.cxone.contacts().await;
        contacts.into_iter().filter(|contact| contact["deleted"] != true).collect()
    }
}

fn number(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test]
async fn a_callback_is_a_scheduled_callback_of_its_skill_confirmed_through_a_channel() {
    let world = World::of_nice(&[]).await;
    let (status, callback) = world.ask(&payload()).await;
    assert_eq!(status, 201, "{callback}");
    let callback = world.settled(callback["id"].as_str().unwrap()).await;

    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    let contacts = world.live_contacts().await;
    let contact = &contacts[0]["contact"];
    assert_eq!(contacts.len(), 1);
    assert_eq!((&contact["contactId"], &contact["skillId"]), (&callback["id"], &json!(SKILL)));
    assert_eq!((number(&contact["callbackId"]), &contact["phone"]), (number(&callback["contactId"]), &json!(CALLER)));
    assert_eq!(contact["scheduledStartDateTime"], callback["dispatchTime"]);
    let messages = world.cxone.messages().await;
    assert_eq!((messages.len(), &messages[0]["to"], &messages[0]["from"]), (1, &json!(CALLER), &json!("sms_1")));
    world.end().await;
}

#[tokio::test]
async fn in_bulk_a_callback_costs_two_requests() {
    let world = World::of_nice(&[]).await;
    let (_, first) = world.ask(&payload()).await;
    world.settled(first["id"].as_str().unwrap()).await;
    world.cxone.clear_received().await;

    let callbacks: Vec<_> = (0..20).map(|n| payload_with(json!({"phoneNumber": format!("+1415555{n:04}")}))).collect();
    let answer: Value = world.post("/v1/callbacks/batch", &json!({"callbacks": callbacks})).await.json().await.unwrap();
    let ids: Vec<&str> =
        answer["results"].as_array().unwrap().iter().filter_map(|result| result["id"].as_str()).collect();
    for id in &ids {
        assert_eq!(world.settled(id).await["confirmation"]["status"], "sent");
    }

    let (contacts, messages) = (world.cxone.count("contact").await, world.cxone.count("message").await);
    let total = world.cxone.counts().await["total"].as_u64().unwrap();
    let sent = u64::try_from(ids.len()).unwrap();
    assert_eq!((contacts, messages), (sent, sent));
    // No more than 2.1 for each.
    assert!(total * 10 <= sent * 21, "{total} requests for {sent} callbacks");
    world.end().await;
}

#[tokio::test]
async fn after_a_lost_answer_the_callback_is_found_and_not_created_again() {
    let world = World::of_nice(&[]).await;
    for (n, fault) in [
        json!({"route": "contact", "kind": "drop", "afterWork": true, "times": 1}),
        json!({"route": "contact", "kind": "status", "status": 502, "afterWork": true, "times": 1}),
        json!({"route": "contact", "kind": "status", "status": 503, "afterWork": true, "times": 1}),
        json!({"route": "contact", "kind": "body", "body": {}, "afterWork": true, "times": 1}),
    ]
    .into_iter()
    .enumerate()
    {
        world.cxone.fault(fault).await;
        let caller = json!({"phoneNumber": crate::support::caller(n)});
        let (_, callback) = world.ask_with(&payload_with(caller), &[("prefer", "respond-async")]).await;
        let callback = world.settled_soon(callback["id"].as_str().unwrap()).await;
        assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
        assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (n + 1, n + 1));
    }
    world.end().await;
}

#[tokio::test]
async fn after_a_lost_answer_the_callback_is_looked_for_in_the_skill_to_which_it_was_sent() {
    let world = World::of_nice(&[]).await;
    world.cxone.control(Method::PUT, "skills/5001", Some(json!({ "campaign": CAMPAIGN }))).await;
    world.cxone.fault(json!({"route": "contact", "kind": "drop", "afterWork": true, "times": 1})).await;
    let id = world.accept(&payload()).await;
    world.callback_when(&id, |callback| callback["failure"].is_object()).await;
    world.put_settings(CAMPAIGN, json!({"nice": {"skillId": 5001}})).await;

    let callback = world.settled_soon(&id).await;
    assert_eq!((&callback["status"], world.cxone.contacts().await.len()), (&json!("scheduled"), 1), "{callback}");
    world.end().await;
}

#[tokio::test]
async fn a_callback_that_was_not_created_is_created_by_the_next_attempt() {
    let world = World::of_nice(&[]).await;
    world.cxone.fault(json!({"route": "contact", "kind": "drop", "times": 1})).await;
    let (_, callback) = world.ask_with(&payload(), &[("prefer", "respond-async")]).await;

    let callback = world.settled_soon(callback["id"].as_str().unwrap()).await;
    assert_eq!(callback["status"], "scheduled");
    assert_eq!((world.cxone.count("contact").await, world.cxone.contacts().await.len()), (2, 1));
    // Twice, because the first request could have been under way still.
    assert!(world.cxone.count("contactList").await >= 2);
    world.end().await;
}

#[tokio::test]
async fn after_a_kill_during_the_create_there_is_one_callback_and_one_text() {
    let mut world = World::of_nice(&[]).await;
    world.cxone.fault(json!({"route": "contact", "kind": "hang", "afterWork": true, "times": 1})).await;
    let (_, callback) = world.ask_with(&payload(), &[("prefer", "respond-async")]).await;
    world.cxone.wait_for_contact().await;
    world.restart_nice().await;

    let callback = world.settled_soon(callback["id"].as_str().unwrap()).await;
    assert_eq!((&callback["status"], &callback["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    assert_eq!((world.cxone.contacts().await.len(), world.cxone.messages().await.len()), (1, 1));
    world.end().await;
}

#[tokio::test]
async fn a_misread_time_is_corrected_before_it_can_be_dialled_and_remembered() {
    for zone in ["Eastern Standard Time", "Tokyo Standard Time"] {
        let world = World::of_nice(&[]).await;
        let misreading = json!({"scheduleDates": "business-unit", "timeZone": zone});
        world.cxone.control(Method::PUT, "nice", Some(misreading)).await;

        for n in 0..2 {
            let caller = json!({"phoneNumber": crate::support::caller(n)});
            let (status, callback) = world.ask(&payload_with(caller)).await;
            assert_eq!(status, 201, "{callback}");
            let contacts = world.live_contacts().await;
            let contact = contacts.iter().find(|contact| contact["contact"]["contactId"] == callback["id"]).unwrap();
            assert_eq!(contact["contact"]["scheduledStartDateTime"], callback["dispatchTime"], "{zone}");
            assert_eq!((contacts.len(), contact["dialled"] == true), (n + 1, false));
        }
        // The first one shows how times are read; the second one is right at once.
        assert_eq!(world.cxone.count("contactUpdate").await, 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_failure_to_verify_the_first_time_leaves_one_callback_and_the_right_form_of_times() {
    let refused = |route| json!({"route": route, "kind": "status", "status": 429, "times": 1});
    let lost = |after_work| json!({"route": "contactUpdate", "kind": "drop", "afterWork": after_work, "times": 1});
    for (zone, fault) in [
        ("Eastern Standard Time", refused("contactList")),
        ("Eastern Standard Time", refused("contactUpdate")),
        ("Eastern Standard Time", lost(true)),
        ("Tokyo Standard Time", lost(true)),
        ("Tokyo Standard Time", lost(false)),
    ] {
        let world = World::of_nice(&[]).await;
        let misreading = json!({"scheduleDates": "business-unit", "timeZone": zone});
        world.cxone.control(Method::PUT, "nice", Some(misreading)).await;
        world.cxone.fault(fault.clone()).await;

        for n in 0..2 {
            let id = world.accept(&payload_with(json!({"phoneNumber": crate::support::caller(n)}))).await;
            let callback = world.settled_soon(&id).await;
            let contacts = world.cxone.contacts().await;
            assert_eq!((&callback["status"], contacts.len()), (&json!("scheduled"), n + 1), "{fault}");
            let contact = contacts.iter().find(|contact| contact["contact"]["contactId"] == id.as_str()).unwrap();
            assert_eq!(contact["contact"]["scheduledStartDateTime"], callback["dispatchTime"], "{fault}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_time_that_fits_no_zone_stops_dispatching_and_leaves_nothing() {
    let world = World::of_nice(&[]).await;
    world.cxone.control(Method::PUT, "nice", Some(json!({"scheduleDates": "wrong"}))).await;

    let (status, callback) = world.ask(&payload()).await;
    assert_eq!((status, &callback["status"]), (202, &json!("accepted")), "{callback}");
    let id = callback["id"].as_str().unwrap();
    let callback = world.callback_when(id, |callback| callback["failure"].is_object()).await;
    assert!(callback["failure"]["detail"].as_str().unwrap().contains("CXONE_CALLBACK_TIMES"), "{callback}");
    assert_eq!((world.live_contacts().await.len(), world.cxone.messages().await.len()), (0, 0));
    world.end().await;
}

#[tokio::test]
async fn a_lost_text_is_looked_up_and_not_sent_again() {
    let world = World::of_nice(&[]).await;
    world.cxone.fault(json!({"route": "message", "kind": "drop", "afterWork": true, "times": 1})).await;
    let (_, found) = world.ask(&payload()).await;
    let found = world.settled(found["id"].as_str().unwrap()).await;

    world.cxone.fault(json!({"route": "message", "kind": "drop", "times": 1})).await;
    let (_, lost) = world.ask(&payload_with(json!({"phoneNumber": "+14155550199"}))).await;
    let lost = world.settled(lost["id"].as_str().unwrap()).await;

    assert_eq!(
        (&found["confirmation"]["status"], &lost["confirmation"]["status"]),
        (&json!("sent"), &json!("unknown"))
    );
    assert_eq!((world.cxone.messages().await.len(), world.cxone.count("message").await), (1, 2));
    world.end().await;
}

#[tokio::test]
async fn without_a_channel_no_text_is_sent() {
    let world = World::of_nice(&[("SMS_CHANNEL_ID", "")]).await;
    let (_, callback) = world.ask(&payload()).await;
    let callback = world.settled(callback["id"].as_str().unwrap()).await;
    assert_eq!(callback["confirmation"]["status"], "skipped");
    assert_eq!((&callback["confirmation"]["reason"], world.cxone.count("message").await), (&json!("no-channel"), 0));
    world.end().await;
}

#[tokio::test]
async fn a_number_on_a_do_not_call_list_is_not_called() {
    let world = World::of_nice(&[]).await;
    world.put_settings(CAMPAIGN, json!({"nice": {"skillId": SKILL}, "checkDoNotCall": true})).await;
    world.cxone.control(Method::PUT, "do-not-call", Some(json!({"numbers": [CALLER]}))).await;

    let (status, refused) = world.ask(&payload()).await;
    assert_eq!((status, &refused["type"]), (422, &json!("/problems/on-do-not-call-list")), "{refused}");
    let (status, _) = world.ask(&payload_with(json!({"phoneNumber": "+14155550199"}))).await;
    assert_eq!((status, world.cxone.contacts().await.len()), (201, 1));
    world.end().await;
}

#[tokio::test]
async fn only_an_active_outbound_skill_can_be_set() {
    let world = World::of_nice(&[]).await;
    for (skill, members) in [(5001, json!({"isActive": false})), (5002, json!({"isOutbound": false}))] {
        world.cxone.control(Method::PUT, &format!("skills/{skill}"), Some(members)).await;
        let (status, answer) = world.try_settings(CAMPAIGN, json!({"nice": {"skillId": skill}})).await;
        assert_eq!((status, answer["errors"][0]["pointer"].as_str()), (422, Some("/nice/skillId")), "{answer}");
    }
    let (status, _) = world.try_settings(CAMPAIGN, json!({"nice": {"skillId": 999}})).await;
    assert_eq!(status, 422);
    world.end().await;
}

#[tokio::test]
async fn a_campaign_of_digits_needs_no_mapping_unless_it_has_several_outbound_skills() {
    let world = World::of_nice(&[]).await;
    let campaigns = world.cxone.list("campaigns").await;
    let number = |id: &str| {
        let campaign = campaigns.iter().find(|campaign| campaign["id"] == id).unwrap();
        campaign["niceCampaignId"].to_string()
    };
    let (status, answer) = world.ask(&payload_with(json!({"campaignId": number(CAMPAIGN)}))).await;
    assert_eq!(status, 201, "{answer}");

    world.cxone.control(Method::PUT, "skills/5001", Some(json!({"campaign": DIALING}))).await;
    let (status, answer) = world.ask(&payload_with(json!({"campaignId": number(DIALING)}))).await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("nice.skillId"), "{answer}");
    let (status, answer) = world.ask(&payload_with(json!({"campaignId": "unmapped"}))).await;
    assert_eq!((status, &answer["type"]), (422, &json!("/problems/cxone-rejected")), "{answer}");
    world.end().await;
}

#[tokio::test]
async fn the_api_is_found_by_the_tenant_of_the_token() {
    for (name, value) in [("CXONE_BASE_URL", ""), ("CXONE_ISSUER", "simulator")] {
        let cxone = crate::support::Cxone::start_nice().await;
        let url = cxone.base_url.clone();
        let value = if value == "simulator" { url.as_str() } else { value };
        let known = ringback::simulator::Settings::default();
        let settings = [
            (name, value),
            ("CXONE_CLIENT_ID", known.client_id.as_str()),
            ("CXONE_CLIENT_SECRET", known.client_secret.as_str()),
        ];
        let world = World::nice_at(cxone, &settings).await;
        let (status, answer) = world.ask(&payload_with(json!({"campaignId": "101"}))).await;
        assert_eq!(status, 201, "{name}: {answer}");
        assert!(world.cxone.count("discovery").await >= 1, "{name}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_tenant_is_checked_without_changes_and_without_secrets() {
    let world = World::of_nice(&[]).await;
    world.ask(&payload()).await;
    let (_, callback) = world.ask(&payload_with(json!({"phoneNumber": "+14155550199"}))).await;
    world.settled(callback["id"].as_str().unwrap()).await;
    world.cxone.clear_received().await;

    let report = world.cxone_command(&["check"]).await;
    assert!(report.status.success(), "{report:?}");
    let text = String::from_utf8(report.stdout).unwrap();
    for line in ["token", "time zone", "scheduled callbacks", "a time without a zone", "channels"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let known = ringback::simulator::Settings::default();
    assert!(!text.contains(&known.client_secret) && !text.contains(CALLER) && !text.contains("4155550199"), "{text}");
    let received = world.cxone.list("received").await;
    let changing = received.iter().filter(|request| request["method"] != "GET" && request["route"] != "token");
    assert_eq!(changing.count(), 0);

    world.cxone.fault(json!({"route": "doNotCall", "kind": "status", "status": 403})).await;
    let report = world.cxone_command(&["check", "--json"]).await;
    assert_eq!(report.status.code(), Some(1));
    let text = String::from_utf8(report.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["status"], &report["checks"][0]["status"]), (&json!("fail"), &json!("ok")));
    assert!(text.contains("the permission to view do-not-call groups"), "{text}");
    world.end().await;
}

#[tokio::test]
async fn a_regulatory_window_is_written_into_the_hours_of_the_skill_only_if_asked() {
    let world = World::of_nice(&[]).await;
    let window = json!({"startTime": "10:00", "endTime": "19:00", "timezone": "America/New_York"});
    world.put_settings(CAMPAIGN, json!({"nice": {"skillId": SKILL}, "regulatoryWindow": window})).await;
    let changes = async || {
        let received = world.cxone.list("received").await;
        received.iter().filter(|request| request["method"] == "PUT").count()
    };

    let planned = world.cxone_command(&["fence", "--campaign", CAMPAIGN]).await;
    assert!(planned.status.success(), "{planned:?}");
    assert!(String::from_utf8(planned.stdout).unwrap().contains("to be written"));
    assert_eq!(changes().await, 0);
    for (text, written) in [("written", 1), ("unchanged", 1)] {
        let applied = world.cxone_command(&["fence", "--campaign", CAMPAIGN, "--apply"]).await;
        assert!(applied.status.success() && String::from_utf8(applied.stdout).unwrap().contains(text));
        assert_eq!(changes().await, written);
    }
    let log = world.get("/v1/audit?action=campaign.fenced").await;
    assert_eq!(log["data"].as_array().unwrap().len(), 2);
    assert_eq!(log["data"][1]["detail"]["skills"][0]["startTime"], "10:00");
    world.end().await;
}
