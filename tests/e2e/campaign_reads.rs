//! Clients that look at campaigns: what that costs of CXone's quota.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use ringback::cxone::{Class, Endpoint, RequestContext};
use ringback::trace::Traceparent;
use ringback::types::CampaignId;
use serde_json::json;
use strum::VariantArray as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    Answer, Cxone, DIALING, Database, World, client_of, create_key, eventually, instant, pause, payload_from,
    received_at,
};

const SCOPES: [&str; 5] = ["callbacks:write", "callbacks:read", "campaigns:write", "campaigns:read", "audit:read"];

/// Clients that look at campaigns as fast as they can.
struct Polling {
    answers: Arc<AtomicUsize>,
    stop: CancellationToken,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Polling {
    /// The first of the campaigns is known to the service, the others are not.
    fn start(world: &World, campaigns: &[String]) -> Self {
        let (answers, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let clients = (0..4).map(|_| {
            let look = |id: &String| world.request(Method::GET, &format!("/v1/campaigns/{id}"));
            let looks: Vec<_> = campaigns.iter().map(look).collect();
            let (answers, stop) = (Arc::clone(&answers), stop.clone());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    for (n, look) in looks.iter().enumerate() {
                        let answer = Answer::to(look.try_clone().unwrap()).await;
                        answers.fetch_add(1, Ordering::Relaxed);
                        check(&answer, n == 0);
                    }
                }
            })
        });
        let clients = clients.collect();
        Self { answers, stop, clients }
    }

    async fn stop(self) -> usize {
        self.stop.cancel();
        for client in self.clients {
            client.await.unwrap();
        }
        self.answers.load(Ordering::Relaxed)
    }
}

/// A known campaign is always shown; any other, unless CXone cannot be asked.
fn check(answer: &Answer, is_known: bool) {
    if answer.status == 503 && !is_known {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        return;
    }
    assert_eq!((answer.status, &answer.body["state"]), (200, &json!("ACTIVE")), "{answer:?}");
    instant(&answer.body["stateSeenAt"]);
}

#[tokio::test]
async fn a_client_that_polls_campaigns_does_not_reduce_callback_throughput() {
    let mut world = World::with(&[("CXONE_REQUESTS_PER_MINUTE", "100")]).await;
    world.key = create_key(&world.database, &SCOPES).await;
    for (verb, body) in [("pause", pause()), ("resume", json!({}))] {
        let (status, answer) = world.command(verb, &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let mut campaigns = vec![DIALING.to_owned()];
    campaigns.extend((0..100).map(|n| format!("polled-{n}")));
    campaigns.iter().skip(1).for_each(|id| world.cxone.add_campaign(id));
    let from = Timestamp::now();
    let polling = Polling::start(&world, &campaigns);
    let reads = async || {
        let received = world.cxone.received("campaignRead").await;
        received.iter().map(received_at).filter(|at| *at >= from).collect::<Vec<_>>()
    };
    eventually("a share that is used up", async || match reads().await.len() {
        reads if reads >= 5 => Ok(()),
        reads => Err(format!("{reads} reads")),
    })
    .await;

    for n in 0..20 {
        world.accept(&payload_from(n)).await;
    }
    world.all_settled().await;

    let took = Timestamp::now().duration_since(from);
    let answers = polling.stop().await;
    world.assert_each_done_once(20).await;
    assert!(took < SignedDuration::from_secs(55), "the callbacks took {took:#}");
    let reads = reads().await;
    assert!(
        reads.windows(11).all(|many| many[10].duration_since(many[0]) >= SignedDuration::from_mins(1)),
        "{reads:?}"
    );
    assert!(answers > 100, "{answers} looks");
    world.end().await;
}

#[tokio::test]
async fn concurrent_reads_of_a_campaign_are_one_request() {
    let world = World::of_campaigns(&[]).await;
    let mut reads = 0;
    for (id, status) in [(DIALING, 200), ("unknown", 404)] {
        world.cxone.fault(json!({"route": "campaignRead", "kind": "latency", "latencyMs": 500, "times": 1})).await;

        let path = format!("/v1/campaigns/{id}");
        let answers = join_all((0..50).map(|_| Answer::to(world.request(Method::GET, &path)))).await;

        assert!(answers.iter().all(|answer| answer.status == status), "{answers:?}");
        reads += 1;
        assert_eq!(world.cxone.count("campaignRead").await, reads, "{id}");
    }
    // What was read is not shown for long.
    world.cxone.change_campaign(DIALING, json!({"state": "PAUSED"})).await;
    eventually("the new state", async || {
        let campaign = world.get(&format!("/v1/campaigns/{DIALING}")).await;
        if campaign["state"] == "PAUSED" { Ok(()) } else { Err(campaign.to_string()) }
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn recent_latency_is_measured_for_each_endpoint() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let client = client_of(&cxone, &database, 1000).await;
    let (id, trace) = (CampaignId::parse(DIALING).unwrap(), Traceparent::root(Uuid::now_v7()));
    let slowest = |endpoint| client.slowest_recent(endpoint);
    assert!(Endpoint::VARIANTS.iter().all(|endpoint| slowest(*endpoint).is_zero()));
    for (route, milliseconds) in [("token", 300), ("campaignRead", 600)] {
        cxone.fault(json!({"route": route, "kind": "latency", "latencyMs": milliseconds, "times": 1})).await;
    }
    let read = async || client.read_campaign(&id, RequestContext { class: Class::Control, trace: &trace }).await;

    assert!(read().await.is_ok());
    assert!(read().await.is_ok(), "a fast one");

    assert!(slowest(Endpoint::Token) >= Duration::from_millis(300), "{:?}", slowest(Endpoint::Token));
    assert!(slowest(Endpoint::Campaigns) >= Duration::from_millis(600), "{:?}", slowest(Endpoint::Campaigns));
    assert_eq!(slowest(Endpoint::Contacts), Duration::ZERO);

    // One that is given up counts for as long as it was out.
    cxone.fault(json!({"route": "campaignRead", "kind": "latency", "latencyMs": 9000, "times": 1})).await;
    assert!(tokio::time::timeout(Duration::from_millis(1500), read()).await.is_err());
    assert!(slowest(Endpoint::Campaigns) >= Duration::from_secs(1), "{:?}", slowest(Endpoint::Campaigns));
    drop(client);
    database.drop().await;
}
