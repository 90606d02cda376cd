//! Simulated days: the expected wait of all calls, where callbacks are placed by the service, by simpler rules, and in the best
//! of all ways, which knows every request before the first is placed.
//!
//! `DISPATCH_CALLBACKS` is the number of callbacks in a day, 5,000 where it is not set.

mod days;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod optimum;
mod rules;
mod service;

use days::{Day, SCENARIOS, Scenario};
use rules::{Result, Rule};

/// The result of every part.
type Outcome<T = ()> = anyhow::Result<T>;

const CALLBACKS: usize = 5000;

fn main() -> Outcome {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|part| format!("dispatch {name}").contains(part));
    let callbacks = std::env::var("DISPATCH_CALLBACKS").ok().map_or(Ok(CALLBACKS), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        for scenario in SCENARIOS.iter().filter(|scenario| is_wanted(scenario.name)) {
            run(scenario, callbacks).await?;
        }
        Ok(())
    })
}

/// A scenario. Fails where the service misses its goal.
async fn run(scenario: &Scenario, callbacks: usize) -> Outcome {
    println!("\n{}: {callbacks} callbacks expected in {} campaigns", scenario.name, scenario.campaigns);
    let mut rng = fastrand::Rng::with_seed(7);
    let each = callbacks / scenario.campaigns;
    let days: Vec<Day> = (0..scenario.campaigns).map(|_| Day::new(scenario, each, &mut rng)).collect();
    let mut best = Result::default();
    for day in &days {
        best += rules::optimum(day).ok_or_else(|| anyhow::anyhow!("the optimum was not found"))?;
    }
    let by = |rule: Rule| sum(&days, |_, day| rules::place(rule, day));
    print("most agents", by(Rule::MostAgents), best);
    let today = by(Rule::MostRoom);
    print("most room, without a plan", today, best);
    print("least wait, without a plan", by(Rule::LeastWait), best);
    let placed = service::place(&days).await?;
    let ringback = sum(&days, |index, _| placed.hours[index].clone());
    print("Ringback", ringback, best);
    print("offline optimum", best, best);
    println!(
        "  {} plans of {:.1} ms; a placement takes {:.2} ms",
        placed.plans,
        placed.plan_took.as_secs_f64() * 1e3,
        placed.placement_took.as_secs_f64() * 1e3
    );
    let goal = match scenario.name {
        // With few callbacks, chance decides.
        _ if callbacks < CALLBACKS => f64::INFINITY,
        "as expected" => 1.05,
        "demand 0.9x" | "demand 1.2x" => 1.3,
        _ => f64::INFINITY,
    };
    anyhow::ensure!(ringback.cost <= goal * best.cost, "more than {goal} times the optimum");
    // Without a plan the sums are added in another order.
    anyhow::ensure!(ringback.cost <= today.cost * (1.0 + 1e-9), "worse than without a plan");
    Ok(())
}

fn sum(days: &[Day], placed: impl Fn(usize, &Day) -> Vec<u32>) -> Result {
    let mut sum = Result::default();
    days.iter().enumerate().for_each(|(index, day)| sum += rules::result(day, &placed(index, day)));
    sum
}

fn print(rule: &str, result: Result, best: Result) {
    let ratio = result.cost / best.cost;
    // Of the optimum only the cost is known.
    let overload = if result.overload.is_nan() { "-".to_owned() } else { format!("{:.0}", result.overload) };
    let wait = result.cost / result.calls;
    println!("  {rule:<28} cost / optimum {ratio:>9.3}  overload {overload:>7} agent-minutes  mean wait {wait:>6.1} s");
}
