//! What one replica counts, tested.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const FEW: Counts = Counts { attempts: 60, answers: 0 };
const LOW: Counts = Counts { attempts: 100, answers: 0 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn id(name: &str) -> CampaignId {
    CampaignId::parse(name).unwrap()
}

fn guard() -> Guard {
    Guard { enabled: true, window_ms: 60_000, min_answer_rate: 0.35, min_attempts: 100, pause_for_ms: 1_000 }
}

fn watching(epoch: Timestamp) -> Watching {
    Watching { guard: Some(guard()), epoch, is_throttled: false }
}

/// What all have shared: these steps of it.
fn shared(watching: Watching, steps: &[Step]) -> Shared {
    Shared { watching, steps: steps.to_vec() }
}

fn happening(at: Timestamp, counts: Counts) -> [Happening; 1] {
    [Happening { at, counts }]
}

/// One that watches the campaign `c`, started at 0.
fn watchlist() -> Watchlist {
    let mut watchlist = Watchlist::default();
    watchlist.meet(&id("c"), shared(watching(at(0)), &[]), at(0)).unwrap();
    watchlist
}

fn refresh(watchlist: &mut Watchlist, found: Shared, now: Timestamp) -> Refreshed {
    watchlist.refresh(HashMap::from([(id("c"), found)]), now)
}

fn counted(watchlist: &mut Watchlist, now: Timestamp) -> u64 {
    watchlist.figures(now).iter().map(|(_, counts)| counts.attempts).sum()
}

#[test]
fn nothing_of_before_a_start_counts_once_the_start_is_known() {
    let mut watchlist = watchlist();
    watchlist.count(&id("c"), &happening(at(10), FEW), at(10));
    let shared_before = watchlist.take_fresh();
    watchlist.count(&id("c"), &happening(at(20), FEW), at(20));
    assert_eq!(counted(&mut watchlist, at(20)), 120);

    // The start is found with what was shared since then.
    let refreshed = refresh(&mut watchlist, shared(watching(at(30)), &[]), at(40));
    assert_eq!((refreshed, counted(&mut watchlist, at(40))), (Refreshed::default(), 0));
    watchlist.count(&id("c"), &happening(at(29), FEW), at(50));
    assert_eq!(counted(&mut watchlist, at(50)), 0, "an event from before it");
    watchlist.count(&id("c"), &happening(at(50), FEW), at(50));
    assert_eq!(counted(&mut watchlist, at(50)), 60);

    let epochs = |taken: &[Addition]| taken.iter().map(|(_, watching, _)| watching.epoch).collect::<Vec<_>>();
    assert_eq!((epochs(&shared_before), epochs(&watchlist.take_fresh())), (vec![at(0)], vec![at(30)]));
}

#[test]
fn what_is_being_shared_counts_once() {
    let mut watchlist = watchlist();
    watchlist.count(&id("c"), &happening(at(10), FEW), at(10));
    let taken = watchlist.take_fresh();
    assert_eq!((taken.len(), counted(&mut watchlist, at(20))), (1, 60));
    assert!(watchlist.take_fresh().is_empty());
    let steps: Vec<Step> = taken.into_iter().map(|(_, _, step)| step).collect();
    refresh(&mut watchlist, shared(watching(at(0)), &steps), at(30));
    assert_eq!(counted(&mut watchlist, at(30)), 60);
}

#[test]
fn the_guard_is_quiet_only_while_a_hold_is_being_placed_or_is_there() {
    let mut watchlist = watchlist();
    watchlist.count(&id("c"), &happening(at(10), LOW), at(10));
    let steps: Vec<Step> = watchlist.take_fresh().into_iter().map(|(_, _, step)| step).collect();
    let low = shared(watching(at(0)), &steps);
    let throttled = shared(Watching { is_throttled: true, ..watching(at(0)) }, &steps);
    let trips = |watchlist: &mut Watchlist, found: &Shared, ms| {
        let trips = refresh(watchlist, found.clone(), at(ms)).trips;
        trips.len()
    };

    assert_eq!(trips(&mut watchlist, &low, 20), 1);
    assert_eq!(trips(&mut watchlist, &low, 30), 0, "it is being placed");
    // Another replica has placed it.
    watchlist.placed(&id("c"), Duration::ZERO, at(40));
    assert_eq!(trips(&mut watchlist, &throttled, 50), 0);
    assert_eq!(trips(&mut watchlist, &low, 60), 1, "it was lifted");
    watchlist.placed(&id("c"), Duration::from_secs(60), at(70));
    assert_eq!(trips(&mut watchlist, &low, 1_000), 0);
    assert_eq!(trips(&mut watchlist, &low, -60_500), 1, "the clock was set back");
    // A start ends the quiet too: the figures since then have asked for nothing yet.
    watchlist.placed(&id("c"), Duration::from_secs(60), at(100));
    let mut anew = low.clone();
    anew.watching.epoch = at(1_000);
    assert_eq!((trips(&mut watchlist, &low, 1_000), trips(&mut watchlist, &anew, 1_010)), (0, 1));
}

#[test]
fn campaigns_without_a_guard_take_no_room_and_are_asked_about_once_a_second() {
    let mut watchlist = Watchlist::default();
    for number in 0..20_000 {
        let id = id(&format!("invented-{number}"));
        assert!(!watchlist.count(&id, &happening(at(0), LOW), at(0)));
        watchlist.meet(&id, Shared::default(), at(0)).unwrap();
        assert!(watchlist.count(&id, &happening(at(0), LOW), at(0)), "dropped without a look");
        assert!(watchlist.unwatched.len() <= MOST_UNWATCHED);
    }
    let (last, later) = (id("invented-19999"), at(1_000));
    assert!(watchlist.take_fresh().is_empty() && watchlist.figures(at(0)).is_empty() && watchlist.ids().is_empty());
    assert!(!watchlist.count(&last, &[], later), "it may have settings by now");
    watchlist.meet(&last, shared(watching(at(0)), &[]), later).unwrap();
    assert!(watchlist.count(&last, &happening(later, LOW), later));
    assert_eq!(counted(&mut watchlist, later), 100);
}

#[test]
fn a_campaign_is_forgotten_when_its_settings_lose_the_guard_and_when_its_window_is_over() {
    let mut watchlist = watchlist();
    let off = Watching { guard: Some(Guard { enabled: false, ..guard() }), ..watching(at(0)) };
    watchlist.count(&id("c"), &happening(at(10), LOW), at(10));
    refresh(&mut watchlist, shared(off, &[]), at(20));
    assert_eq!(counted(&mut watchlist, at(20)), 100, "a guard that is off is counted for");
    let refreshed = refresh(&mut watchlist, Shared::default(), at(30));
    assert_eq!((refreshed.forgotten, watchlist.figures(at(30))), (vec![id("c")], vec![]));

    watchlist.meet(&id("c"), shared(watching(at(0)), &[]), at(30)).unwrap();
    refresh(&mut watchlist, shared(watching(at(0)), &[]), at(61_000));
    assert_eq!(watchlist.ids(), [id("c")]);
    refresh(&mut watchlist, shared(watching(at(0)), &[]), at(61_031));
    assert!(watchlist.ids().is_empty());
}

#[test]
fn only_campaigns_with_a_guard_count_for_the_limit() {
    let mut watchlist = Watchlist::default();
    for number in 0..MOST_CAMPAIGNS {
        watchlist.meet(&id(&format!("c-{number}")), shared(watching(at(0)), &[]), at(0)).unwrap();
        watchlist.meet(&id(&format!("n-{number}")), Shared::default(), at(0)).unwrap();
    }
    let met = watchlist.meet(&id("more"), shared(watching(at(0)), &[]), at(0));
    assert_eq!(met, Err(TooManyCampaigns));
    assert_eq!(watchlist.meet(&id("c-1"), shared(watching(at(0)), &[]), at(0)), Ok(()));
}

proptest! {
    /// Whatever is counted, shared and started in whatever order: only what happened since the last start that is known
    /// counts, and that exactly once.
    #[test]
    fn what_counts_is_what_happened_since_the_last_start(
        traffic in prop::collection::vec((0i64..300, 0u8..8), 1..200),
    ) {
        let (mut watchlist, mut now, mut epoch) = (watchlist(), 0, at(0));
        // What Postgres has of each start, and what happened since the last one that the replica knows of.
        let (mut stored, mut expected): (Vec<Addition>, u64) = (Vec::new(), 0);
        let mut known = epoch;
        for (pause, what) in traffic {
            now += pause;
            let now = at(now);
            match what {
                0 => epoch = now.max(epoch + SignedDuration::from_millis(1)),
                1 => stored.extend(watchlist.take_fresh()),
                2 => {
                    let of_epoch = stored.iter().filter(|(_, watching, _)| watching.epoch == epoch);
                    let steps: Vec<Step> = of_epoch.map(|(_, _, step)| *step).collect();
                    refresh(&mut watchlist, shared(Watching { is_throttled: true, ..watching(epoch) }, &steps), now);
                    if epoch != known {
                        (known, expected) = (epoch, 0);
                    }
                }
                _ => {
                    watchlist.count(&id("c"), &happening(now, Counts { attempts: 1, answers: 0 }), now);
                    expected += u64::from(now >= known);
                }
            }
            prop_assert_eq!(counted(&mut watchlist, now), expected);
        }
    }
}
