use proptest::prelude::*;

use super::super::erlang::WaitCost;
use super::{Demand, SolveHour, assign};

#[path = "../../benches/dispatch/optimum.rs"]
mod optimum;

/// The agents and calls of an hour.
type AnyHour = (f64, f64);
/// The first hour, the number of hours, and the units.
type AnyDemand = (usize, usize, u32);

fn instance() -> impl Strategy<Value = (Vec<AnyHour>, Vec<AnyDemand>)> {
    let hours = prop::collection::vec((0.3f64..6.0, 0.0f64..30.0), 1..6);
    (hours, prop::collection::vec((0usize..6, 1usize..5, 0u32..12), 1..6))
}

proptest! {
    #[test]
    fn no_other_assignment_costs_less((hours, demands) in instance(), unit in 0.2f64..3.0) {
        let hours: Vec<_> = hours
            .into_iter()
            .map(|(agents, calls)| SolveHour { cost: WaitCost::new(agents, 360.0), calls })
            .collect();
        let demands: Vec<_> = demands
            .into_iter()
            .map(|(first, length, units)| {
                let first = first.min(hours.len() - 1);
                Demand { hours: first..(first + length).min(hours.len()), units }
            })
            .collect();
        let assigned = assign(&hours, &demands, unit);
        let mut totals = vec![0; hours.len()];
        for (demand, assigned) in demands.iter().zip(&assigned) {
            prop_assert_eq!(assigned.iter().sum::<u32>(), demand.units);
            demand.hours.clone().zip(assigned).for_each(|(hour, units)| totals[hour] += units);
        }
        let cost = |hour: &SolveHour, units: u32| hour.cost.of(hour.calls + f64::from(units) * unit);
        let found: f64 = hours.iter().zip(&totals).map(|(hour, &units)| cost(hour, units) - cost(hour, 0)).sum();
        let flows: Vec<_> = demands.into_iter().map(|demand| (demand.hours, demand.units)).collect();
        let next = |hour: usize, units: u32| cost(&hours[hour], units + 1) - cost(&hours[hour], units);
        let least = optimum::least_cost(hours.len(), &flows, next).unwrap();
        prop_assert!((found - least).abs() <= 1e-6 * (1.0 + least), "{found} instead of {least}");
    }
}
