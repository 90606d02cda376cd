//! The pages of callbacks: the search, what happened to one, and cancelling it.

use serde_json::json;

use crate::support::{
    Browser, CALLER, CAMPAIGN, INACTIVE_CAMPAIGN, World, caller, create_key, payload, payload_from, payload_with,
};

const LIST: &str = "/console/callbacks";
const ALL: [&str; 5] = ["callbacks:read", "callbacks:write", "campaigns:read", "audit:read", "privacy:read"];

fn page_of(id: &str) -> String {
    format!("/console/callbacks/{id}")
}

impl World {
    async fn browser_of(&self, scopes: &[&str]) -> Browser {
        Browser::signed_in(&self.service.base_url, &create_key(&self.database, scopes).await).await
    }
}

#[tokio::test]
async fn callbacks_are_found_by_number_external_id_status_campaign_and_time_with_masked_numbers() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    assert!(browser.get(LIST).await.has("No callbacks yet"));
    let (_, first) = world.ask(&payload_with(json!({"phoneNumber": caller(1), "externalId": "ticket-1"}))).await;
    world.ask(&payload_with(json!({"phoneNumber": caller(2), "campaignId": INACTIVE_CAMPAIGN}))).await;
    let (one, two) = ("+1202•••0001", "+1202•••0002");

    for (query, finds_one, finds_two) in [
        ("", true, true),
        ("?status=scheduled&campaignId=&from=&to=&zone=UTC", true, false),
        ("?status=failed", false, true),
        ("?externalId=ticket-1", true, false),
        (&format!("?campaignId={INACTIVE_CAMPAIGN}"), false, true),
        ("?from=2026-01-01T00:00&to=2026-01-02T00:00&zone=Europe/Berlin", false, false),
    ] {
        let page = browser.get(&format!("{LIST}{query}")).await;
        assert_eq!((page.status, page.has(one), page.has(two)), (200, finds_one, finds_two), "{query}: {page:?}");
        let part = browser.get(&format!("/console/fragments/callbacks{query}")).await;
        assert_eq!((part.has("<html"), part.has(one), part.has(two)), (false, finds_one, finds_two), "{query}");
    }
    for number in [caller(1), "(202) 500-0001".to_owned()] {
        let found = browser.post("/console/callbacks/search", &[("phoneNumber", &number)]).await;
        assert_eq!((found.status, found.has(one), found.has(two)), (200, true, false), "{found:?}");
        assert!(found.has(&page_of(first["id"].as_str().unwrap())) && !found.has("5000001"), "{found:?}");
        assert!(!found.has("data-live"), "the number is in no address: {found:?}");
    }
    let none = browser.post("/console/callbacks/search", &[("phoneNumber", CALLER)]).await;
    assert!(none.status == 200 && none.has("No callback matches"), "{none:?}");
    assert_eq!(browser.get("/console/callbacks/search").await.location(), LIST);
    world.end().await;
}

#[tokio::test]
async fn filters_with_faults_show_them_beside_the_fields() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    for (query, field) in
        [("from=yesterday", "from"), ("campaignId=a+b", "campaignId"), ("externalId=%C2%A0%C3%A9%00", "externalId")]
    {
        let page = browser.get(&format!("{LIST}?{query}")).await;
        assert!(page.status == 422 && page.has(&format!("id=\"{field}-fault\"")), "{query}: {page:?}");
    }
    let page = browser.post("/console/callbacks/search", &[("phoneNumber", "12")]).await;
    assert!(page.status == 422 && page.has("id=\"phoneNumber-fault\""), "{page:?}");
    world.end().await;
}

#[tokio::test]
async fn more_callbacks_than_a_page_has_are_on_older_pages() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    let callbacks: Vec<_> = (0..51).map(payload_from).collect();
    let answer = world.post("/v1/callbacks/batch", &json!({"callbacks": callbacks})).await;
    assert_eq!(answer.status(), 200);
    let page = browser.get(&format!("{LIST}?campaignId={CAMPAIGN}")).await;
    let (_, link) = page.html.split_once("<p class=\"pages\"><a href=\"").unwrap_or_else(|| panic!("{page:?}"));
    let next = link.split('"').next().unwrap().replace("&#38;", "&");
    assert!(next.contains(&format!("campaignId={CAMPAIGN}")), "{next}");
    let older = browser.get(&next).await;
    assert_eq!(older.html.matches("<th scope=\"row\">").count(), 1, "{older:?}");
    assert!(older.has(&format!("href=\"{LIST}?campaignId={CAMPAIGN}\">Newest")), "{older:?}");
    world.end().await;
}

#[tokio::test]
async fn a_callback_is_followed_from_the_request_to_the_text_and_its_hour_is_explained() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    let (status, callback) = world.ask(&payload_with(json!({"metadata": {"agent": "call 202-555-0147"}}))).await;
    assert_eq!(status, 201, "{callback}");
    let id = callback["id"].as_str().unwrap();

    let page = browser.get(&page_of(id)).await;
    let order = ["Accepted and stored", "CXone has the contact", "SMS accepted by CXone"];
    let places = order.map(|text| page.html.find(text).unwrap_or_else(|| panic!("{text}: {page:?}")));
    assert!(places.is_sorted(), "{page:?}");
    let dispatch = callback["dispatchTime"].as_str().unwrap();
    let placement = world.get(&format!("/v1/callbacks/{id}/placement")).await;
    for text in [
        callback["contactId"].as_str().unwrap(),
        &format!("datetime=\"{dispatch}\""),
        placement["reason"].as_str().unwrap(),
        "Chosen</span>",
        "SMS sent",
        "+1202•••0198",
        "call •••",
        &format!("href=\"/console/campaigns/{CAMPAIGN}\""),
    ] {
        assert!(page.has(text), "{text}: {page:?}");
    }
    assert!(!page.has(CALLER) && !page.has("555-0147"), "{page:?}");
    let part = browser.get(&format!("/console/fragments/callbacks/{id}")).await;
    assert!(part.has("Why this hour") && !part.has("<html"), "{part:?}");
    for missing in ["01a1fcff-84aa-720d-83ca-60abacb44d8c", "no-id"] {
        assert_eq!(browser.get(&page_of(missing)).await.status, 404, "{missing}");
    }

    let narrow = world.browser_of(&["callbacks:read"]).await.get(&page_of(id)).await;
    assert!(narrow.status == 200 && narrow.has("The scope audit:read shows"), "{narrow:?}");
    for hidden in ["Show the whole number", "/cancel", "href=\"/console/campaigns/", "Accepted and stored"] {
        assert!(!narrow.has(hidden), "{hidden}: {narrow:?}");
    }
    let stranger = world.browser_of(&["campaigns:read"]).await;
    for path in [LIST.to_owned(), page_of(id)] {
        assert_eq!(stranger.get(&path).await.status, 403, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_whole_number_is_shown_only_with_the_scope_and_leaves_an_entry() {
    let world = World::start().await;
    let id = world.accept(&payload()).await;
    let path = format!("{}/number", page_of(&id));
    let reader = world.browser_of(&["callbacks:read", "audit:read"]).await;
    let refused = reader.post(&path, &[]).await;
    assert!(refused.status == 403 && refused.has("privacy:read") && !refused.has(CALLER), "{refused:?}");
    assert!(!world.audited(&id).await.contains(&"callback.number_revealed".to_owned()));

    let officer = world.browser_of(&ALL).await;
    assert!(officer.get(&page_of(&id)).await.has("Show the whole number"));
    let shown = officer.post(&path, &[]).await;
    assert!(shown.status == 200 && shown.has(CALLER) && shown.has("Number shown in the console"), "{shown:?}");
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert!(!officer.get(&path).await.has(CALLER), "a reload masks it");
    let log = world.get(&format!("/v1/audit?callbackId={id}&action=callback.number_revealed")).await;
    let entries = log["data"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!((&entries[0]["actor"]["name"], &entries[0]["campaignId"]), (&json!("test"), &json!(CAMPAIGN)));
    assert_eq!(entries[0]["detail"], json!({"phoneNumber": "+1202•••0198"}));
    world.end().await;
}

#[tokio::test]
async fn what_cxone_said_about_a_failure_is_shown_as_text() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    world
        .cxone
        .fault(json!({"route": "contact", "kind": "status", "status": 400, "times": 1,
            "body": {"error_description": "<script>alert(1)</script> is blocked"}}))
        .await;
    let hostile = json!({"externalId": "\"><img src=x>", "metadata": {"<b>": "</dd><script>"}});
    let (status, problem) = world.ask(&payload_with(hostile)).await;
    assert_eq!(status, 422, "{problem}");
    let page = browser.get(&page_of(problem["callbackId"].as_str().unwrap())).await;
    assert!(page.has("Why it failed") && page.has("is blocked") && page.has("cxone-rejected"), "{page:?}");
    let list = browser.get(&format!("{LIST}?externalId=%22%3E%3Cimg+src%3Dx%3E")).await;
    assert!(list.status == 200 && list.has("+1202•••0198"), "{list:?}");
    for page in [page, list] {
        for hostile in ["<script>", "<img", "<b>"] {
            assert!(!page.has(hostile), "{hostile}: {page:?}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_callback_is_cancelled_after_a_page_that_says_what_happens() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    // CXone cannot be asked for a forecast, so that it has no contact yet.
    world.cxone.fault(json!({"route": "forecast", "kind": "status", "status": 503})).await;
    let id = world.accept(&payload()).await;
    let path = format!("{}/cancel", page_of(&id));
    assert!(browser.get(&page_of(&id)).await.has(&path));
    let confirm = browser.get(&path).await;
    assert!(confirm.has("Ringback makes no further attempt"), "{confirm:?}");
    let after = browser.submit(&path, &[("once", &confirm.hidden("once"))]).await;
    assert!(after.has("The callback is cancelled.") && after.has(">Cancelled</span>"), "{after:?}");
    assert!(!after.has(&path), "{after:?}");
    let entry = &world.get(&format!("/v1/audit?callbackId={id}&action=callback.cancelled")).await["data"][0];
    assert_eq!(entry["actor"]["type"], "api_key", "{entry}");
    assert!(browser.get(&path).await.has("it has ended"));
    let again = browser.post(&path, &[("once", "another")]).await;
    assert_eq!(again.location(), format!("{}?done=cancelled", page_of(&id)));

    let reader = world.browser_of(&["callbacks:read"]).await;
    for page in [reader.get(&path).await, reader.post(&path, &[("once", "r-1")]).await] {
        assert!(page.status == 403 && page.has("callbacks:write"), "{page:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_cancellation_that_is_refused_says_why() {
    let world = World::start().await;
    let browser = world.browser_of(&ALL).await;
    let (_, callback) = world.ask(&payload_with(json!({"campaignId": INACTIVE_CAMPAIGN}))).await;
    let id = callback["callbackId"].as_str().unwrap();
    let page = browser.post(&format!("{}/cancel", page_of(id)), &[("once", "c-1")]).await;
    assert!(page.status == 409 && page.has("the callback is failed already"), "{page:?}");
    world.end().await;
}
