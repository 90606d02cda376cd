//! The cheapest assignment of expected requests to hours.
//!
//! A unit of requests that moves from one hour to another changes only the cost of these two, however many units it pushes on
//! between them. So each unit takes the shortest augmenting path if it ends in the cheapest hour that its moves can reach. The
//! costs are convex: an assignment built this way has the least cost of all.

use std::collections::VecDeque;
use std::ops::Range;

use super::erlang::WaitCost;

/// An hour that takes requests.
#[derive(Clone, Copy, Debug)]
pub struct SolveHour {
    pub cost: WaitCost,
    /// The calls that it has without the requests that are assigned.
    pub calls: f64,
}

/// Requests that may be placed in the same hours.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The hours, by their indices.
    pub hours: Range<usize>,
    /// The units of requests.
    pub units: u32,
}

/// The units of each demand in each of its hours, in the order of the demands and of their hours. A unit is `unit` requests.
/// Demands without hours have none.
pub fn assign(hours: &[SolveHour], demands: &[Demand], unit: f64) -> Vec<Vec<u32>> {
    let mut solver = Solver::new(hours, demands, unit);
    for (index, demand) in demands.iter().enumerate() {
        for _ in 0..demand.units {
            solver.add(index);
        }
    }
    solver.assigned
}

struct Solver<'a> {
    hours: &'a [SolveHour],
    demands: &'a [Demand],
    unit: f64,
    assigned: Vec<Vec<u32>>,
    units: Vec<u32>,
    /// What one unit more costs in each hour.
    next_cost: Vec<f64>,
    /// The demands that each hour takes.
    demands_of: Vec<Vec<usize>>,
}

/// How a unit gets to an hour.
#[derive(Clone, Copy)]
enum Step {
    New,
    /// A unit of this demand moves here from that hour.
    Moved {
        demand: usize,
        from: usize,
    },
}

impl<'a> Solver<'a> {
    fn new(hours: &'a [SolveHour], demands: &'a [Demand], unit: f64) -> Self {
        let mut demands_of = vec![Vec::new(); hours.len()];
        for (index, demand) in demands.iter().enumerate() {
            demand.hours.clone().for_each(|hour| demands_of[hour].push(index));
        }
        let assigned = demands.iter().map(|demand| vec![0; demand.hours.len()]).collect();
        let mut solver =
            Self { hours, demands, unit, assigned, units: vec![0; hours.len()], next_cost: Vec::new(), demands_of };
        solver.next_cost = (0..hours.len()).map(|hour| solver.cost_of_next(hour)).collect();
        solver
    }

    fn cost_of_next(&self, hour: usize) -> f64 {
        let SolveHour { cost, calls } = self.hours[hour];
        let calls = calls + f64::from(self.units[hour]) * self.unit;
        cost.of(calls + self.unit) - cost.of(calls)
    }

    /// Adds a unit of the demand.
    fn add(&mut self, demand: usize) {
        let steps = self.reachable(demand);
        let reached = (0..self.hours.len()).filter(|hour| steps[*hour].is_some());
        let Some(end) = reached.min_by(|one, other| self.next_cost[*one].total_cmp(&self.next_cost[*other])) else {
            return;
        };
        self.units[end] += 1;
        self.next_cost[end] = self.cost_of_next(end);
        let mut hour = end;
        while let Some(Step::Moved { demand: moved, from }) = steps[hour] {
            *self.cell(moved, hour) += 1;
            *self.cell(moved, from) -= 1;
            hour = from;
        }
        *self.cell(demand, hour) += 1;
    }

    fn cell(&mut self, demand: usize, hour: usize) -> &mut u32 {
        &mut self.assigned[demand][hour - self.demands[demand].hours.start]
    }

    /// The hours that a new unit can fill, each with the last step to it: those of its demand, and those to which it can push
    /// other units on.
    fn reachable(&self, demand: usize) -> Vec<Option<Step>> {
        let mut steps = vec![None; self.hours.len()];
        let mut open: VecDeque<usize> = self.demands[demand].hours.clone().collect();
        self.demands[demand].hours.clone().for_each(|hour| steps[hour] = Some(Step::New));
        let mut is_used = vec![false; self.demands.len()];
        while let Some(from) = open.pop_front() {
            for &demand in &self.demands_of[from] {
                let hours = &self.demands[demand].hours;
                if is_used[demand] || self.assigned[demand][from - hours.start] == 0 {
                    continue;
                }
                is_used[demand] = true;
                for hour in hours.clone().filter(|hour| steps[*hour].is_none()).collect::<Vec<_>>() {
                    steps[hour] = Some(Step::Moved { demand, from });
                    open.push_back(hour);
                }
            }
        }
        steps
    }
}

#[cfg(test)]
#[path = "solve_test.rs"]
mod tests;
