//! What is held about a person: erased and exported.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    Answer, CALLER, CAMPAIGN, DIALING, Receiver, World, create_key, eventually, faults, payload_from, payload_with,
    text,
};

const SIGNING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HASH_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The digits of [`CALLER`] without the country code, as other formats of the number have them too.
const DIGITS: &str = "2025550198";
/// The keyed hash of [`CALLER`].
const HASH: &str = "FfrPiQTRZddn-3xPR01H6g";

async fn world() -> World {
    let mut world = World::of_webhooks(&[("AUDIT_SIGNING_KEY", SIGNING_KEY), ("AUDIT_HASH_KEY", HASH_KEY)]).await;
    let scopes = [
        "callbacks:write",
        "callbacks:read",
        "webhooks:write",
        "webhooks:read",
        "audit:read",
        "privacy:write",
        "privacy:read",
    ];
    world.key = create_key(&world.database, &scopes).await;
    world
}

/// The caller's request in a campaign, with texts of the caller.
fn personal(campaign: &str) -> Value {
    payload_with(json!({"campaignId": campaign, "externalId": "patient-7", "metadata": {"note": "knee surgery"}}))
}

async fn erase(world: &World) -> Value {
    let answer = world.answer("/v1/privacy/erase", &json!({"phoneNumber": "(202) 555-0198"}), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn export(world: &World, query: &str) -> Value {
    world.get(&format!("/v1/privacy/export?phoneNumber=%2B{}{query}", &CALLER[1..])).await
}

/// The tables that have this text, in any column. Bytes are compared too.
async fn tables_with(pool: &PgPool, text: &str) -> Vec<String> {
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by 1")
            .fetch_all(pool)
            .await
            .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let select = format!(
            "select exists (select from \"{table}\" as t where position($1 in t::text) > 0
                or position(encode(convert_to($1, 'UTF8'), 'hex') in t::text) > 0)"
        );
        let is_found: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).bind(text).fetch_one(pool).await.unwrap();
        found.extend(is_found.then_some(table));
    }
    found
}

/// A callback that waits, because CXone does not answer for its forecast.
async fn waiting(world: &World) -> String {
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let headers = [("prefer", "respond-async"), ("idempotency-key", "waiting")];
    let (status, callback) = world.ask_with(&personal(DIALING), &headers).await;
    assert_eq!(status, 202, "{callback}");
    let id = text(&callback, "id");
    world.callback_when(&id, |callback| !callback["failure"].is_null()).await;
    id
}

/// Lets the windows of all callbacks end.
async fn end_windows(world: &World) {
    world
        .sql(
            "update callbacks set requested_start = requested_start - interval '5 hours',
                 requested_end = requested_end - interval '5 hours', dispatch_time = dispatch_time - interval '5 hours'",
        )
        .await;
}

#[tokio::test]
async fn after_an_erasure_no_table_and_no_log_line_has_the_person_and_the_audit_log_is_valid() {
    let (world, receiver) = (world().await, Receiver::start(&[]).await);
    let hook = world.hook_at(&receiver).await;
    let (status, scheduled) = world.ask_with(&personal(CAMPAIGN), &[("idempotency-key", "scheduled")]).await;
    assert_eq!(status, 201, "{scheduled}");
    let scheduled = text(&scheduled, "id");
    let (_, other) = world.ask(&payload_from(1)).await;
    let waiting = waiting(&world).await;
    world.deliveries_when(&hook, |sent| sent.len() >= 4 && sent.iter().all(|sent| sent["status"] == "succeeded")).await;
    for personal in [DIGITS, "patient-7", "knee surgery"] {
        assert!(!tables_with(&world.database.pool, personal).await.is_empty(), "{personal}");
    }

    // The one is cancelled and erased, the other is kept: CXone will call.
    let erased = erase(&world).await;
    assert_eq!(
        (&erased["callbacksCancelled"], &erased["callbacksErased"], &erased["idempotencyAnswersErased"]),
        (&json!(1), &json!(1), &json!(1)),
        "{erased}"
    );
    let known = |erased: bool, kept: &Value| {
        json!([{"callbackId": scheduled, "contactId": scheduled, "confirmed": true, "erased": erased,
            "smsSessionId": kept["smsSessionId"], "requestedEnd": kept["requestedEnd"]}])
    };
    assert_eq!((&erased["complete"], &erased["atCxone"]), (&json!(false), &known(false, &erased["atCxone"][0])));
    let shown = world.get(&format!("/v1/callbacks/{waiting}")).await;
    assert_eq!((&shown["status"], &shown["phoneNumber"]), (&json!("cancelled"), &json!(null)), "{shown}");
    assert!(shown["erasedAt"].is_string() && shown["externalId"].is_null() && shown["metadata"].is_null(), "{shown}");

    end_windows(&world).await;
    let erased = erase(&world).await;
    assert_eq!((&erased["callbacksErased"], &erased["complete"]), (&json!(1), &json!(true)), "{erased}");
    assert_eq!(erased["atCxone"], known(true, &erased["atCxone"][0]));
    assert!(erased["webhookEventsErased"].as_i64() >= Some(2), "{erased}");
    // By the hash, the contact is still named.
    let again = erase(&world).await;
    assert_eq!((&again["callbacksErased"], &again["atCxone"]), (&json!(0), &erased["atCxone"]), "{again}");

    for personal in [DIGITS, "patient-7", "knee surgery"] {
        assert_eq!(tables_with(&world.database.pool, personal).await, [""; 0], "{personal}");
    }
    assert_eq!(world.get(&format!("/v1/callbacks/{}", text(&other, "id"))).await["phoneNumber"], other["phoneNumber"]);
    let repeated = world.answer("/v1/callbacks", &personal(CAMPAIGN), &[("idempotency-key", "scheduled")]).await;
    assert_eq!(repeated.problem(), (422, "idempotency-key-reused"));
    assert_eq!(
        world.audited(&scheduled).await,
        ["callback.accepted", "callback.scheduled", "callback.confirmed", "callback.erased"]
    );
    eventually("a valid log in which everything is sealed", async || {
        let verified = world.get("/v1/audit/verification").await;
        let is_valid = verified["valid"] == true && verified["sealed"] == verified["entries"];
        if is_valid { Ok(()) } else { Err(verified.to_string()) }
    })
    .await;
    let World { service, database, .. } = world;
    let log = service.log_at_end().await;
    assert!(!log.contains(DIGITS) && !log.contains("knee"), "{log}");
    database.drop().await;
}

#[tokio::test]
async fn an_export_has_all_that_is_held_about_a_person_and_finds_it_by_the_hash_after_an_erasure() {
    let (world, receiver) = (world().await, Receiver::start(&[]).await);
    world.hook_at(&receiver).await;
    let (_, first) = world.ask_with(&personal(CAMPAIGN), &[("idempotency-key", "first")]).await;
    world.ask(&payload_from(1)).await;
    let second = waiting(&world).await;
    let cancel = world.request(Method::POST, &format!("/v1/callbacks/{second}/cancel"));
    assert_eq!(Answer::to(cancel.header("idempotency-key", "cancel")).await.status, 200);

    let page = export(&world, "&limit=1").await;
    assert_eq!(
        (&page["phoneNumberHash"], &page["data"][0]["callback"]["id"]),
        (&json!(HASH), &json!(second)),
        "{page}"
    );
    let answers = page["data"][0]["idempotencyAnswers"].as_array().unwrap();
    let keys: Vec<_> =
        answers.iter().map(|answer| (&answer["idempotencyKey"], &answer["body"]["phoneNumber"])).collect();
    assert_eq!(keys, [(&json!("waiting"), &json!(CALLER)), (&json!("cancel"), &json!(CALLER))]);
    let page = export(&world, &format!("&cursor={}", text(&page, "nextCursor"))).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["nextCursor"]), (1, &json!(null)), "{page}");
    let held = &page["data"][0];
    assert_eq!(held["callback"]["metadata"], json!({"note": "knee surgery"}), "{held}");
    let accepted = held["auditEntries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&accepted["action"], &accepted["detail"]["phoneNumberHash"]),
        (&json!("callback.accepted"), &json!(HASH))
    );
    assert_eq!(held["webhookEvents"][0]["body"]["externalId"], "patient-7", "{held}");
    let answer = &held["idempotencyAnswers"][0];
    assert_eq!((&answer["idempotencyKey"], &answer["body"]["id"]), (&json!("first"), &first["id"]), "{held}");

    end_windows(&world).await;
    erase(&world).await;
    let page = export(&world, "").await;
    let actions: Vec<_> = page["requests"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["privacy.erased", "privacy.exported", "privacy.exported"]);
    assert_eq!(page["data"].as_array().unwrap().len(), 2, "{page}");
    assert!(page["data"].as_array().unwrap().iter().all(|held| held["idempotencyAnswers"] == json!([])), "{page}");
    assert!(!page.to_string().contains(DIGITS) && !page.to_string().contains("knee"), "{page}");
    world.end().await;
}

#[tokio::test]
async fn a_person_is_erased_and_exported_only_by_a_valid_number_and_with_the_scope() {
    let mut world = world().await;
    let asked = world.answer("/v1/privacy/erase", &json!({"phoneNumber": "12"}), &[]).await;
    assert_eq!((asked.status, faults(&asked.body)), (422, vec!["/phoneNumber not-a-phone-number".to_owned()]));
    for (query, fault) in [("", "/phoneNumber required"), ("?phoneNumber=12", "/phoneNumber not-a-phone-number")] {
        let asked = Answer::to(world.request(Method::GET, &format!("/v1/privacy/export{query}"))).await;
        assert_eq!((asked.status, faults(&asked.body)), (422, vec![fault.to_owned()]));
    }
    // A repeated erasure answers as the first did, and the database has no hash that the number can be guessed from.
    let keyed = async || {
        world.answer("/v1/privacy/erase", &json!({"phoneNumber": CALLER}), &[("idempotency-key", "erase")]).await
    };
    let (first, second) = (keyed().await, keyed().await);
    assert_eq!((first.status, second.header("idempotency-replayed"), &second.body), (200, Some("true"), &first.body));
    let guessed =
        "from idempotency_keys where request_hash = sha256(convert_to('/v1/privacy/erase', 'UTF8') || '\\x00'::bytea
        || convert_to('{\"phoneNumber\":\"+12025550198\"}', 'UTF8'))";
    assert_eq!((world.database.count(guessed).await, world.database.count("from idempotency_keys").await), (0, 1));

    world.key = create_key(&world.database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let asked = world.answer("/v1/privacy/erase", &json!({"phoneNumber": CALLER}), &[]).await;
    assert_eq!((asked.problem(), &asked.body["scope"]), ((403, "forbidden"), &json!("privacy:write")));
    let asked = Answer::to(world.request(Method::GET, "/v1/privacy/export?phoneNumber=2025550198")).await;
    assert_eq!((asked.problem(), &asked.body["scope"]), ((403, "forbidden"), &json!("privacy:read")));
    world.end().await;
}

#[tokio::test]
async fn an_erasure_of_many_callbacks_is_done_in_steps_that_each_have_an_entry() {
    let world = world().await;
    world
        .sql(&format!(
            "insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language,
                 confirmation, attempts, request_id, created_at, updated_at)
             select gen_random_uuid(), 'cancelled', '{CALLER}', 'c', now(), now() + interval '1 hour', 'en', 'pending', 0, 'r',
                 now() - n * interval '1 second', now()
             from generate_series(1, 1001) as n"
        ))
        .await;
    let counts = |erased: &Value| (erased["callbacksErased"].clone(), erased["complete"].clone());
    assert_eq!(counts(&erase(&world).await), (json!(1000), json!(false)));
    assert_eq!(counts(&erase(&world).await), (json!(1), json!(true)));
    let entries = world.get("/v1/audit?action=privacy.erased").await;
    let erased: Vec<_> =
        entries["data"].as_array().unwrap().iter().map(|entry| &entry["detail"]["callbacksErased"]).collect();
    assert_eq!(erased, [&[1][..], &[100; 10]].concat());
    assert_eq!(tables_with(&world.database.pool, DIGITS).await, [""; 0]);
    world.end().await;
}
