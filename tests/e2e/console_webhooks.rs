//! The console's pages for webhook endpoints.

use serde_json::json;

use crate::support::{Browser, Page, Receiver, Reply, World, create_key, eventually, pause};

impl World {
    async fn operator(&self) -> Browser {
        Browser::signed_in(&self.service.base_url, &self.key).await
    }

    /// The key for a form of this page.
    async fn once(&self, browser: &Browser, path: &str) -> String {
        browser.get(path).await.hidden("once")
    }
}

/// The page once it has the text.
async fn page_with(browser: &Browser, path: &str, html: &str) -> Page {
    eventually(html, async || {
        let page = browser.get(path).await;
        if page.has(html) { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await
}

#[tokio::test]
async fn endpoints_are_listed_with_their_state_and_texts_of_others_are_shown_as_text() {
    let world = World::of_webhooks(&[]).await;
    let browser = world.operator().await;
    assert!(browser.get("/console/webhooks").await.has("No endpoints"));
    let receiver = Receiver::start(&[Reply::Status(500)]).await;
    let description = "\"><script>alert(1)</script>";
    let hook = world.hook(json!({"url": receiver.url, "description": description})).await;
    let path = format!("/console/webhooks/{}", hook["id"].as_str().unwrap());

    for address in ["/console/webhooks", "/console/fragments/webhooks", path.as_str()] {
        let page = browser.get(address).await;
        assert!(page.status == 200 && page.has(&receiver.url) && page.has(">Enabled<"), "{page:?}");
        assert!(page.has("&#60;script&#62;alert(1)&#60;/script&#62;") && !page.has("<script>"), "{page:?}");
    }
    world.command("pause", &pause()).await;
    for address in ["/console/webhooks", path.as_str()] {
        page_with(&browser, address, ">Failing<").await;
    }
    let answer = "<img src=x onerror=alert(1)>";
    world.database.run(&format!("update webhook_attempts set answer = '{answer}', error = '{answer}'")).await;
    let page = browser.get(&path).await;
    assert!(page.has("&#60;img src=x onerror=alert(1)&#62;") && !page.has("<img"), "{page:?}");
    let fragment = browser.get(&format!("/console/fragments/webhooks/{}/state", hook["id"].as_str().unwrap())).await;
    assert!(fragment.has(">Failing<") && !fragment.has("<html"), "{fragment:?}");
    assert_eq!(browser.get("/console/webhooks/0192f0c4-1111-7000-8000-00000000ffff").await.status, 404);
    assert_eq!(browser.get("/console/webhooks/none").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn the_last_attempts_are_shown_with_status_and_body_by_the_status_of_the_delivery() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::Status(500)]).await;
    let hook = world.hook_at(&receiver).await;
    let (browser, path) = (world.operator().await, format!("/console/webhooks/{hook}"));
    assert!(browser.get(&path).await.has("No deliveries in the last 30 days"));
    world.command("pause", &pause()).await;

    // The state of the endpoint and its deliveries are read by two requests.
    let page = eventually("an endpoint that fails, with its attempt", async || {
        let page = browser.get(&path).await;
        if page.has("status 500") && page.has(">Failing<") { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await;
    assert!(page.has("<pre>noted</pre>") && page.has(">campaign.paused<"), "{page:?}");
    world.deliveries_when(&hook, |sent| sent[0]["status"] == "succeeded").await;
    let page = browser.get(&path).await;
    assert!(page.has("2 attempts, the last: status 200") && page.has(">Delivered</span>"), "{page:?}");
    for (status, is_listed) in [("succeeded", true), ("dead", false), ("pending", false)] {
        for path in [path.clone(), format!("/console/fragments/webhooks/{hook}/deliveries")] {
            let page = browser.get(&format!("{path}?status={status}")).await;
            assert_eq!((page.status, page.has(">campaign.paused<")), (200, is_listed), "{path} {status}");
        }
    }
    assert_eq!(browser.get(&format!("{path}?status=lost")).await.status, 422);
    world.end().await;
}

#[tokio::test]
async fn a_test_event_is_sent_and_a_delivery_is_sent_again_once_for_each_form() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook_at(&receiver).await;
    let (browser, path) = (world.operator().await, format!("/console/webhooks/{hook}"));
    let test = format!("{path}/test");
    let once = world.once(&browser, &path).await;
    let page = browser.submit(&test, &[("once", &once)]).await;
    assert!(page.has("A test event is queued."), "{page:?}");
    browser.submit(&test, &[("once", &once)]).await;
    receiver.received_when(1).await;
    let sent = world.deliveries_when(&hook, |sent| sent[0]["status"] == "succeeded").await;
    assert_eq!(sent.len(), 1, "{sent:?}");

    let again = format!("{path}/deliveries/{}/redeliver", sent[0]["id"].as_str().unwrap());
    assert!(browser.get(&path).await.has(&format!("action=\"{again}\"")));
    let once = world.once(&browser, &path).await;
    assert!(browser.submit(&again, &[("once", &once)]).await.has("The deliveries are queued again."));
    let received = receiver.received_when(2).await;
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    for (action, count) in [("webhook.tested", 1), ("webhook.redelivered", 1)] {
        let entries = world.get(&format!("/v1/audit?action={action}")).await;
        let entries = entries["data"].as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]["actor"]["name"]), (count, &json!("test")), "{entries:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_delivery_that_waits_for_long_is_sent_again_at_once() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::With(429, "retry-after", "3600")]).await;
    let hook = world.hook_at(&receiver).await;
    let (browser, path) = (world.operator().await, format!("/console/webhooks/{hook}"));
    world.command("pause", &pause()).await;
    let waiting = world.deliveries_when(&hook, |sent| sent[0]["attempts"] != json!([])).await;
    assert_eq!(waiting[0]["status"], "pending");

    let again = format!("{path}/deliveries/{}/redeliver", waiting[0]["id"].as_str().unwrap());
    let page = browser.get(&path).await;
    assert!(page.has(&format!("action=\"{again}\"")), "{page:?}");
    let page = browser.submit(&again, &[("once", &page.hidden("once"))]).await;
    assert!(page.has("The deliveries are queued again."), "{page:?}");
    receiver.received_when(2).await;
    world.deliveries_when(&hook, |sent| sent[0]["status"] == "succeeded").await;
    world.end().await;
}

#[tokio::test]
async fn a_disabled_endpoint_is_enabled_and_gets_what_has_failed() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[Reply::Status(410)]).await;
    let hook = world.hook_at(&receiver).await;
    let (browser, path) = (world.operator().await, format!("/console/webhooks/{hook}"));
    world.command("pause", &pause()).await;
    let page = page_with(&browser, &path, ">Disabled<").await;
    assert!(page.has("410") && page.has(">Enable</button>") && !page.has("Send again</button>"), "{page:?}");
    assert!(browser.get("/console/webhooks").await.has(">Disabled<"));

    // A form from before it was disabled.
    let page = browser.post(&format!("{path}/test"), &[("once", "early")]).await;
    assert!(page.status == 409 && page.has("role=\"alert\"") && page.has("the endpoint is disabled"), "{page:?}");
    assert!(page.has(&receiver.url), "{page:?}");

    let once = page.hidden("once");
    assert!(browser.submit(&format!("{path}/enable"), &[("once", &once)]).await.has("The endpoint is enabled."));
    let failed = format!("{path}/redeliver-failed");
    let page = browser.post(&failed, &[("once", "wrong"), ("since", "soon")]).await;
    assert!(page.status == 422 && page.has("role=\"alert\""), "{page:?}");
    let page = browser.get(&path).await;
    let (_, rest) = page.html.split_once("<option value=\"").unwrap();
    let since = rest.split('"').next().unwrap();
    let page = browser.submit(&failed, &[("once", &page.hidden("once")), ("since", since)]).await;
    assert!(page.has("The deliveries are queued again."), "{page:?}");
    receiver.received_when(2).await;
    world.deliveries_when(&hook, |sent| sent[0]["status"] == "succeeded").await;
    let page = browser.submit(&failed, &[("once", "none"), ("since", since)]).await;
    assert!(page.has("No delivery has failed since then."), "{page:?}");
    world.end().await;
}

#[tokio::test]
async fn a_new_secret_is_shown_once() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook_at(&receiver).await;
    let (browser, path) = (world.operator().await, format!("/console/webhooks/{hook}"));
    let rotate = format!("{path}/rotate-secret");
    let once = world.once(&browser, &path).await;
    let page = browser.post(&rotate, &[("once", &once)]).await;
    assert!(page.status == 200 && page.has("whsec_"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let page = browser.post(&rotate, &[("once", &once)]).await;
    assert!(page.status == 200 && page.has("This form was sent before.") && !page.has("whsec_"), "{page:?}");
    assert!(!browser.get(&path).await.has("whsec_"));
    let entries = world.get("/v1/audit?action=webhook.secret_rotated").await;
    assert_eq!(entries["data"].as_array().unwrap().len(), 1, "{entries}");
    world.end().await;
}

#[tokio::test]
async fn scopes_decide_which_buttons_exist_and_the_service_refuses_their_requests_too() {
    let world = World::of_webhooks(&[]).await;
    let receiver = Receiver::start(&[]).await;
    let hook = world.hook_at(&receiver).await;
    let path = format!("/console/webhooks/{hook}");
    world.operator().await.submit(&format!("{path}/test"), &[("once", "first")]).await;
    let sent = world.deliveries_when(&hook, |sent| sent.iter().any(|sent| sent["status"] == "succeeded")).await;

    let key = create_key(&world.database, &["webhooks:read"]).await;
    let reader = Browser::signed_in(&world.service.base_url, &key).await;
    let page = reader.get(&path).await;
    assert!(page.status == 200 && page.has(">webhook.test<") && !page.has("name=\"once\""), "{page:?}");
    let delivery = sent[0]["id"].as_str().unwrap();
    for action in ["test", "enable", "rotate-secret", "redeliver-failed", &format!("deliveries/{delivery}/redeliver")] {
        let form = [("once", "one"), ("since", "2026-01-01T00:00:00Z")];
        let page = reader.post(&format!("{path}/{action}"), &form).await;
        assert!(page.status == 403 && page.has("webhooks:write"), "{action}: {page:?}");
    }
    assert_eq!(receiver.received().len(), 1);

    let key = create_key(&world.database, &["audit:read"]).await;
    let other = Browser::signed_in(&world.service.base_url, &key).await;
    for address in ["/console/webhooks", &path, "/console/fragments/webhooks"] {
        let page = other.get(address).await;
        assert!(page.status == 403 && !page.has(&receiver.url), "{page:?}");
    }
    world.end().await;
}
