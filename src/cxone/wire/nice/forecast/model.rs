//! The forecast of skills, from what they have handled. Pure.
//!
//! A quarter of an hour is compared with the same quarter of the same weekday in the weeks before, in the time zone of the
//! business unit:
//!
//! - A day with less than a fifth of the contacts that the skill usually has on that weekday is a holiday, and left out.
//! - **Expected contacts**: the median of the weeks. A week without any in this quarter counts as 0.
//! - **Agents**: how many were there is not known, so that they follow from what they did. In each week in which a contact was
//!   handled: the handle time divided by the length of the quarter, rounded up, and one more, who keeps the wait short. Of
//!   these numbers, the one that four weeks of five do not exceed. None where no contact was handled in any week.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The length of the history, in days. In whole weeks, so that every weekday is in it equally often.
const DAYS: usize = 56;
/// A request may span 30 days.
const DAYS_OF_REQUEST: usize = 28;
/// A skill whose first contact is younger has no forecast.
const LEAST_DAYS: usize = 14;
/// Of a day.
const QUARTERS: usize = 96;
const QUARTER_SECONDS: f64 = 900.0;
/// A day with a smaller share of the usual contacts is a holiday.
const HOLIDAY_SHARE: f64 = 0.2;

/// What a skill handled in an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Handled {
    pub skill_id: i64,
    pub start: Timestamp,
    pub contacts: f64,
    /// Those that were not abandoned.
    pub handled: f64,
    /// The handle time of all of them.
    pub seconds: f64,
}

/// What a skill is expected to have in a quarter of an hour of a week.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarter {
    pub skill_id: i64,
    /// 1 is Monday.
    pub weekday: i16,
    /// Of the local day, from 0.
    pub quarter: i16,
    pub expected_contacts: f64,
    /// The average handle time of a contact.
    pub handle_seconds: f64,
    pub agents: f64,
}

/// The days of the history: those before today, in the time zone of the business unit.
#[derive(Clone, Debug)]
pub struct Past {
    pub zone: TimeZone,
    first: Date,
}

impl Past {
    pub fn before(now: Timestamp, zone: TimeZone) -> Self {
        let today = now.to_zoned(zone.clone()).date();
        Self { zone, first: after(today, -56) }
    }

    /// The spans of the requests for all days.
    pub fn windows(&self) -> Vec<(Timestamp, Timestamp)> {
        let bounds = (0..=DAYS).step_by(DAYS_OF_REQUEST).filter_map(|day| self.midnight(day));
        let bounds: Vec<Timestamp> = bounds.collect();
        bounds.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect()
    }

    fn midnight(&self, day: usize) -> Option<Timestamp> {
        let date = after(self.first, i64::try_from(day).ok()?);
        date.to_zoned(self.zone.clone()).ok().map(|midnight| midnight.timestamp())
    }

    /// The day and the quarter of an instant.
    fn place(&self, at: Timestamp) -> Option<(usize, usize)> {
        let local = at.to_zoned(self.zone.clone());
        let day = usize::try_from((local.date() - self.first).get_days()).ok()?;
        let quarter = usize::try_from(quarter_of(local.hour(), local.minute())).ok()?;
        (day < DAYS).then_some((day, quarter))
    }

    fn weekday(&self, day: usize) -> i16 {
        let date = after(self.first, i64::try_from(day).unwrap_or(0));
        i16::from(date.weekday().to_monday_one_offset())
    }
}

fn after(date: Date, days: i64) -> Date {
    date.saturating_add(Span::new().days(days))
}

/// The quarter of a local time.
pub fn quarter_of(hour: i8, minute: i8) -> i16 {
    i16::from(hour) * 4 + i16::from(minute) / 15
}

#[derive(Clone, Copy)]
struct Cell {
    contacts: f64,
    handled: f64,
    seconds: f64,
}

#[derive(Clone)]
struct Day {
    contacts: f64,
    quarters: [Cell; QUARTERS],
}

impl Day {
    const EMPTY: Self =
        Self { contacts: 0.0, quarters: [Cell { contacts: 0.0, handled: 0.0, seconds: 0.0 }; QUARTERS] };

    fn add(&mut self, quarter: usize, more: &Handled) {
        let Some(cell) = self.quarters.get_mut(quarter) else { return };
        cell.contacts += more.contacts;
        cell.handled += more.handled;
        cell.seconds += more.seconds;
        self.contacts += more.contacts;
    }
}

/// The quarters of all skills that have contacts or agents, for at most so many skills.
pub fn quarters(mut handled: Vec<Handled>, past: &Past, max_skills: usize) -> Vec<Quarter> {
    handled.sort_unstable_by_key(|handled| handled.skill_id);
    let by_skill = handled.chunk_by(|one, other| one.skill_id == other.skill_id);
    by_skill.take(max_skills).flat_map(|of_skill| quarters_of_skill(of_skill, past)).collect()
}

fn quarters_of_skill(handled: &[Handled], past: &Past) -> Vec<Quarter> {
    let Some(skill_id) = handled.first().map(|handled| handled.skill_id) else { return Vec::new() };
    let mut days = vec![Day::EMPTY; DAYS];
    for handled in handled {
        let place = past.place(handled.start);
        if let Some((day, quarter)) = place.and_then(|(day, quarter)| Some((days.get_mut(day)?, quarter))) {
            day.add(quarter, handled);
        }
    }
    let Some(first) = days.iter().position(|day| day.contacts > 0.0) else { return Vec::new() };
    if DAYS - first < LEAST_DAYS {
        return Vec::new();
    }
    let of_weekday = |weekday: i16| {
        let days = days.iter().enumerate().skip(first).filter(|(day, _)| past.weekday(*day) == weekday);
        without_holidays(days.map(|(_, day)| day).collect())
    };
    (1..=7).flat_map(|weekday| quarters_of_weekday(skill_id, weekday, &of_weekday(weekday))).collect()
}

fn without_holidays(mut days: Vec<&Day>) -> Vec<&Day> {
    let usual = median(days.iter().map(|day| day.contacts).collect());
    days.retain(|day| day.contacts >= usual * HOLIDAY_SHARE);
    days
}

fn quarters_of_weekday(skill_id: i64, weekday: i16, days: &[&Day]) -> Vec<Quarter> {
    let quarters = (0..).zip(0..QUARTERS).map(|(quarter, index)| {
        let weeks: Vec<Cell> = days.iter().filter_map(|day| day.quarters.get(index).copied()).collect();
        let sum = |value: fn(&Cell) -> f64| weeks.iter().map(value).sum::<f64>();
        let (handled, seconds) = (sum(|week| week.handled), sum(|week| week.seconds));
        Quarter {
            skill_id,
            weekday,
            quarter,
            expected_contacts: median(weeks.iter().map(|week| week.contacts).collect()),
            handle_seconds: if handled > 0.0 { seconds / handled } else { 0.0 },
            agents: agents(&weeks),
        }
    });
    quarters.filter(|quarter| quarter.expected_contacts > 0.0 || quarter.agents > 0.0).collect()
}

fn agents(weeks: &[Cell]) -> f64 {
    let staffed = weeks.iter().filter(|week| week.handled > 0.0);
    let mut agents: Vec<f64> = staffed.map(|week| (week.seconds / QUARTER_SECONDS).ceil() + 1.0).collect();
    agents.sort_unstable_by(f64::total_cmp);
    let rank = (agents.len() * 4).div_ceil(5);
    agents.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Of an even count, the middle between the two in the middle. 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) }
}

#[cfg(test)]
mod tests;
