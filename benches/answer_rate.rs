//! What an event costs the answer rate's window, with little and much in it, beside the obvious way: a list of all events
//! that is filtered at each one. `make bench ARGS=window` runs it; it needs no Postgres.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ringback::{Counts, Window};

/// Events in the window.
const SIZES: [u32; 3] = [1_000, 100_000, 10_000_000];
const LENGTH: Duration = Duration::from_mins(5);
/// Events of which the mean is taken.
const WINDOW_EVENTS: u32 = 2_000_000;
/// Of the list, as many as take about a second.
const LIST_WORK: u32 = 300_000_000;

const ATTEMPT: Counts = Counts { attempts: 1, answers: 0 };

fn main() {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|name| "window".contains(&name)) {
        return;
    }
    println!("an event and the rate after it, by the events in the window");
    for size in SIZES {
        let (window, list) = (window(size), list(size));
        let times = list.as_secs_f64() / window.as_secs_f64();
        println!(
            "  {size:>10}   window {:>7} ns   list {:>13} ns   {times:>10.0} times",
            window.as_nanos(),
            list.as_nanos()
        );
    }
}

/// The moments of events that fill the window evenly, up to its end.
fn moments(size: u32) -> impl Iterator<Item = Timestamp> {
    (0..size).map(move |index| start() + LENGTH.mul_f64(f64::from(index) / f64::from(size) * 0.9))
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn window(size: u32) -> Duration {
    let mut window = Window::new(LENGTH);
    let mut now = start();
    for at in moments(size) {
        window.record(at, at, ATTEMPT);
        now = at;
    }
    let started_at = Instant::now();
    for _ in 0..WINDOW_EVENTS {
        window.record(black_box(now), now, ATTEMPT);
        black_box(window.counts(now).rate());
    }
    started_at.elapsed() / WINDOW_EVENTS
}

fn list(size: u32) -> Duration {
    let mut list: Vec<(Timestamp, bool)> = moments(size).map(|at| (at, false)).collect();
    let now = list.last().map_or(start(), |(at, _)| *at);
    let events = (LIST_WORK / size / 10).max(3);
    let started_at = Instant::now();
    for _ in 0..events {
        list.push((black_box(now), false));
        list.retain(|(at, _)| now.duration_since(*at).unsigned_abs() < LENGTH);
        let answers = list.iter().filter(|(_, is_answer)| *is_answer).count();
        black_box((list.len(), answers));
    }
    started_at.elapsed() / events
}
