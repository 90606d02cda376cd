//! Reads what the skills of the tenant have handled: all skills in one request for each half of the history.

use jiff::{SignedDuration, Timestamp};

use super::model::{Handled, Past};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::RequestContext;
use crate::cxone::transport::Transport;
use crate::cxone::wire::nice::reply::{Fields, each_row};
use crate::cxone::wire::nice::{Nice, Request};

/// The most bytes of an answer.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// An answer for a shorter span is not divided.
const SHORTEST: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The intervals of all skills that are read: 1,000 skills that are busy for 13 hours a day. About 150 MB.
const MAX_INTERVALS: usize = 3_000_000;
/// A larger number of contacts, or of seconds, is a mistake.
const MOST: f64 = 1e6;
const PERMISSION: &str = "the permission to view the history of contacts for workforce management";
const QUARTER_SECONDS: i64 = 15 * 60;

type Window = (Timestamp, Timestamp);

impl Nice {
    /// What the outbound skills handled in the days of the history.
    pub(super) async fn history(
        &self,
        transport: &Transport,
        past: &Past,
        context: RequestContext<'_>,
    ) -> Result<Vec<Handled>, CxoneError> {
        read_all(past.windows(), |window| self.intervals(transport, window, context)).await
    }

    async fn intervals(
        &self,
        transport: &Transport,
        (start, end): Window,
        context: RequestContext<'_>,
    ) -> Result<Vec<u8>, CxoneError> {
        let (start, end) = (start.to_string(), end.to_string());
        let query = [("startDate", start.as_str()), ("endDate", end.as_str()), ("mediaTypeId", "4")];
        let request = Request::get(Operation::Forecast, "wfm-data/skills/contacts".into(), PERMISSION);
        let request = Request { max_body: MAX_BODY, ..request.query(&query) };
        // It is read on another thread.
        self.call(transport, request, context, |body| Some(body.to_vec())).await
    }
}

/// Reads all windows. One whose answer is too large, breaks off or does not come in time is read in halves.
async fn read_all<F>(mut windows: Vec<Window>, ask: impl Fn(Window) -> F) -> Result<Vec<Handled>, CxoneError>
where
    F: Future<Output = Result<Vec<u8>, CxoneError>>,
{
    let mut history = Vec::new();
    while let Some(window) = windows.pop() {
        let body = match ask(window).await {
            Err(CxoneError::UnexpectedAnswer { .. } | CxoneError::OutcomeUnknown { .. })
                if length(window) > SHORTEST =>
            {
                windows.extend(halves(window));
                continue;
            }
            answered => answered?,
        };
        let read = super::in_background(move || read(&body, window)).await?;
        history.extend(read.ok_or_else(|| CxoneError::unexpected("the history is in an unknown format"))?);
        if history.len() > MAX_INTERVALS {
            return Err(CxoneError::unexpected("the history has too many intervals"));
        }
    }
    Ok(history)
}

fn length((start, end): Window) -> SignedDuration {
    end.duration_since(start)
}

fn halves((start, end): Window) -> [Window; 2] {
    let quarters = end.duration_since(start).as_secs() / QUARTER_SECONDS;
    let middle = start + SignedDuration::from_secs(quarters / 2 * QUARTER_SECONDS);
    [(start, middle), (middle, end)]
}

/// The intervals that begin in the window: those at its end may be in the next answer, too.
pub fn read(body: &[u8], (start, end): Window) -> Option<Vec<Handled>> {
    let mut intervals = Vec::new();
    each_row(body, |row| {
        let interval = interval(&row).filter(|interval| start <= interval.start && interval.start < end);
        intervals.extend(interval);
    })?;
    Some(intervals)
}

fn interval(row: &Fields) -> Option<Handled> {
    if row.flag(&["isOutbound"]) == Some(false) {
        return None;
    }
    let valid = |number: &f64| (0.0..=MOST).contains(number);
    let count = |names: &[&str]| row.number(names).filter(valid).unwrap_or(0.0);
    let handled = count(&["totalHandled"]);
    let average = row.seconds(&["averageHandleTime"]).filter(valid).unwrap_or(0.0);
    Some(Handled {
        skill_id: row.integer(&["skillId"]).filter(|skill| *skill > 0)?,
        start: row.instant(&["intervalStartDate"])?,
        contacts: count(&["totalContacts"]).max(handled),
        handled,
        seconds: handled * average,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window() -> Window {
        (at("2026-11-19T00:00:00Z"), at("2026-11-21T00:00:00Z"))
    }

    #[test]
    fn intervals_are_read_whatever_the_type_of_their_members() {
        let one =
            Handled { skill_id: 7, start: at("2026-11-20T15:00:00Z"), contacts: 5.0, handled: 4.0, seconds: 1200.0 };
        for row in [
            r#"{"skillId": 7, "intervalStartDate": "2026-11-20T15:00:00Z", "totalContacts": 5, "totalHandled": 4,
                "averageHandleTime": 300, "isOutbound": true, "abandonCount": 1}"#,
            r#"{"skillId": "7", "intervalStartDate": "2026-11-20T15:00:00.000", "totalContacts": "5",
                "totalHandled": "4", "averageHandleTime": "PT5M"}"#,
        ] {
            let body = format!(r#"{{"total": 1, "contactStats": [{row}]}}"#);
            assert_eq!(read(body.as_bytes(), window()).as_deref(), Some(std::slice::from_ref(&one)), "{row}");
        }
    }

    #[test]
    fn rows_that_say_nothing_about_outbound_contacts_in_the_window_are_left_out() {
        for row in [
            r#"{"skillId": 7, "intervalStartDate": "2026-11-20T15:00:00Z", "isOutbound": "False"}"#,
            r#"{"skillId": 0, "intervalStartDate": "2026-11-20T15:00:00Z"}"#,
            r#"{"skillId": 7, "intervalStartDate": "yesterday"}"#,
            r#"{"skillId": 7, "intervalStartDate": "2026-11-21T00:00:00Z"}"#,
            r#"{"skillId": 7, "intervalStartDate": "2026-11-18T23:45:00Z"}"#,
            r#"{"intervalStartDate": "2026-11-20T15:00:00Z"}"#,
            "7",
        ] {
            assert_eq!(read(format!("[{row}]").as_bytes(), window()).unwrap(), [], "{row}");
        }
        assert_eq!(read(b"", window()).unwrap(), []);
        assert_eq!(read(br#"{"message": "try later"}"#, window()), None);
    }

    #[test]
    fn numbers_that_cannot_be_right_count_as_nothing() {
        let row = r#"[{"skillId": 7, "intervalStartDate": "2026-11-20T15:00:00Z", "totalContacts": -4, "totalHandled": 1e9,
                "averageHandleTime": "long"}]"#;
        let read = read(row.as_bytes(), window()).unwrap();
        assert_eq!((read[0].contacts, read[0].handled, read[0].seconds), (0.0, 0.0, 0.0));
    }

    /// 28 days with a change of the clocks, and the 28 days after them.
    fn windows() -> Vec<Window> {
        let bounds = ["2026-10-12T04:00:00Z", "2026-11-09T05:00:00Z", "2026-12-07T05:00:00Z"].map(at);
        vec![(bounds[0], bounds[1]), (bounds[1], bounds[2])]
    }

    /// The answer to a request for these days, or for fewer: a row for each quarter at which it begins or ends.
    fn answer((start, end): Window) -> Vec<u8> {
        let row = |at: Timestamp| format!(r#"{{"skillId": 7, "intervalStartDate": "{at}", "totalContacts": 1}}"#);
        format!("[{}, {}]", row(start), row(end)).into_bytes()
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_or_too_late_is_asked_for_in_halves() {
        for failure in ["too large", "too late"].map(str::to_owned) {
            let asked = AtomicUsize::new(0);
            let read = read_all(windows(), async |window| {
                asked.fetch_add(1, Ordering::Relaxed);
                match length(window).as_hours() {
                    0..=169 => Ok(answer(window)),
                    _ if failure == "too large" => Err(CxoneError::unexpected(failure.clone())),
                    _ => Err(CxoneError::OutcomeUnknown { reason: failure.clone() }),
                }
            });
            let mut starts: Vec<Timestamp> = read.await.unwrap().iter().map(|handled| handled.start).collect();
            // Each half of the history was asked for as a whole, in halves, and in quarters. No interval counts twice.
            assert_eq!((asked.load(Ordering::Relaxed), starts.len()), (14, 8), "{failure}");
            starts.sort_unstable();
            starts.dedup();
            assert_eq!((starts.len(), starts[0]), (8, windows()[0].0));
            assert!(starts.iter().all(|start| start.as_second() % QUARTER_SECONDS == 0));
        }
    }

    #[tokio::test]
    async fn an_answer_that_stays_too_large_is_a_failure_after_a_few_requests() {
        let asked = AtomicUsize::new(0);
        let read = read_all(windows(), async |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(CxoneError::unexpected("too large"))
        });
        assert_eq!(read.await, Err(CxoneError::unexpected("too large")));
        assert_eq!(asked.load(Ordering::Relaxed), 5);
        let refused = read_all(windows(), async |_| Err(CxoneError::NotFound { reason: String::new() })).await;
        assert_eq!(refused, Err(CxoneError::NotFound { reason: String::new() }));
    }
}
