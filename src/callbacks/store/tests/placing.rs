use jiff::civil::date;

use super::*;
use crate::placement::{Count, DayTotal, HourPlaces, PlanVersion, PlannedPlaces};
use crate::types::TimeZone;

const UNTIL: SignedDuration = SignedDuration::from_hours(1);

fn campaign() -> CampaignId {
    accepted(0).campaign_id
}

/// A plan with places for windows from 15:00 to 17:00, in both hours.
async fn plan(store: &CallbackStore, first: f64, second: f64) {
    let due = store.claim_plan(now(), now() + UNTIL).await.unwrap().unwrap();
    let places = [("15:00:00", first), ("16:00:00", second)].map(|(hour, places)| PlannedPlaces {
        first_hour: at("15:00:00"),
        hours: 2,
        hour: at(hour),
        places,
    });
    let new = NewPlan { places: &places, forecast: "1", planned_at: now(), valid_until: now() + UNTIL };
    store.replace_plan(&due, &new).await.unwrap();
}

/// Inserts callbacks, and places the first of them: from then on, the campaign is planned.
async fn placed_first(pool: &PgPool, count: u16) -> Vec<Callback> {
    let store = store(pool);
    insert(&store, &(0..count).map(accepted).collect::<Vec<_>>()).await;
    let mut claimed = store.claim(now(), now() + LEASE, ANY, count.into()).await.unwrap();
    assert!(store.place(&mut claimed[0], &[at("15:00:00")], |_, _| Some(decided(at("15:00:00")))).await.unwrap());
    claimed
}

/// Places a callback in an hour with a place for it, if there is one.
async fn place(store: &CallbackStore, callback: &mut Callback) -> (Option<PlanVersion>, Vec<HourPlaces>) {
    let hours = [at("15:00:00"), at("16:00:00")];
    let mut known = None;
    let placed = store.place(callback, &hours, |plan, places| {
        known = Some((plan, places.to_vec()));
        let hour = if places[0].own > 0.0 { hours[0] } else { hours[1] };
        let inputs = Inputs::without_forecast(&hours, &[], now()).with_places(plan, places);
        Some(Decision { inputs, choice: Choice { hour, dispatch_time: hour, reason: Reason::PlannedPlace } })
    });
    assert!(placed.await.unwrap());
    known.unwrap()
}

/// On the day on which the clock is set forward, two local hours begin at the same time.
#[sqlx::test]
async fn places_for_the_same_hour_and_window_are_added(pool: PgPool) {
    let mut claimed = placed_first(&pool, 2).await;
    let store = store(&pool);
    let due = store.claim_plan(now(), now() + UNTIL).await.unwrap().unwrap();
    let of = |places| PlannedPlaces { first_hour: at("15:00:00"), hours: 2, hour: at("15:00:00"), places };
    let new = NewPlan { places: &[of(1.5), of(2.0)], forecast: "1", planned_at: now(), valid_until: now() + UNTIL };
    store.replace_plan(&due, &new).await.unwrap();
    let own = place(&store, &mut claimed[1]).await.1.into_iter().map(|places| places.own);
    assert_eq!(own.collect::<Vec<_>>(), [3.5, 0.0]);
}

/// Each replica has a store of its own.
#[sqlx::test]
async fn concurrent_placements_spend_each_planned_place_once(pool: PgPool) {
    let mut claimed = placed_first(&pool, 9).await;
    plan(&store(&pool), 3.0, 10.0).await;
    let placements = claimed.iter_mut().skip(1).map(|callback| {
        let store = store(&pool);
        async move { place(&store, callback).await.1[0].own }
    });
    let mut left = futures::future::join_all(placements).await;
    left.sort_by(f64::total_cmp);
    assert_eq!(left, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
}

#[sqlx::test]
async fn a_plan_counts_while_it_is_valid_and_what_decided_is_stored(pool: PgPool) {
    let store = store(&pool);
    let mut claimed = placed_first(&pool, 4).await;
    assert_eq!(place(&store, &mut claimed[1]).await.0, None);
    plan(&store, 0.4, 2.0).await;
    let (plan, places) = place(&store, &mut claimed[2]).await;
    assert_eq!(plan, Some(PlanVersion { version: 1, planned_at: now() }));
    assert_eq!(places[0], HourPlaces { placed: 1, planned: 0.4, own: 0.4 });
    let stored = store.placement(claimed[2].id).await.unwrap().unwrap();
    assert_eq!((stored.decided_at, stored.decision.choice.hour), (now(), at("15:00:00")));
    assert_eq!(stored.decision.inputs.hours[1].own.to_string(), "2");
    claimed[3].updated_at = now() + UNTIL;
    let (plan, places) = place(&store, &mut claimed[3]).await;
    assert_eq!((plan, places[1].planned.to_string().as_str()), (None, "0"));
}

#[sqlx::test]
async fn of_two_plans_by_the_same_version_one_is_kept(pool: PgPool) {
    let store = store(&pool);
    placed_first(&pool, 1).await;
    let due = store.claim_plan(now(), now() + UNTIL).await.unwrap().unwrap();
    assert!(store.claim_plan(now(), now() + UNTIL).await.unwrap().is_none());
    let later = now() + UNTIL;
    for planned_at in [now(), later] {
        let new = NewPlan { places: &[], forecast: "1", planned_at, valid_until: later };
        store.replace_plan(&due, &new).await.unwrap();
    }
    store.plan_again(&due, now() + UNTIL, later).await.unwrap();
    assert!(store.claim_plan(later - LEASE, later).await.unwrap().is_none());
    assert_eq!(store.claim_plan(later, later).await.unwrap().unwrap().version, 1);
}

#[sqlx::test]
async fn a_hundred_placements_make_a_plan_due(pool: PgPool) {
    let store = store(&pool);
    let mut claimed = placed_first(&pool, 2).await;
    store.claim_plan(now(), now() + UNTIL).await.unwrap().unwrap();
    sqlx::query("update placement_plans set placements = 98").execute(&pool).await.unwrap();
    place(&store, &mut claimed[1]).await;
    assert!(store.claim_plan(now(), now() + UNTIL).await.unwrap().is_none());
    place(&store, &mut claimed[1]).await;
    assert!(store.claim_plan(now(), now() + UNTIL).await.unwrap().is_some());
}

#[sqlx::test]
async fn requests_are_counted_once_by_window_and_lead_time(pool: PgPool) {
    let store = store(&pool);
    placed_first(&pool, 3).await;
    let zone = TimeZone::parse("America/New_York").unwrap();
    store.reset_demand(&campaign(), &zone).await.unwrap();
    let until = now() + SignedDuration::from_secs(1);
    for counted_until in [None, None, Some(until)] {
        store.count_demand(&campaign(), counted_until, until + UNTIL, &zone).await.unwrap();
    }
    let day = date(2026, 11, 20);
    assert_eq!(store.demand_by_day(&campaign()).await.unwrap(), [DayTotal { day, requests: 3 }]);
    let counts = store.average_demand(&campaign(), &[(day, 0.5), (day.tomorrow().unwrap(), 0.5)]).await.unwrap();
    assert_eq!(counts, [Count { hour: 10, hours: 2, lead: 1, requests: 1.5 }]);
}
