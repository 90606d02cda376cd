//! Webhooks: signed, in order, at least once, and to nowhere that they must not go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    DIALING, ENCRYPTION_KEY, Received, Receiver, Reply, Service, World, faults, in_ms, instant, pause, pause_with,
    payload,
};

#[tokio::test]
async fn a_pause_and_a_resume_are_delivered_in_order_in_the_documented_form() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    world.hook_at(&receiver).await;
    let end = in_ms(1_500);

    let (_, answer) = world.command("pause", &pause_with(json!({"scheduledResumeTime": end}))).await;
    let received = receiver.received_when(2).await;

    let (paused, resumed) = (received[0].event(), received[1].event());
    assert_eq!((&paused["type"], &paused["event"]), (&json!("campaign.paused"), &json!("CAMPAIGN_PAUSED")));
    assert_eq!((&paused["campaignId"], &paused["reason"]), (&json!(DIALING), &json!("CARRIER_THROTTLE")));
    assert_eq!((&paused["previousState"], &paused["newState"]), (&json!("ACTIVE"), &json!("PAUSED")));
    assert_eq!((&paused["scheduledResumeTime"], &paused["auditId"]), (&json!(end), &answer["auditId"]));
    assert_eq!(paused["metadata"]["volumeVariance"], 0);
    assert!(paused["metadata"]["latencyMs"].is_i64() && paused["timestamp"].is_string());
    assert_eq!((&resumed["type"], &resumed["event"]), (&json!("campaign.resumed"), &json!("CAMPAIGN_RESUMED")));
    assert_eq!(received[0].headers["webhook-id"], answer["auditId"].as_str().unwrap());
    assert_eq!(received[0].headers["content-type"], "application/json");
    assert_eq!(receiver.received().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn a_test_event_is_delivered_to_its_endpoint() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook(json!({"url": receiver.url, "events": ["campaign.paused"]})).await;
    let path = format!("/v1/webhooks/{}/test", hook["id"].as_str().unwrap());
    let answer: Value = world.request(Method::POST, &path).send().await.unwrap().json().await.unwrap();

    let received = &receiver.received_when(1).await[0];
    let event = received.event();
    assert_eq!((&event["type"], &event["webhookId"]), (&json!("webhook.test"), &hook["id"]));
    assert_eq!(
        (&event["auditId"], received.headers["webhook-id"].as_str()),
        (&answer["eventId"], answer["eventId"].as_str().unwrap())
    );
    world.end().await;
}

#[tokio::test]
async fn a_secret_is_shown_once_and_is_not_in_the_database() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let body = json!({"url": receiver.url, "events": ["campaign.paused"], "description": "WFO"});
    let create = async || {
        let request = world.request(Method::POST, "/v1/webhooks").header("idempotency-key", "hook-1").json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };

    let made = create().await;
    let again = create().await;
    let secret = made["secret"].as_str().unwrap();
    let shown = world.get(&format!("/v1/webhooks/{}", made["id"].as_str().unwrap())).await;
    let listed = world.get("/v1/webhooks").await;
    let dump: String = sqlx::query_scalar(
        "select concat((select json_agg(e) from webhook_endpoints e), (select json_agg(k) from idempotency_keys k),
             (select json_agg(a) from audit_entries a),
             (select string_agg(encode(answer_body, 'escape'), '') from idempotency_keys))",
    )
    .fetch_one(&world.database.pool)
    .await
    .unwrap();

    assert_eq!((&again["id"], &again["secret"]), (&made["id"], &Value::Null));
    assert_eq!((&shown["secret"], &shown["events"]), (&Value::Null, &json!(["campaign.paused"])));
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let encoded = secret.trim_start_matches("whsec_");
    // As Postgres writes a bytea.
    let hex = STANDARD.decode(encoded).unwrap().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert!(!dump.contains(encoded) && !dump.contains(&hex), "{dump}");
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_gets_only_its_event_types_callback_events_included() {
    let world = World::of_webhooks(&[]).await;
    let (all, some) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    world.hook_at(&all).await;
    world.hook(json!({"url": some.url, "events": ["callback.confirmed", "campaign.resumed"]})).await;

    let (_, callback) = world.ask(&payload()).await;
    world.command("pause", &pause()).await;
    world.command("resume", &json!({})).await;
    all.received_when(4).await;
    some.received_when(2).await;

    let types = |receiver: &Receiver| {
        let mut types: Vec<String> =
            receiver.received().iter().map(|received| received.event()["type"].as_str().unwrap().to_owned()).collect();
        types.sort();
        types
    };
    assert_eq!(types(&all), ["callback.confirmed", "callback.scheduled", "campaign.paused", "campaign.resumed"]);
    assert_eq!(types(&some), ["callback.confirmed", "campaign.resumed"]);
    let events: Vec<Value> = all.received().iter().map(Received::event).collect();
    let confirmed = events.iter().find(|event| event["type"] == "callback.confirmed").unwrap();
    assert_eq!((&confirmed["callbackId"], &confirmed["newState"]), (&callback["id"], &json!("scheduled")));
    let scheduled = events.iter().position(|event| event["type"] == "callback.scheduled").unwrap();
    assert!(scheduled < events.iter().position(|event| event["type"] == "callback.confirmed").unwrap());
    assert!(all.received().iter().all(|received| !received.body.contains("2025550198")));
    world.end().await;
}

#[tokio::test]
async fn a_failed_delivery_is_retried_and_each_attempt_is_listed() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::Status(500), Reply::With(429, "retry-after", "7")]).await;
    let hook = world.hook_at(&receiver).await;

    world.command("pause", &pause()).await;
    let received = receiver.received_when(2).await;
    let waiting =
        world.deliveries_when(&hook, |deliveries| deliveries[0]["attempts"].as_array().unwrap().len() == 2).await;

    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    assert_eq!(received[0].body, received[1].body);
    let attempts = waiting[0]["attempts"].as_array().unwrap();
    assert_eq!((&attempts[0]["status"], &attempts[0]["answer"]), (&json!(500), &json!("noted")));
    assert_eq!((&attempts[1]["status"], &waiting[0]["status"]), (&json!(429), &json!("pending")));
    assert!(attempts[0]["durationMs"].is_i64() && attempts[0]["at"].is_string());
    assert!(world.get(&format!("/v1/webhooks/{hook}")).await["failingSince"].is_string());
    world.end().await;
}

#[tokio::test]
async fn every_kind_of_failed_delivery_is_recorded_and_delays_only_its_own_endpoint() {
    let world = World::of_webhooks(&[]).await;
    let elsewhere = Receiver::start(&[]).await;
    let location: &'static str = Box::leak(elsewhere.url.clone().into_boxed_str());
    let ways = [
        (Reply::With(302, "location", location), Some(302), Value::Null),
        (Reply::CutOff, Some(200), json!("the answer broke off, or took longer than 15 seconds")),
        (Reply::SlowBody, Some(200), json!("the answer broke off, or took longer than 15 seconds")),
        (Reply::Hang, None, json!("no answer within 15 seconds")),
    ];
    let mut hooks = Vec::new();
    for (reply, status, error) in ways {
        let receiver = Receiver::start(&[reply]).await;
        hooks.push((world.hook_at(&receiver).await, receiver, status, error));
    }
    let refusing = Receiver::start(&[]).await;
    let refused = world.hook_at(&refusing).await;
    drop(refusing);
    let (well, huge) = (Receiver::start(&[]).await, Receiver::start(&[Reply::HugeBody]).await);
    world.hook_at(&well).await;
    let large = world.hook_at(&huge).await;

    world.command("pause", &pause()).await;
    well.received_when(1).await;

    let hanging = world.deliveries_when(&hooks[3].0, |deliveries| !deliveries.is_empty()).await;
    assert_eq!(hanging[0]["attempts"], json!([]), "a receiver that hangs delays only its own deliveries");
    for (hook, _, status, error) in &hooks {
        let tried = |deliveries: &[Value]| deliveries[0]["attempts"] != json!([]);
        let deliveries = world.deliveries_when(hook, tried).await;
        let attempt = &deliveries[0]["attempts"][0];
        assert_eq!((&attempt["status"], &attempt["error"]), (&json!(status), error));
        assert_eq!(deliveries[0]["status"], "pending");
        assert!(deliveries[0]["nextAttemptAt"].is_string());
    }
    let tried = world.deliveries_when(&refused, |deliveries| deliveries[0]["attempts"] != json!([])).await;
    assert!(tried[0]["attempts"][0]["error"].as_str().unwrap().to_lowercase().contains("refused"), "{tried:?}");
    let bounded = world.deliveries_when(&large, |deliveries| deliveries[0]["status"] == "succeeded").await;
    assert!(bounded[0]["attempts"][0]["answer"].as_str().is_none_or(|answer| answer.len() <= 1024));
    assert_eq!(elsewhere.received().len(), 0, "a redirect is not followed");
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_and_can_be_enabled_again() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::Status(410)]).await;
    let hook = world.hook_at(&receiver).await;

    world.command("pause", &pause()).await;
    let dead = world.deliveries_when(&hook, |deliveries| deliveries[0]["status"] == "dead").await;
    let disabled = world.get(&format!("/v1/webhooks/{hook}")).await;
    let path = format!("/v1/webhooks/deliveries/{}/redeliver", dead[0]["id"].as_str().unwrap());
    let too_early = world.send(Method::POST, &path).await;
    world.command("resume", &json!({})).await;
    let enabled = world.send(Method::POST, &format!("/v1/webhooks/{hook}/enable")).await;
    let again = world.send(Method::POST, &path).await;
    receiver.received_when(2).await;
    world.deliveries_when(&hook, |deliveries| deliveries[0]["status"] == "succeeded").await;
    let since = json!({"since": in_ms(-60_000)});
    let failed = world.post(&format!("/v1/webhooks/{hook}/redeliver-failed"), &since).await;

    assert!(disabled["disabledAt"].is_string() && disabled["disabledReason"].as_str().unwrap().contains("410"));
    assert_eq!((too_early, enabled, again), (409, 200, 202));
    assert_eq!(receiver.received()[1].event()["type"], "campaign.paused");
    assert_eq!(receiver.received().len(), 2, "events from the time when it was disabled are not delivered");
    assert_eq!(failed.json::<Value>().await.unwrap(), json!({"redelivered": 0}));
    let log = world.get("/v1/audit?action=webhook.disabled").await;
    assert_eq!(log["data"][0]["detail"]["webhookId"], hook);
    let metrics = world.http.get(format!("{}/metrics", world.service.base_url)).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("ringback_webhook_endpoints_disabled_total 1"));
    world.end().await;
}

#[tokio::test]
async fn events_committed_before_a_kill_are_delivered_after_it() {
    let settings = [("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
    let mut world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::Hang]).await;
    world.hook_at(&receiver).await;

    world.command("pause", &pause()).await;
    receiver.received_when(1).await;
    let fresh = Service::start(&world.database, &world.cxone, &settings).await;
    std::mem::replace(&mut world.service, fresh).kill().await;
    world.command("resume", &json!({})).await;
    let received = receiver.received_when(3).await;

    let types: Vec<_> = received.iter().map(|received| received.event()["type"].clone()).collect();
    assert_eq!(types, [json!("campaign.paused"), json!("campaign.paused"), json!("campaign.resumed")]);
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    world.end().await;
}

#[tokio::test]
async fn two_replicas_deliver_each_event_once_and_in_order() {
    let settings = [("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
    let world = World::of_webhooks(&[]).await;
    let second = Service::start(&world.database, &world.cxone, &settings).await;
    let receiver = Receiver::start(&[]).await;
    world.hook_at(&receiver).await;

    for _ in 0..10 {
        world.command("pause", &pause()).await;
        world.command("resume", &json!({})).await;
    }
    let received = receiver.received_when(20).await;

    let mut log = world.entries("campaign.paused").await;
    log.extend(world.entries("campaign.resumed").await);
    log.sort_by_key(|entry| instant(&entry["timestamp"]));
    let audited: Vec<_> = log.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    let events: Vec<_> = received.iter().map(|received| received.headers["webhook-id"].clone()).collect();
    assert_eq!(events, audited);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn an_answer_rate_pause_is_delivered_to_the_configured_endpoint() {
    let receiver = Receiver::start(&[]).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let world = World::of_webhooks(&[("WFO_WEBHOOK_URL", receiver.url.as_str()), ("WFO_WEBHOOK_SECRET", secret)]).await;
    let guard = json!({
        "windowMs": 60_000, "minAnswerRate": 0.35, "minAttempts": 100, "pauseForMs": 1_500, "enabled": true,
    });
    world.set(&json!({"answerRate": guard})).await;

    world.report(&world.service.base_url, 100, 20).await;
    let received = receiver.received_when(2).await;
    let listed = world.get("/v1/webhooks").await;
    let id = listed["data"][0]["id"].as_str().unwrap();
    let deleted = world.send(Method::DELETE, &format!("/v1/webhooks/{id}")).await;

    let event = received[0].event();
    assert_eq!((&event["type"], &event["reason"]), (&json!("campaign.paused"), &json!("AUTO_THROTTLE")));
    let figures = (&event["metadata"]["answerRate"], &event["metadata"]["volumeVariance"]);
    assert_eq!(figures, (&json!(0.2), &json!(-100)));
    let resumed = received[1].event();
    assert_eq!((&resumed["type"], &resumed["reason"]), (&json!("campaign.resumed"), &json!("AUTO_THROTTLE")));
    assert_eq!((&listed["data"][0]["configured"], deleted), (&json!(true), 409));
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_needs_a_public_https_url_and_all_errors_are_reported_together() {
    let world = World::with(&[("ENCRYPTION_KEY", ENCRYPTION_KEY)]).await;
    let key = crate::support::create_key(&world.database, &["webhooks:write"]).await;
    let post = async |body: Value| {
        let request = world.http.post(format!("{}/v1/webhooks", world.service.base_url)).bearer_auth(&key);
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };

    for url in [
        "http://wfo.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://user:secret@wfo.example.com/",
        "http://localhost/",
    ] {
        assert_eq!(post(json!({"url": url})).await.0, 422, "{url}");
    }
    let (status, problem) = post(json!({
        "url": "https://10.0.0.1/", "events": ["campaign.paused", "campaign.started"], "description": 7, "secret": "x",
    }))
    .await;
    let (made, _) = post(json!({"url": "https://wfo.example.com/hooks"})).await;

    assert_eq!(status, 422);
    assert_eq!(
        faults(&problem),
        ["/description wrong-type", "/events/1 unknown-event-type", "/secret unknown-member", "/url forbidden-address"]
    );
    assert_eq!(made, 201);
    world.end().await;
}

#[tokio::test]
async fn without_an_encryption_key_no_endpoint_is_created_and_a_deleted_one_gets_nothing() {
    let bare = World::of_webhooks(&[("ENCRYPTION_KEY", "")]).await;
    let refused = bare.post("/v1/webhooks", &json!({"url": "https://wfo.example.com/"})).await;
    assert_eq!(refused.status(), 409);
    assert_eq!(refused.json::<Value>().await.unwrap()["type"], "/problems/no-encryption-key");
    bare.end().await;

    let world = World::of_webhooks(&[]).await;
    let (deleted, kept) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let hook = world.hook_at(&deleted).await;
    world.hook_at(&kept).await;
    let gone = world.send(Method::DELETE, &format!("/v1/webhooks/{hook}")).await;
    let unknown = world.send(Method::GET, &format!("/v1/webhooks/{hook}")).await;
    world.command("pause", &pause()).await;
    kept.received_when(1).await;

    assert_eq!((gone, unknown, deleted.received().len()), (204, 404, 0));
    world.end().await;
}
