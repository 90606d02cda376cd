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
    let wanted = SCENARIOS.iter().filter(|scenario| is_wanted(scenario.name));
    let mut measured = Vec::new();
    for scenario in wanted {
        measured.push(runtime.block_on(measure(scenario, callbacks))?);
    }
    print_overview(&measured);
    let missed: Vec<_> = measured.iter().flat_map(|day| day.missed_goals(callbacks)).collect();
    anyhow::ensure!(missed.is_empty(), "{}", missed.join("; "));
    Ok(())
}

/// The results of a scenario.
struct Measured {
    name: &'static str,
    most_agents: Result,
    most_room: Result,
    least_wait: Result,
    ringback: Result,
    optimum: Result,
}

/// Measures a scenario, and prints what was measured.
async fn measure(scenario: &Scenario, callbacks: usize) -> Outcome<Measured> {
    let mut rng = fastrand::Rng::with_seed(7);
    let each = callbacks / scenario.campaigns;
    let days: Vec<Day> = (0..scenario.campaigns).map(|_| Day::new(scenario, each, &mut rng)).collect();
    let mut optimum = Result::default();
    for day in &days {
        optimum += rules::optimum(day).ok_or_else(|| anyhow::anyhow!("the optimum was not found"))?;
    }
    let by = |rule: Rule| sum(&days, |_, day| rules::place(rule, day));
    let placed = service::place(&days).await?;
    let measured = Measured {
        name: scenario.name,
        most_agents: by(Rule::MostAgents),
        most_room: by(Rule::MostRoom),
        least_wait: by(Rule::LeastWait),
        ringback: sum(&days, |index, _| placed.hours[index].clone()),
        optimum,
    };
    println!("\n{}: {callbacks} callbacks expected in {} campaigns\n", scenario.name, scenario.campaigns);
    measured.print();
    println!(
        "\n{} plans of {:.1} ms; a placement takes {:.2} ms",
        placed.plans,
        placed.plan_took.as_secs_f64() * 1e3,
        placed.placement_took.as_secs_f64() * 1e3
    );
    Ok(measured)
}

impl Measured {
    /// The cost by a rule, compared with that of the optimum.
    fn ratio(&self, result: Result) -> f64 {
        result.cost / self.optimum.cost
    }

    fn print(&self) {
        println!("| rule | cost / optimum | overload, agent-minutes | mean wait |\n| --- | --- | --- | --- |");
        for (rule, result) in [
            ("most agents", self.most_agents),
            ("most room (no plan)", self.most_room),
            ("least wait (no plan)", self.least_wait),
            ("Ringback", self.ringback),
            ("offline optimum", self.optimum),
        ] {
            // Of the optimum only the cost is known.
            let overload = if result.overload.is_nan() { "-".to_owned() } else { format!("{:.0}", result.overload) };
            println!("| {rule} | {:.3} | {overload} | {:.1} s |", self.ratio(result), result.mean_wait());
        }
    }

    fn missed_goals(&self, callbacks: usize) -> Vec<String> {
        let goal = match self.name {
            // With few callbacks, chance decides.
            _ if callbacks < CALLBACKS => f64::INFINITY,
            "as expected" => 1.05,
            "demand 0.9x" | "demand 1.2x" => 1.3,
            _ => f64::INFINITY,
        };
        let ratio = self.ratio(self.ringback);
        let is_too_much = (ratio > goal).then(|| format!("{}: {ratio:.3} times the optimum, not {goal}", self.name));
        // Without a plan the sums are added in another order.
        let is_worse = (self.ringback.cost > self.most_room.cost * (1.0 + 1e-9))
            .then(|| format!("{}: worse than without a plan", self.name));
        is_too_much.into_iter().chain(is_worse).collect()
    }
}

fn sum(days: &[Day], placed: impl Fn(usize, &Day) -> Vec<u32>) -> Result {
    let mut sum = Result::default();
    days.iter().enumerate().for_each(|(index, day)| sum += rules::result(day, &placed(index, day)));
    sum
}

fn print_overview(measured: &[Measured]) {
    println!(
        "\n| day | most agents | most room (no plan) | least wait (no plan) | Ringback | mean wait | in the optimum |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for day in measured {
        let [agents, room, least, ringback] =
            [day.most_agents, day.most_room, day.least_wait, day.ringback].map(|result| day.ratio(result));
        let waits = [day.ringback, day.optimum].map(Result::mean_wait);
        println!(
            "| {} | {agents:.1} | {room:.2} | {least:.2} | {ringback:.3} | {:.1} s | {:.1} s |",
            day.name, waits[0], waits[1]
        );
    }
}
