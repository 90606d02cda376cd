//! What the ledger grants, and when.

use proptest::prelude::*;
use strum::VariantArray as _;

use super::*;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
}

/// Whether no 60 seconds hold more than so many.
fn is_never_exceeded(mut arrivals: Vec<i64>, limit: u32) -> bool {
    arrivals.sort_unstable();
    let limit = usize::try_from(limit).unwrap();
    arrivals.windows(limit + 1).all(|many| many[limit] - many[0] >= 60_000)
}

/// How many of `class` are granted at once at this moment.
fn burst(ledger: &mut Ledger, class: Class, quota: u32, now: i64) -> u32 {
    let mut granted = 0;
    while ledger.take(class, Endpoint::Contacts, 1, quota, at(now)) == Decision::Granted {
        granted += 1;
    }
    granted
}

#[test]
fn a_part_is_kept_for_campaign_control_and_for_those_who_wait() {
    let mut ledger = Ledger::default();
    assert_eq!(burst(&mut ledger, Class::Background, 100, 0), 94);
    assert_eq!(burst(&mut ledger, Class::Waiting, 100, 0), 3);
    assert_eq!(burst(&mut ledger, Class::Control, 100, 0), 3);
    assert_eq!(ledger.used(at(0)), 100);
}

#[test]
fn the_routine_has_a_tenth_of_the_quota_and_at_least_one_request() {
    for (quota, share) in [(1, 1), (9, 1), (20, 2), (100, 10), (1_000_000, 100_000)] {
        assert_eq!(routine_share(quota), share, "of {quota}");
    }
    let mut ledger = Ledger::default();
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 0), 10);
    assert_eq!(
        ledger.take(Class::Routine, Endpoint::Campaigns, 1, 100, at(1_000)),
        Decision::NotFor(Duration::from_millis(60_750))
    );
    assert_eq!(burst(&mut ledger, Class::Background, 100, 1_000), 84);
    assert_eq!(burst(&mut ledger, Class::Waiting, 100, 1_000), 3);
    assert_eq!(burst(&mut ledger, Class::Control, 100, 1_000), 3);
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 61_749), 0);
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 62_750), 10);
}

#[test]
fn however_many_look_at_campaigns_half_of_the_routines_share_is_left_for_checks() {
    let mut ledger = Ledger::default();
    assert_eq!(burst(&mut ledger, Class::ClientRead, 100, 0), 5);
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 0), 5);
    assert_eq!(burst(&mut ledger, Class::Background, 100, 0), 84);
    assert_eq!(burst(&mut ledger, Class::ClientRead, 100, 61_750), 5);
}

#[test]
fn the_routine_has_no_more_than_the_background_leaves() {
    let mut ledger = Ledger::default();
    burst(&mut ledger, Class::Background, 100, 0);
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 0), 0);
    assert_eq!(ledger.waiting_refused_at, 0, "nobody yields to the routine");
}

#[test]
fn routine_work_does_not_count_for_the_pace_of_the_background() {
    let mut ledger = Ledger::default();
    ledger.add(Class::Control, at(0).as_millisecond(), 30);
    assert_eq!(burst(&mut ledger, Class::Routine, 100, 10_000), 10);
    assert_eq!(ledger.may_start(&[Endpoint::Contacts], job(2), 100, at(10_000)), Decision::Granted);
}

#[test]
fn a_ledger_without_the_routines_part_is_read() {
    let mut ledger = Ledger::default();
    burst(&mut ledger, Class::Routine, 100, 0);
    let mut older = serde_json::to_value(&ledger).unwrap();
    older.as_object_mut().unwrap().remove("routine");
    let mut read: Ledger = serde_json::from_value(older).unwrap();
    assert_eq!(read.used(at(0)), 10);
    assert_eq!(burst(&mut read, Class::Background, 100, 0), 84);
}

#[test]
fn the_use_of_each_class_is_reported_until_its_minute_is_over() {
    let mut ledger = Ledger::default();
    let granted = [(Class::Control, 2), (Class::Waiting, 5), (Class::Background, 20), (Class::Routine, 3)];
    for (class, count) in granted.into_iter().chain([(Class::ClientRead, 4)]) {
        assert_eq!(ledger.take(class, Endpoint::Contacts, count, 100, at(0)), Decision::Granted);
    }
    let of = |ledger: &Ledger, now| ledger.quota_use(100, at(now)).classes.map(|class| (class.used, class.quota));
    assert_eq!(of(&ledger, 61_749), [(2, 100), (5, 100), (20, 100), (3, 10), (4, 5)]);
    let QuotaUse { quota, used, .. } = ledger.quota_use(100, at(61_749));
    assert_eq!((quota, used), (100, 34));
    ledger.sign(Uuid::from_u128(1), 1, at(61_750));
    assert_eq!(of(&ledger, 61_750), [(0, 100), (0, 100), (0, 100), (0, 10), (0, 5)]);
    assert!(ledger.control == Spent::default() && ledger.waiting == Spent::default());
}

#[test]
fn what_was_spent_comes_back_when_its_minute_is_over() {
    let mut ledger = Ledger::default();
    burst(&mut ledger, Class::Control, 100, 0);
    assert_eq!(
        ledger.take(Class::Control, Endpoint::Contacts, 1, 100, at(1_000)),
        Decision::NotFor(Duration::from_millis(60_750))
    );
    assert_eq!(burst(&mut ledger, Class::Control, 100, 61_749), 0);
    assert_eq!(burst(&mut ledger, Class::Control, 100, 61_750), 100);
}

#[test]
fn a_429_stops_its_own_endpoint_until_it_is_over() {
    let mut ledger = Ledger::default();
    ledger.back_off(Endpoint::Messages, at(7_000).as_millisecond());
    ledger.back_off(Endpoint::Messages, at(2_000).as_millisecond());
    for class in Class::VARIANTS.iter().copied() {
        let mut ledger = ledger.clone();
        let mut ask = |endpoint, now| ledger.take(class, endpoint, 1, 100, at(now));
        assert_eq!(ask(Endpoint::Messages, 6_999), Decision::NotFor(Duration::from_millis(1)));
        assert_eq!(ask(Endpoint::Messages, 7_000), Decision::Granted);
    }
    assert_eq!(ledger.take(Class::Control, Endpoint::Contacts, 1, 100, at(0)), Decision::Granted);
    ledger.back_off(Endpoint::Messages, at(20_000).as_millisecond());
    let start = |endpoints: &[Endpoint]| ledger.may_start(endpoints, job(1), 100, at(18_000));
    assert_eq!(start(&[Endpoint::Contacts, Endpoint::Messages]), Decision::NotFor(Duration::from_secs(2)));
    assert_eq!(start(&[Endpoint::Contacts, Endpoint::Forecast]), Decision::Granted);
}

#[test]
fn campaign_control_goes_on_at_a_reduced_rate_while_another_endpoint_is_backed_off() {
    let mut ledger = Ledger::default();
    ledger.back_off(Endpoint::Messages, at(40_000).as_millisecond());
    let control = |ledger: &mut Ledger, now| ledger.take(Class::Control, Endpoint::Campaigns, 1, 100, at(now));
    assert_eq!(control(&mut ledger, 0), Decision::Granted);
    assert_eq!(control(&mut ledger, 40), Decision::NotFor(Duration::from_millis(60)));
    assert_eq!(control(&mut ledger, 100), Decision::Granted);
    assert!(ledger.is_restrained(Class::Control, Endpoint::Campaigns, at(600)));
    assert!(!ledger.is_restrained(Class::Control, Endpoint::Contacts, at(600)));

    ledger.back_off(Endpoint::Campaigns, at(10_000).as_millisecond());
    assert_eq!(control(&mut ledger, 1_000), Decision::NotFor(Duration::from_secs(9)));
    assert_eq!(control(&mut ledger, 40_000), Decision::Granted);
    assert_eq!(control(&mut ledger, 40_000), Decision::Granted, "nothing is backed off any more");
}

#[test]
fn what_is_put_back_late_counts_when_it_was_spent() {
    let mut ledger = Ledger::default();
    ledger.take(Class::Control, Endpoint::Contacts, 3, 100, at(10_000));
    ledger.add(Class::Control, at(0).as_millisecond(), 5);
    ledger.add(Class::Control, at(10_000).as_millisecond(), 1);
    ledger.sign(Uuid::from_u128(1), 7, at(20_000));
    assert_eq!((ledger.used(at(20_000)), ledger.last_change_of(Uuid::from_u128(1))), (9, 7));
    assert_eq!(ledger.used(at(61_750)), 4);
}

#[test]
fn the_background_yields_to_those_who_wait_but_is_not_starved() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.take(Class::Background, Endpoint::Contacts, 1, 100, at(0)), Decision::Granted);
    ledger.waiting_refused_at = at(100).as_millisecond();
    assert_eq!(
        ledger.take(Class::Background, Endpoint::Contacts, 1, 100, at(200)),
        Decision::NotFor(Duration::from_millis(1_900))
    );
    ledger.waiting_refused_at = at(10_100).as_millisecond();
    assert_eq!(ledger.take(Class::Background, Endpoint::Contacts, 1, 100, at(10_200)), Decision::Granted);
}

#[test]
fn the_routine_yields_to_those_who_wait_but_is_not_starved() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.take(Class::Routine, Endpoint::Campaigns, 1, 100, at(0)), Decision::Granted);
    ledger.waiting_refused_at = at(100).as_millisecond();
    assert_eq!(
        ledger.take(Class::Routine, Endpoint::Campaigns, 1, 100, at(200)),
        Decision::NotFor(Duration::from_millis(1_900))
    );
    ledger.waiting_refused_at = at(10_100).as_millisecond();
    assert_eq!(ledger.take(Class::Routine, Endpoint::Campaigns, 1, 100, at(10_200)), Decision::Granted);
    assert_eq!(ledger.background_granted_at, 0, "the background's turn is its own");
}

/// A backlog for ten minutes, asked with a flood of routine work or without; gives when the backlog's requests were sent.
fn backlog(with_routine: bool) -> Vec<i64> {
    let (mut ledger, quota) = (Ledger::default(), 100);
    let mut sent = Vec::new();
    for now in (0..600_000).step_by(20) {
        if with_routine {
            burst(&mut ledger, Class::Routine, quota, now);
        }
        if ledger.may_start(&[Endpoint::Contacts], job(2), quota, at(now)) == Decision::Granted {
            for _ in 0..2 {
                if ledger.take(Class::Background, Endpoint::Contacts, 1, quota, at(now)) == Decision::Granted {
                    sent.push(now);
                }
            }
        }
    }
    sent
}

#[test]
fn a_flood_of_routine_work_takes_its_share_from_a_backlog_and_no_more() {
    let (alone, beside) = (backlog(false).len(), backlog(true).len());
    // Ten requests in each of ten minutes, and as many in the one that has begun.
    assert!(beside + 110 >= alone, "{beside} of {alone}");
}

#[test]
fn a_backlog_uses_nine_tenths_of_the_quota_evenly() {
    let sent = backlog(false);
    let in_minute = |from: i64| sent.iter().filter(|now| (from..from + 60_000).contains(*now)).count();
    for minute in 1..9 {
        assert!((90..=100).contains(&in_minute(minute * 60_000)), "{} in minute {minute}", in_minute(minute * 60_000));
    }
    // At first, out of rest, it may go faster.
    let most_in_six_seconds =
        (1..100).map(|i| sent.iter().filter(|now| (i * 6_000..(i + 1) * 6_000).contains(*now)).count()).max();
    assert!(most_in_six_seconds < Some(25), "{most_in_six_seconds:?}");
}

proptest! {
    /// Whoever asks, whenever, and however late the request arrives within the second that is allowed for it:
    /// CXone never counts more than the quota in any 60 seconds.
    #[test]
    fn the_quota_is_never_exceeded(
        quota in 1u32..200,
        questions in prop::collection::vec((0i64..2_000, 0usize..5, 0i64..1_000), 1..1_500),
    ) {
        let mut ledger = Ledger::default();
        let (mut now, mut arrivals, mut routine, mut client_reads) = (0, Vec::new(), Vec::new(), Vec::new());
        for (pause, class, delay) in questions {
            now += pause / 8;
            let class = Class::VARIANTS[class];
            if ledger.take(class, Endpoint::Contacts, 1, quota, at(now)) == Decision::Granted {
                arrivals.push(now + delay);
                if class.is_routine() {
                    routine.push(now + delay);
                }
                if class == Class::ClientRead {
                    client_reads.push(now + delay);
                }
            }
        }
        prop_assert!(is_never_exceeded(arrivals, quota));
        prop_assert!(is_never_exceeded(routine, routine_share(quota)), "the routine's share");
        prop_assert!(is_never_exceeded(client_reads, client_read_share(quota)), "the clients' share");
    }

    /// However often the routine asks, and whenever: the background is never behind by more than the routine has sent.
    #[test]
    fn the_background_gets_all_but_what_the_routine_sends(
        quota in 1u32..150,
        questions in prop::collection::vec((0i64..500, 0usize..20, 0usize..4), 1..600),
    ) {
        let (mut alone, mut beside) = (Ledger::default(), Ledger::default());
        let (mut now, mut sent_alone, mut sent_beside, mut routine) = (0, 0, 0, 0);
        for (pause, of_routine, of_background) in questions {
            now += pause;
            let ask = |ledger: &mut Ledger, class, count| {
                (0..count).filter(|_| ledger.take(class, Endpoint::Campaigns, 1, quota, at(now)) == Decision::Granted).count()
            };
            routine += ask(&mut beside, Class::ClientRead, of_routine) + ask(&mut beside, Class::Routine, of_routine);
            sent_beside += ask(&mut beside, Class::Background, of_background);
            sent_alone += ask(&mut alone, Class::Background, of_background);
            prop_assert!(sent_beside + routine >= sent_alone, "{} + {} of {}", sent_beside, routine, sent_alone);
        }
    }

    /// Whoever is refused and comes back when it was told to is granted, where nobody else came.
    #[test]
    fn a_wait_is_as_long_as_it_says(
        quota in 1u32..50,
        spends in prop::collection::vec(0i64..3_000, 0..200),
        class in 0usize..5,
    ) {
        let mut ledger = Ledger::default();
        let mut now = 0;
        for pause in spends {
            now += pause;
            ledger.take(Class::Control, Endpoint::Contacts, 1, quota, at(now));
        }
        let class = Class::VARIANTS[class];
        if let Decision::NotFor(wait) = ledger.take(class, Endpoint::Contacts, 1, quota, at(now)) {
            let later = now + i64::try_from(wait.as_millis()).unwrap();
            prop_assert_eq!(ledger.take(class, Endpoint::Contacts, 1, quota, at(later)), Decision::Granted);
        }
    }
}

/// The only job.
fn job(requests: u32) -> NewJob {
    NewJob { requests, running: 0, recent: 0 }
}

#[test]
fn the_share_of_the_background_begins_when_the_quota_is_used_up() {
    let of = |waiting, background| {
        let mut ledger = Ledger::default();
        ledger.add(Class::Waiting, at(0).as_millisecond(), waiting);
        ledger.add(Class::Background, at(0).as_millisecond(), background);
        [false, true].map(|before| ledger.starves_background(before, 100, at(10_000)))
    };
    assert_eq!(of(70, 0), [false, false]);
    assert_eq!(of(71, 0), [false, true]);
    assert_eq!(of(92, 0), [false, true]);
    assert_eq!(of(93, 0), [true, true]);
    assert_eq!(of(70, 24), [false, false]);
    let mut control = Ledger::default();
    control.add(Class::Control, at(0).as_millisecond(), 95);
    assert!(!control.starves_background(false, 100, at(10_000)), "no client has waited");
}
