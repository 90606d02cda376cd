//! The calls that the dialers of skills have made, in intervals of 15 minutes.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::callback_times::TimeForm;
use super::reply::{Fields, each_row};
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{DialerInterval, RequestContext};
use crate::cxone::transport::Transport;
use crate::cxone::wire::DialerReports;
use crate::types::CampaignId;

const PERMISSION: &str = "the permission to view the history of contacts for workforce management";
/// A larger number of calls in one interval is a mistake.
const MOST: f64 = 1e6;

impl DialerReports for Nice {
    fn dialer_intervals<'a>(
        &'a self,
        transport: &'a Transport,
        (start, end): (Timestamp, Timestamp),
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<DialerInterval>, CxoneError>> {
        Box::pin(async move {
            let (start_text, end_text) = (TimeForm::Utc.write(start), TimeForm::Utc.write(end));
            let query = [("startDate", start_text.as_str()), ("endDate", end_text.as_str()), ("mediaTypeId", "4")];
            let path = "wfm-data/skills/dialer-contacts".to_owned();
            let request = Request::get(Operation::ReadDialers, path, PERMISSION).query(&query);
            self.call(transport, request, context, |body| read(body, (start, end))).await
        })
    }

    fn dialer_skills<'a>(
        &'a self,
        transport: &'a Transport,
        campaign: &'a CampaignId,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<i64>, CxoneError>> {
        Box::pin(self.skills_of(transport, campaign, context))
    }
}

/// The intervals that begin in the range. One that is listed twice is read once, with the larger numbers: whether rows may be
/// repeated is not published, and no call may count twice.
pub fn read(body: &[u8], (start, end): (Timestamp, Timestamp)) -> Option<Vec<DialerInterval>> {
    let mut intervals: BTreeMap<(i64, Timestamp), DialerInterval> = BTreeMap::new();
    each_row(body, |row| {
        let Some(read) = interval(&row).filter(|read| start <= read.start && read.start < end) else { return };
        let known = intervals.entry((read.skill, read.start)).or_insert(read);
        known.dials = known.dials.max(read.dials);
        known.connects = known.connects.max(read.connects);
    })?;
    Some(intervals.into_values().collect())
}

fn interval(row: &Fields) -> Option<DialerInterval> {
    Some(DialerInterval {
        skill: row.integer(&["skillId"]).filter(|skill| *skill > 0)?,
        start: row.instant(&["intervalStartDate"])?,
        dials: count(row, "dials"),
        connects: count(row, "connects"),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to MOST")]
fn count(row: &Fields, name: &str) -> u64 {
    row.number(&[name]).filter(|number| (0.0..=MOST).contains(number)).map_or(0, |number| number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn read_rows(rows: &str) -> Vec<DialerInterval> {
        let range = (at("2026-11-20T14:00:00Z"), at("2026-11-20T15:10:00Z"));
        read(format!(r#"{{"wfM_OB_StatsV9": [{rows}]}}"#).as_bytes(), range).unwrap()
    }

    #[test]
    fn intervals_are_read_whatever_the_type_of_their_members_and_once_each() {
        let expected = DialerInterval { skill: 4001, start: at("2026-11-20T15:00:00Z"), dials: 120, connects: 30 };
        for rows in [
            r#"{"skillId": 4001, "intervalStartDate": "2026-11-20T15:00:00Z", "dials": 120, "connects": 30}"#,
            r#"{"skillId": "4001", "intervalStartDate": "2026-11-20T15:00:00.000", "dials": "120", "connects": "30.0",
                "connectsAHT": "300", "abandons": null}"#,
            r#"{"skillId": 4001, "intervalStartDate": "2026-11-20T15:00:00Z", "dials": 120, "connects": 29},
               {"skillId": 4001, "intervalStartDate": "2026-11-20T15:00:00Z", "dials": 100, "connects": 30}"#,
        ] {
            assert_eq!(read_rows(rows), [expected], "{rows}");
        }
        let all = (Timestamp::MIN, Timestamp::MAX);
        assert_eq!((read(b"", all), read(b"<html>", all)), (Some(vec![]), None));
        assert_eq!(read(br#"{"message": "try later"}"#, all), None);
    }

    #[test]
    fn rows_outside_the_range_are_left_out_and_impossible_numbers_count_as_nothing() {
        for row in [
            r#"{"skillId": 4001, "intervalStartDate": "2026-11-20T15:15:00Z", "dials": 1}"#,
            r#"{"skillId": 4001, "intervalStartDate": "2026-11-20T13:45:00Z", "dials": 1}"#,
            r#"{"skillId": 4001, "intervalStartDate": "today", "dials": 1}"#,
            r#"{"skillId": -1, "intervalStartDate": "2026-11-20T15:00:00Z", "dials": 1}"#,
            r#"{"intervalStartDate": "2026-11-20T15:00:00Z", "dials": 1}"#,
            "7",
        ] {
            assert_eq!(read_rows(row), [], "{row}");
        }
        let read = read_rows(
            r#"{"skillId": 4001, "intervalStartDate": "2026-11-20T15:00:00Z", "dials": -4, "connects": 1e9}"#,
        );
        assert_eq!((read[0].dials, read[0].connects), (0, 0));
    }
}
