//! Tests of the counters of one replica.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::campaigns::answer_rate::window::Bucket;
use crate::campaigns::model::AnswerRateSource;

const FEW: Counts = Counts { attempts: 60, answers: 0 };
const LOW: Counts = Counts { attempts: 100, answers: 0 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn id(name: &str) -> CampaignId {
    CampaignId::parse(name).unwrap()
}

fn guard() -> AnswerRateGuard {
    AnswerRateGuard {
        enabled: true,
        window_ms: 60_000,
        min_answer_rate: 0.35,
        min_attempts: 100,
        pause_for_ms: 1_000,
        source: AnswerRateSource::Events,
    }
}

fn started_at(counted_from: Timestamp) -> GuardState {
    GuardState { guard: Some(guard()), counted_from, is_throttled: false }
}

fn shared(state: GuardState, buckets: &[Bucket]) -> SharedCounts {
    SharedCounts { state, buckets: buckets.to_vec() }
}

fn sample(at: Timestamp, counts: Counts) -> [DialerSample; 1] {
    [DialerSample { at, counts }]
}

/// Counters that monitor the campaign `c`, which was started at 0.
fn counters() -> Counters {
    let mut counters = Counters::default();
    counters.add_campaign(&id("c"), shared(started_at(at(0)), &[]), at(0)).unwrap();
    counters
}

fn refresh(counters: &mut Counters, shared_counts: SharedCounts, now: Timestamp) -> Refreshed {
    counters.refresh(HashMap::from([(id("c"), shared_counts)]), now)
}

fn counted(counters: &mut Counters, now: Timestamp) -> u64 {
    counters.counts(now).iter().map(|(_, counts)| counts.attempts).sum()
}

#[test]
fn events_from_before_a_known_start_do_not_count() {
    let mut counters = counters();
    counters.record(&id("c"), &sample(at(10), FEW), at(10));
    let shared_before = counters.take_unshared();
    counters.record(&id("c"), &sample(at(20), FEW), at(20));
    assert_eq!(counted(&mut counters, at(20)), 120);

    // The start is read together with the counts that were shared since then.
    let refreshed = refresh(&mut counters, shared(started_at(at(30)), &[]), at(40));
    assert_eq!((refreshed, counted(&mut counters, at(40))), (Refreshed::default(), 0));
    counters.record(&id("c"), &sample(at(29), FEW), at(50));
    assert_eq!(counted(&mut counters, at(50)), 0, "the event is older than the start");
    counters.record(&id("c"), &sample(at(50), FEW), at(50));
    assert_eq!(counted(&mut counters, at(50)), 60);

    let starts = |taken: &[BucketUpdate]| taken.iter().map(|update| update.state.counted_from).collect::<Vec<_>>();
    assert_eq!((starts(&shared_before), starts(&counters.take_unshared())), (vec![at(0)], vec![at(30)]));
}

#[test]
fn counts_that_are_being_shared_count_once() {
    let mut counters = counters();
    counters.record(&id("c"), &sample(at(10), FEW), at(10));
    let taken = counters.take_unshared();
    assert_eq!((taken.len(), counted(&mut counters, at(20))), (1, 60));
    assert!(counters.take_unshared().is_empty());
    let buckets: Vec<Bucket> = taken.into_iter().map(|update| update.bucket).collect();
    refresh(&mut counters, shared(started_at(at(0)), &buckets), at(30));
    assert_eq!(counted(&mut counters, at(30)), 60);
}

#[test]
fn the_guard_does_not_trip_while_a_hold_is_being_placed_or_in_place() {
    let mut counters = counters();
    counters.record(&id("c"), &sample(at(10), LOW), at(10));
    let buckets: Vec<Bucket> = counters.take_unshared().into_iter().map(|update| update.bucket).collect();
    let low = shared(started_at(at(0)), &buckets);
    let throttled = shared(GuardState { is_throttled: true, ..started_at(at(0)) }, &buckets);
    let trips = |counters: &mut Counters, shared_counts: &SharedCounts, ms| {
        let trips = refresh(counters, shared_counts.clone(), at(ms)).trips;
        trips.len()
    };

    assert_eq!(trips(&mut counters, &low, 20), 1);
    assert_eq!(trips(&mut counters, &low, 30), 0, "the hold is being placed");
    // Another replica has placed the hold.
    counters.placement_finished(&id("c"), Duration::ZERO, at(40));
    assert_eq!(trips(&mut counters, &throttled, 50), 0);
    assert_eq!(trips(&mut counters, &low, 60), 1, "the hold was lifted");
    counters.placement_finished(&id("c"), Duration::from_mins(1), at(70));
    assert_eq!(trips(&mut counters, &low, 1_000), 0);
    assert_eq!(trips(&mut counters, &low, -60_500), 1, "the clock was set back");
    // A start of the campaign enables the guard again.
    counters.placement_finished(&id("c"), Duration::from_mins(1), at(100));
    let mut restarted = low.clone();
    restarted.state.counted_from = at(1_000);
    assert_eq!((trips(&mut counters, &low, 1_000), trips(&mut counters, &restarted, 1_010)), (0, 1));
}

#[test]
fn campaigns_without_a_guard_use_bounded_memory_and_are_read_once_a_second() {
    let mut counters = Counters::default();
    for number in 0..20_000 {
        let id = id(&format!("invented-{number}"));
        assert!(!counters.record(&id, &sample(at(0), LOW), at(0)));
        counters.add_campaign(&id, SharedCounts::default(), at(0)).unwrap();
        assert!(counters.record(&id, &sample(at(0), LOW), at(0)), "dropped without reading the settings");
        assert!(counters.unmonitored.len() <= MAX_UNMONITORED);
    }
    let (last, later) = (id("invented-19999"), at(1_000));
    assert!(counters.take_unshared().is_empty() && counters.counts(at(0)).is_empty() && counters.ids().is_empty());
    assert!(!counters.record(&last, &[], later), "the settings may have changed");
    counters.add_campaign(&last, shared(started_at(at(0)), &[]), later).unwrap();
    assert!(counters.record(&last, &sample(later, LOW), later));
    assert_eq!(counted(&mut counters, later), 100);
}

#[test]
fn a_campaign_is_removed_when_its_settings_lose_the_guard_or_its_window_is_empty() {
    let mut counters = counters();
    let off = GuardState { guard: Some(AnswerRateGuard { enabled: false, ..guard() }), ..started_at(at(0)) };
    counters.record(&id("c"), &sample(at(10), LOW), at(10));
    refresh(&mut counters, shared(off, &[]), at(20));
    assert_eq!(counted(&mut counters, at(20)), 100, "a disabled guard does not stop the counting");
    let refreshed = refresh(&mut counters, SharedCounts::default(), at(30));
    assert_eq!((refreshed.unmonitored, counters.counts(at(30))), (vec![id("c")], vec![]));

    counters.add_campaign(&id("c"), shared(started_at(at(0)), &[]), at(30)).unwrap();
    refresh(&mut counters, shared(started_at(at(0)), &[]), at(61_000));
    assert_eq!(counters.ids(), [id("c")]);
    refresh(&mut counters, shared(started_at(at(0)), &[]), at(61_031));
    assert!(counters.ids().is_empty());
}

#[test]
fn only_campaigns_with_a_guard_count_towards_the_limit() {
    let mut counters = Counters::default();
    for number in 0..MAX_MONITORED {
        counters.add_campaign(&id(&format!("c-{number}")), shared(started_at(at(0)), &[]), at(0)).unwrap();
        counters.add_campaign(&id(&format!("n-{number}")), SharedCounts::default(), at(0)).unwrap();
    }
    let added = counters.add_campaign(&id("more"), shared(started_at(at(0)), &[]), at(0));
    assert_eq!(added, Err(TooManyCampaigns));
    assert_eq!(counters.add_campaign(&id("c-1"), shared(started_at(at(0)), &[]), at(0)), Ok(()));
}

proptest! {
    /// For any order of events, shares and starts: every event since the last known start counts exactly once, and no
    /// other event counts.
    #[test]
    fn every_event_since_the_last_known_start_counts_once(
        traffic in prop::collection::vec((0i64..300, 0u8..8), 1..200),
    ) {
        let (mut counters, mut now, mut started) = (counters(), 0, at(0));
        // The updates in Postgres, and the events since the last start that the replica knows.
        let (mut stored, mut expected): (Vec<BucketUpdate>, u64) = (Vec::new(), 0);
        let mut known = started;
        for (pause, what) in traffic {
            now += pause;
            let now = at(now);
            match what {
                0 => started = now.max(started + SignedDuration::from_millis(1)),
                1 => stored.extend(counters.take_unshared()),
                2 => {
                    let current = stored.iter().filter(|update| update.state.counted_from == started);
                    let buckets: Vec<Bucket> = current.map(|update| update.bucket).collect();
                    refresh(&mut counters, shared(GuardState { is_throttled: true, ..started_at(started) }, &buckets), now);
                    if started != known {
                        (known, expected) = (started, 0);
                    }
                }
                _ => {
                    counters.record(&id("c"), &sample(now, Counts { attempts: 1, answers: 0 }), now);
                    expected += u64::from(now >= known);
                }
            }
            prop_assert_eq!(counted(&mut counters, now), expected);
        }
    }
}
