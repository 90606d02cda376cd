//! How deliveries ended, in numbers.

use super::*;
use crate::types::{AllowedCampaigns, CampaignId, Interval};
use crate::webhooks::store::DeliveryCounts;

#[sqlx::test]
async fn deliveries_are_counted_by_status_for_the_events_of_the_span_and_the_campaigns(pool: PgPool) {
    let mut world = World::new(pool);
    world.endpoint(None).await;
    let second = world.endpoint(None).await;
    for campaign in ["a", "b"] {
        world.publish(Action::CampaignPaused, campaign).await;
    }
    for verdict in [Verdict::Succeeded, Verdict::Succeeded, Verdict::Dead] {
        let claimed = world.claim().await.unwrap();
        assert!(world.settle(&claimed, verdict).await);
    }
    let span = Interval { start: world.now, end: world.now + Duration::from_secs(1) };
    world.now = span.end;
    world.publish(Action::CampaignResumed, "a").await;
    let of = async |campaigns: AllowedCampaigns| world.store.delivery_counts(&campaigns, span).await.unwrap();

    let all = of(AllowedCampaigns::all()).await;
    let (a, b) = (
        of(AllowedCampaigns::only(CampaignId::parse("a"))).await,
        of(AllowedCampaigns::only(CampaignId::parse("b"))).await,
    );

    assert_eq!(all, DeliveryCounts { succeeded: 2, dead: 1, pending: 1 });
    assert_eq!([a, b].map(|counts| counts.succeeded + counts.dead + counts.pending), [2, 2]);
    assert_eq!(of(AllowedCampaigns::only(CampaignId::parse("c"))).await, DeliveryCounts::default());
    assert_eq!(world.deliveries(second, None).await.len(), 3);
}
