//! Tests that mostly wait, for a minute of the clock or for the next attempt. `make test` runs them beside the others.

mod bad_answers;
mod breaker;
mod budget;
mod budget_ledger;
mod campaign_timing;
mod clock_skew;
mod nice_outcomes;
mod outcomes;
mod programs;
mod shared_commits;
mod token;
