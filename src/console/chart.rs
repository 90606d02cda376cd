//! The geometry of charts, which are inline SVG. The templates have the elements, and a table or a text with the same numbers.

use jiff::Timestamp;

use super::source::{ComingHour, Dialed};

/// The parts of a window that a sparkline shows.
const PARTS: usize = 20;
const SPARK_WIDTH: f64 = 120.0;
const SPARK_HEIGHT: f64 = 28.0;
/// The bars of a chart end here, in units of its view box.
const CHART_HEIGHT: f64 = 160.0;
/// The width of an hour.
const HOUR_WIDTH: f64 = 88.0;
const BAR_WIDTH: f64 = 48.0;

/// An answer rate over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparkline {
    /// The points of each line: a part without attempts divides them.
    pub lines: Vec<String>,
    /// The height of the floor, if there is one.
    pub floor: Option<String>,
}

impl Sparkline {
    /// Of what was dialed in a window that ends now.
    pub fn new(dialed: &[Dialed], window_ms: u64, floor: Option<f64>, now: Timestamp) -> Self {
        let mut parts = [(0_u64, 0_u64); PARTS];
        for bucket in dialed {
            let Some(part) = part_of(bucket.at, window_ms, now) else { continue };
            parts[part].0 += bucket.attempts;
            parts[part].1 += bucket.answers;
        }
        let rates = parts.map(|(attempts, answers)| (attempts > 0).then(|| ratio(answers, attempts)));
        let runs = rates.iter().enumerate().collect::<Vec<_>>();
        let runs = runs.chunk_by(|(_, before), (_, after)| before.is_some() == after.is_some());
        let lines =
            runs.map(|run| run.iter().filter_map(|(part, rate)| Some(point(*part, (**rate)?))).collect::<Vec<_>>());
        Self {
            lines: lines.filter(|points| !points.is_empty()).map(|points| drawn(&points)).collect(),
            floor: floor.map(|floor| number(height(floor))),
        }
    }
}

fn part_of(at: Timestamp, window_ms: u64, now: Timestamp) -> Option<usize> {
    let age = u64::try_from(now.duration_since(at).as_millis()).unwrap_or(0);
    let parts = PARTS as u64;
    let from_end = age * parts / window_ms.max(1);
    usize::try_from(parts.checked_sub(from_end + 1)?).ok()
}

/// A line needs two points.
fn drawn(points: &[(f64, f64)]) -> String {
    let end = points.last().map(|(x, y)| (x + 0.5, *y));
    let all = points.iter().copied().chain(end.filter(|_| points.len() == 1));
    all.map(|(x, y)| format!("{},{}", number(x), number(y))).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "twenty parts")]
fn point(part: usize, rate: f64) -> (f64, f64) {
    (part as f64 * SPARK_WIDTH / (PARTS - 1) as f64, height(rate))
}

fn height(rate: f64) -> f64 {
    SPARK_HEIGHT - 2.0 - rate.clamp(0.0, 1.0) * (SPARK_HEIGHT - 4.0)
}

#[expect(clippy::cast_precision_loss, reason = "a chart does not show such large numbers exactly")]
fn ratio(answers: u64, attempts: u64) -> f64 {
    answers as f64 / attempts as f64
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// The coming hours of a campaign.
#[derive(Clone, Debug)]
pub struct HoursChart {
    pub hours: Vec<HourBar>,
    /// The value at the top.
    pub top: f64,
    pub width: String,
}

/// An hour with the bars of its calls, one above the other, and the line of its capacity.
#[derive(Clone, Debug)]
pub struct HourBar {
    pub hour: ComingHour,
    /// Of the bars.
    pub left: String,
    pub x: String,
    pub middle: String,
    pub end: String,
    pub forecast: Bar,
    pub placed: Bar,
    pub planned: Bar,
    pub capacity_y: String,
}

/// A part of a bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub y: String,
    pub height: String,
}

impl HoursChart {
    /// None without hours.
    pub fn new(hours: &[ComingHour]) -> Option<Self> {
        let highest = |hour: &ComingHour| hour.capacity.max(hour.forecast + f64::from(hour.placed) + hour.planned);
        let top = hours.iter().map(highest).fold(0.0, f64::max);
        let top = rounded_up(top);
        let bars: Vec<HourBar> = (0_u32..).zip(hours).map(|(index, hour)| HourBar::new(index, *hour, top)).collect();
        let width = number(f64::from(u32::try_from(bars.len()).ok()?) * HOUR_WIDTH);
        (!bars.is_empty()).then_some(Self { hours: bars, top, width })
    }

    /// With the numbers beside it.
    pub fn outer_width(&self) -> String {
        number(f64::from(u32::try_from(self.hours.len()).unwrap_or(0)) * HOUR_WIDTH + 56.0)
    }

    /// The value at half of its height.
    pub fn half(&self) -> f64 {
        self.top / 2.0
    }
}

impl HourBar {
    fn new(index: u32, hour: ComingHour, top: f64) -> Self {
        let x = f64::from(index) * HOUR_WIDTH;
        let placed_from = hour.forecast;
        let planned_from = placed_from + f64::from(hour.placed);
        Self {
            hour,
            left: number(x + (HOUR_WIDTH - BAR_WIDTH) / 2.0),
            x: number(x),
            middle: number(x + HOUR_WIDTH / 2.0),
            end: number(x + HOUR_WIDTH),
            forecast: Bar::new(0.0, hour.forecast, top),
            placed: Bar::new(placed_from, f64::from(hour.placed), top),
            planned: Bar::new(planned_from, hour.planned, top),
            capacity_y: number(CHART_HEIGHT - hour.capacity / top * CHART_HEIGHT),
        }
    }
}

impl Bar {
    fn new(from: f64, value: f64, top: f64) -> Self {
        let height = value / top * CHART_HEIGHT;
        Self { y: number(CHART_HEIGHT - from / top * CHART_HEIGHT - height), height: number(height) }
    }
}

/// The next of 10, 15, 20, 30, 40, 60, 80, 100 and so on: its half is as round.
fn rounded_up(value: f64) -> f64 {
    let steps =
        (1..=12).flat_map(|exponent| [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0].map(|factor| factor * 10_f64.powi(exponent)));
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T15:00:00Z".parse().unwrap()
    }

    fn dialed(seconds_ago: i64, attempts: u64, answers: u64) -> Dialed {
        Dialed { at: now() - SignedDuration::from_secs(seconds_ago), attempts, answers }
    }

    #[test]
    fn a_rate_is_drawn_from_the_oldest_part_of_the_window_to_now_and_a_part_without_attempts_divides_it() {
        let rates = [dialed(99, 10, 10), dialed(94, 10, 0), dialed(1, 2, 1), dialed(2, 2, 1), dialed(300, 9, 9)];
        let line = Sparkline::new(&rates, 100_000, Some(0.0), now());
        assert_eq!(line.lines, ["0.0,2.0 6.3,26.0", "120.0,14.0 120.5,14.0"]);
        assert_eq!(line.floor.as_deref(), Some("26.0"));
        assert!(Sparkline::new(&[], 100_000, None, now()).lines.is_empty());
    }

    #[test]
    fn the_calls_of_an_hour_stand_on_each_other_below_the_top() {
        let hour = ComingHour { start: now(), capacity: 80.0, forecast: 50.0, placed: 20, planned: 5.0 };
        let chart = HoursChart::new(&[hour, ComingHour { capacity: 0.0, ..hour }]).unwrap();
        assert_eq!((chart.top, chart.width.as_str()), (80.0, "176.0"));
        let bar = &chart.hours[0];
        assert_eq!(bar.forecast, Bar { y: "60.0".into(), height: "100.0".into() });
        assert_eq!(bar.placed, Bar { y: "20.0".into(), height: "40.0".into() });
        assert_eq!(bar.planned, Bar { y: "10.0".into(), height: "10.0".into() });
        assert_eq!((bar.capacity_y.as_str(), chart.hours[1].x.as_str()), ("0.0", "88.0"));
        assert!(HoursChart::new(&[]).is_none());
    }

    #[test]
    fn the_top_is_a_round_number() {
        for (value, top) in [(0.0, 10.0), (10.0, 10.0), (11.0, 15.0), (21.0, 30.0), (504.0, 600.0), (801.0, 1000.0)] {
            assert!((rounded_up(value) - top).abs() < 1e-9, "{value}");
        }
    }
}
