//! The least cost of all assignments, by a linear program: the flow problem with one arc for each unit that an hour may take. Its
//! matrix is totally unimodular, so that whole units are optimal. It has nothing in common with the solver of the service.

use std::ops::Range;

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome, Variable};

/// The least cost, where `demands` are the hours that each takes and its units, and `next_cost` is what an hour costs more with
/// its unit of this number, from 0. None if the program has no solution.
pub fn least_cost(hours: usize, demands: &[(Range<usize>, u32)], next_cost: impl Fn(usize, u32) -> f64) -> Option<f64> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let mut balances: Vec<Vec<(Variable, f64)>> = vec![Vec::new(); hours];
    let mut most = vec![0; hours];
    for (range, units) in demands {
        let mut sum = Vec::new();
        for hour in range.clone() {
            let assigned = problem.add_var(0.0, (0.0, f64::from(*units)));
            sum.push((assigned, 1.0));
            balances[hour].push((assigned, 1.0));
            most[hour] += units;
        }
        problem.add_constraint(&sum, ComparisonOp::Eq, f64::from(*units));
    }
    for (hour, mut balance) in balances.into_iter().enumerate() {
        let taken = (0..most[hour]).map(|unit| (problem.add_var(next_cost(hour, unit), (0.0, 1.0)), -1.0));
        balance.extend(taken);
        problem.add_constraint(&balance, ComparisonOp::Eq, 0.0);
    }
    match problem.solve() {
        Ok(SolveOutcome::Solution(solution)) => Some(solution.objective()),
        Ok(SolveOutcome::Interrupted(_)) | Err(_) => None,
    }
}
