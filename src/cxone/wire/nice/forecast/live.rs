//! How many agents serve each skill now.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::cxone::endpoint::Operation;
use crate::cxone::model::RequestContext;
use crate::cxone::transport::Transport;
use crate::cxone::wire::nice::reply::{Fields, rows};
use crate::cxone::wire::nice::{Nice, Request};

/// All skills are asked for at once, and no sooner again. A failure is an answer without skills.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(2);
/// A larger number of agents is a mistake.
const MOST: f64 = 1e6;

/// The last answer.
#[derive(Default)]
pub struct Live {
    last: Mutex<Option<(Timestamp, HashMap<i64, f64>)>>,
}

impl Nice {
    /// The agents that serve a skill, where NICE says it.
    pub(super) async fn agents_now(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Option<f64> {
        let now = self.clock.now();
        let mut last = self.forecasts.live.last.lock().await;
        if let Some((_, agents)) = last.as_ref().filter(|(at, _)| now < *at + FRESH_FOR) {
            return agents.get(&skill).copied();
        }
        let permission = "the permission to view the activity of skills";
        let request = Request::get(Operation::Forecast, "skills/activity".into(), permission);
        let read = |body: &[u8]| rows(body, &["skillActivity"]);
        // A forecast does without: the failure is logged with the request.
        let rows = self.call(transport, request.query(&[("IsOutbound", "true")]), context, read).await;
        let agents: HashMap<i64, f64> = rows.unwrap_or_default().iter().filter_map(agents).collect();
        let of_skill = agents.get(&skill).copied();
        *last = Some((now, agents));
        of_skill
    }
}

/// Those who are logged in and not on a break.
fn agents(row: &Fields) -> Option<(i64, f64)> {
    let count = |name: &str| row.number(&[name]).filter(|number| (0.0..=MOST).contains(number));
    let logged_in = count("agentsLoggedIn").map(|all| all - count("agentsUnavailable").unwrap_or(0.0));
    let serving = || Some(count("agentsAvailable")? + count("agentsWorking").unwrap_or(0.0));
    Some((row.integer(&["skillId"])?, logged_in.or_else(serving)?.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_those_who_are_logged_in_and_not_on_a_break() {
        for (row, expected) in [
            (r#"{"skillId": 7, "agentsLoggedIn": 5, "agentsAvailable": 1, "agentsUnavailable": "2"}"#, Some((7, 3.0))),
            (r#"{"skillId": "7", "agentsLoggedIn": "1", "agentsUnavailable": 2}"#, Some((7, 0.0))),
            (r#"{"skillId": 7, "agentsAvailable": 1, "agentsWorking": 3}"#, Some((7, 4.0))),
            (r#"{"skillId": 7, "agentsLoggedIn": -1}"#, None),
            (r#"{"skillId": 7}"#, None),
            (r#"{"agentsLoggedIn": 5}"#, None),
        ] {
            assert_eq!(agents(&Fields::read(row.as_bytes()).unwrap()), expected, "{row}");
        }
    }
}
