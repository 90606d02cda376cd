//! Traces that are exported by OTLP.

use crate::support::{Collector, ENCRYPTION_KEY, Receiver, Service, World, payload};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_callback_is_one_trace_from_the_post_to_cxone_and_the_webhook_on_another_replica() {
    let (collector, receiver) = (Collector::start().await, Receiver::start(&[]).await);
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let mut world = World::of_webhooks(&settings).await;
    world.hook_at(&receiver).await;
    world.cxone.gateway("*", 503).await;
    let traceparent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    let headers = [("prefer", "respond-async"), ("traceparent", traceparent.as_str())];
    let (status, callback) = world.ask_with(&payload(), &headers).await;
    assert_eq!(status, 202, "{callback}");
    let id = callback["id"].as_str().unwrap();
    world.callback_when(id, |callback| !callback["failure"].is_null()).await;

    let own = [("WEBHOOKS_ALLOW_LOOPBACK", "true"), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
    let second = Service::start(&world.database, &world.cxone, &[&own[..], &settings].concat()).await;
    let first = std::mem::replace(&mut world.service, second);
    assert!(first.terminate().await.success());
    world.cxone.heal().await;
    world.settled_soon(id).await;

    let post = collector.span("POST /v1/callbacks", CALLER_SPAN).await;
    let hook = collector.span("webhook", &attempt_of(&collector, &post.id, "webhook").await).await;
    let attempt = collector.spans().into_iter().find(|span| span.id == hook.parent).unwrap();
    for name in if crate::harness::is_nice() { vec![] } else { vec!["create_contact", "send_sms"] } {
        let parent = attempt_of(&collector, &post.id, name).await;
        assert_eq!(collector.span(name, &parent).await.trace, TRACE);
    }
    assert!(collector.spans().iter().any(|span| span.name == "attempt" && span.instance != post.instance));
    assert_eq!([&post.trace, &attempt.trace, &hook.trace], [TRACE; 3]);
    let sent = receiver.received_when(1).await;
    assert!(sent.iter().any(|sent| sent.headers["traceparent"].contains(TRACE)), "{sent:?}");
    let has = |name: &str, value: &str| post.attributes.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("http.route", "/v1/callbacks") && has("http.response.status_code", "202"), "{post:?}");
    let exported = format!("{:?}", collector.spans());
    assert!(!exported.contains("2025550198") && !exported.contains("Bearer"), "{exported}");
    world.end().await;
}

/// The id of the attempt below a span that has a span with this name below it.
async fn attempt_of(collector: &Collector, post: &str, name: &str) -> String {
    crate::support::eventually(&format!("an attempt with {name}"), async || {
        let spans = collector.spans();
        let attempts = spans.iter().filter(|span| span.name == "attempt" && span.parent == post);
        let has_child = |id: &str| spans.iter().any(|span| span.name == name && span.parent == id);
        attempts.map(|attempt| attempt.id.clone()).find(|id| has_child(id)).ok_or_else(|| format!("{spans:#?}"))
    })
    .await
}
