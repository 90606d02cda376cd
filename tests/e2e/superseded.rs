//! A change of a campaign is verified once more immediately before it is sent.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::Method;
use ringback::cxone::{CampaignState, Class, Cxone as Client, CxoneError, DialerCampaign, RequestContext, StillWanted};
use ringback::trace::Traceparent;
use ringback::types::CampaignId;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Cxone, DIALING, Database, client_of, eventually};

/// Pauses the dialing campaign, where that is still wanted.
async fn pause(client: &Client, still_wanted: &dyn StillWanted) -> Result<DialerCampaign, CxoneError> {
    let (id, trace) = (CampaignId::parse(DIALING).unwrap(), Traceparent::root(Uuid::now_v7()));
    let context = RequestContext { class: Class::Control, trace: &trace };
    let read = client.read_campaign(&id, context).await?;
    client.update_campaign(&id, &DialerCampaign { state: CampaignState::Paused, ..read }, context, still_wanted).await
}

#[tokio::test]
async fn a_change_that_is_no_longer_wanted_is_not_sent() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let client = client_of(&cxone, &database, 1000).await;
    let superseded = Err(CxoneError::Superseded);

    assert_eq!(pause(&client, &async || false).await, superseded);
    assert_eq!(cxone.count("campaignUpdate").await, 0);

    // After a 401 it is asked again, when the new token is there.
    cxone.fault(json!({"route": "campaignUpdate", "kind": "status", "status": 401, "times": 1})).await;
    let tokens = Mutex::new(Vec::new());
    let until_the_second = async || {
        let fetched = cxone.count("token").await;
        tokens.lock().unwrap().push(fetched);
        fetched < 2
    };
    assert_eq!(pause(&client, &until_the_second).await, superseded);
    assert_eq!(*tokens.lock().unwrap(), [1, 2]);
    assert_eq!(cxone.count("campaignUpdate").await, 1, "the one that was refused");

    assert_eq!(cxone.campaign(DIALING).await["state"], "ACTIVE");
    assert_eq!(pause(&client, &async || true).await.unwrap().state, CampaignState::Paused);
    drop(client);
    database.drop().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_verified_in_time_is_not_sent() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let client = client_of(&cxone, &database, 1000).await;

    let paused = tokio::time::timeout(Duration::from_secs(10), pause(&client, &std::future::pending::<bool>)).await;

    assert!(matches!(paused, Ok(Err(CxoneError::Unavailable { .. }))), "{paused:?}");
    assert_eq!(cxone.count("campaignUpdate").await, 0);
    drop(client);
    database.drop().await;
}

#[tokio::test]
async fn a_change_that_is_no_longer_wanted_uses_up_no_probe() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let client = client_of(&cxone, &database, 1000).await;
    let fault = json!({"route": "campaignUpdate", "kind": "status", "status": 500});
    cxone.fault(fault).await;
    let (id, trace) = (CampaignId::parse(DIALING).unwrap(), Traceparent::root(Uuid::now_v7()));
    let context = RequestContext { class: Class::Control, trace: &trace };
    let wanted = client.read_campaign(&id, context).await.unwrap();
    let update =
        async |still_wanted: &dyn StillWanted| client.update_campaign(&id, &wanted, context, still_wanted).await;
    for _ in 0..5 {
        assert!(matches!(update(&async || true).await, Err(CxoneError::ServerError { .. })));
    }
    assert!(matches!(update(&async || true).await, Err(CxoneError::Unavailable { .. })), "it counts as down");
    cxone.control(Method::DELETE, "faults", None).await;

    eventually("the time for a probe", async || match update(&async || false).await {
        Err(CxoneError::Superseded) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    assert!(update(&async || true).await.is_ok(), "the probe was not used up");
    drop(client);
    database.drop().await;
}
