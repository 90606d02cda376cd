use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const HANDLE_SECONDS: f64 = 360.0;

fn at(minutes: i64) -> Timestamp {
    "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn candidate(index: u32, available_agents: f64, placed: u32, planned: f64, own: f64) -> Candidate {
    Candidate { hour: at(60 * i64::from(index)), available_agents, expected_calls: 10.0, placed, planned, own }
}

fn inputs(hours: Vec<Candidate>) -> Inputs {
    let plan = Some(PlanVersion { version: 1, planned_at: at(-100) });
    let parts = vec![Interval { start: at(0), end: at(240) }];
    Inputs { forecast: Some("1".into()), plan, handle_seconds: HANDLE_SECONDS, parts, earliest: at(-60), hours }
}

fn choice(inputs: Inputs) -> (Timestamp, Reason) {
    let choice = inputs.decide().unwrap().choice;
    (choice.hour, choice.reason)
}

#[test]
fn a_callback_takes_a_place_that_is_kept_for_its_window() {
    let hours = vec![candidate(0, 9.0, 0, 0.0, 0.0), candidate(1, 3.0, 9, 5.0, 0.2), candidate(2, 3.0, 9, 5.0, 0.4)];
    assert_eq!(choice(inputs(hours)), (at(120), Reason::PlannedPlace));
}

#[test]
fn without_a_place_of_its_own_it_takes_the_hour_with_the_least_wait() {
    // The first hour has more agents, but they are kept for others.
    let hours = vec![candidate(0, 5.0, 0, 40.0, 0.0), candidate(1, 4.0, 5, 0.0, 0.0)];
    assert_eq!(choice(inputs(hours.clone())), (at(60), Reason::LeastWait));
    assert_eq!(choice(Inputs { plan: None, ..inputs(hours.clone()) }), (at(0), Reason::MostRoom));
    assert_eq!(choice(Inputs { forecast: None, earliest: at(70), ..inputs(hours) }), (at(60), Reason::Earliest));
}

#[test]
fn an_hour_that_has_passed_or_has_no_agents_is_not_chosen() {
    let hours = vec![candidate(0, 9.0, 0, 3.0, 3.0), candidate(1, 0.0, 0, 1.0, 1.0), candidate(2, 1.0, 90, 0.0, 0.0)];
    assert_eq!(choice(Inputs { earliest: at(60), ..inputs(hours) }), (at(120), Reason::LeastWait));
}

fn any_inputs() -> impl Strategy<Value = Inputs> {
    let hour = (0.0f64..80.0, 0.0f64..800.0, 0u32..600, 0.0f64..300.0, prop::option::of(0.0f64..50.0));
    let hours = prop::collection::vec(hour, 0..6);
    (hours, -200i64..300, 30i64..240, 30.0f64..900.0, any::<(bool, bool)>()).prop_map(
        |(hours, earliest, length, handle_seconds, (has_plan, has_forecast))| {
            let hours = (0u32..).zip(hours).map(|(index, (agents, expected_calls, placed, planned, own))| {
                let own = own.unwrap_or_default();
                Candidate { expected_calls, ..candidate(index, (agents - 10.0).max(0.0), placed, planned + own, own) }
            });
            let inputs = inputs(hours.collect());
            Inputs {
                forecast: inputs.forecast.filter(|_| has_forecast),
                plan: inputs.plan.filter(|_| has_plan),
                handle_seconds,
                parts: vec![Interval { start: at(10), end: at(10 + length) }],
                earliest: at(earliest),
                ..inputs
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_stored_decision_is_made_again_in_the_same_way(inputs in any_inputs()) {
        let (part, earliest) = (inputs.parts[0], inputs.earliest);
        if let Some(decision) = inputs.decide() {
            let chosen = decision.choice.dispatch_time;
            prop_assert!(part.start <= chosen && chosen <= part.end && chosen >= earliest);
            let stored = serde_json::to_string(&decision).unwrap();
            let read: Decision = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(&read, &decision);
            prop_assert_eq!(read.inputs.decide(), Some(decision));
        }
    }
}
