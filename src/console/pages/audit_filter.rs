//! The filter of the audit log, as its form has it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;

use crate::console::client::with_query;
use crate::types::TimeZone;

/// The address of the list.
pub const PATH: &str = "/console/audit";
/// The entries of a part of the list.
const LIMIT: &str = "50";

/// The parameters of the address. An empty one matches every entry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filter {
    pub action: String,
    pub actor: String,
    pub outcome: String,
    pub campaign_id: String,
    pub callback_id: String,
    /// As `datetime-local` has it, in `zone`; or with an offset.
    pub from: String,
    pub to: String,
    /// The zone of the browser; UTC where it has no script.
    pub zone: String,
    pub cursor: String,
}

impl Filter {
    /// Whether the newest entries are shown.
    pub fn is_first(&self) -> bool {
        self.cursor.is_empty()
    }

    /// Whether some entries are left out.
    pub fn is_empty(&self) -> bool {
        let texts =
            [&self.action, &self.actor, &self.outcome, &self.campaign_id, &self.callback_id, &self.from, &self.to];
        texts.iter().all(|text| text.trim().is_empty())
    }

    /// The start of the time, where it was understood.
    pub fn start(&self) -> Option<Timestamp> {
        instant(&self.from, &self.zone)
    }

    /// The end of the time.
    pub fn end(&self) -> Option<Timestamp> {
        instant(&self.to, &self.zone)
    }

    /// The request to the API for a page of the list.
    pub fn of_page(&self) -> String {
        self.of_api(&[("limit", LIMIT), ("cursor", self.cursor.as_str())])
    }

    /// The request to the API for all entries.
    pub fn of_export(&self) -> String {
        self.of_api(&[])
    }

    fn of_api(&self, further: &[(&str, &str)]) -> String {
        // A time that was not understood is passed on: the API says what is wrong with it.
        let api_time =
            |text: &str, at: Option<Timestamp>| at.map_or_else(|| text.trim().to_owned(), |at| at.to_string());
        let (from, to) = (api_time(&self.from, self.start()), api_time(&self.to, self.end()));
        let members = self.members().into_iter().chain([("from", from.as_str()), ("to", to.as_str())]);
        with_query("/v1/audit", members.chain(further.iter().copied()))
    }

    /// The address of the newest entries.
    pub fn first(&self) -> String {
        self.address(PATH, "")
    }

    /// The address of the next entries.
    pub fn next(&self, cursor: &str) -> String {
        self.address(PATH, cursor)
    }

    /// Where the script reads the list again.
    pub fn source(&self) -> String {
        self.address("/console/fragments/audit", "")
    }

    /// The address of all entries as CSV.
    pub fn csv(&self) -> String {
        self.address("/console/audit.csv", "")
    }

    fn address(&self, path: &str, cursor: &str) -> String {
        let zone = if self.from.is_empty() && self.to.is_empty() { "" } else { self.zone.as_str() };
        let times = [("from", self.from.as_str()), ("to", self.to.as_str()), ("zone", zone), ("cursor", cursor)];
        with_query(path, self.members().into_iter().chain(times))
    }

    fn members(&self) -> [(&str, &str); 5] {
        [
            ("action", self.action.trim()),
            ("actor", self.actor.trim()),
            ("outcome", self.outcome.trim()),
            ("campaignId", self.campaign_id.trim()),
            ("callbackId", self.callback_id.trim()),
        ]
    }
}

/// A time with an offset, or one of this zone. At the change of the clocks, the one that also existed before it.
fn instant(text: &str, zone: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let zone = TimeZone::parse(if zone.is_empty() { "UTC" } else { zone }).ok()?;
    let local = text.parse::<DateTime>().ok()?;
    zone.tz().to_ambiguous_timestamp(local).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_zone_of_the_browser_unless_it_has_an_offset() {
        let read = |text, zone| instant(text, zone).map(|at| at.to_string());
        for (text, zone, expected) in [
            ("2026-11-20T15:00", "America/New_York", Some("2026-11-20T20:00:00Z")),
            ("2026-07-20T15:00", "America/New_York", Some("2026-07-20T19:00:00Z")),
            ("2026-11-20T15:00:05", "", Some("2026-11-20T15:00:05Z")),
            (" 2026-11-20T15:00:00Z", "America/New_York", Some("2026-11-20T15:00:00Z")),
            ("2026-11-20T15:00:00+02:00", "", Some("2026-11-20T13:00:00Z")),
            ("2026-11-20T15:00", "Nowhere", None),
            ("yesterday", "UTC", None),
            ("", "UTC", None),
        ] {
            assert_eq!(read(text, zone).as_deref(), expected, "{text} {zone}");
        }
    }

    #[test]
    fn the_api_gets_instants_and_links_keep_what_was_entered() {
        let filter = Filter {
            actor: " a&b ".into(),
            from: "2026-11-20T15:00".into(),
            to: "soon".into(),
            zone: "Europe/Berlin".into(),
            ..Filter::default()
        };
        assert_eq!(filter.of_export(), "/v1/audit?actor=a%26b&from=2026-11-20T14%3A00%3A00Z&to=soon");
        assert_eq!(
            filter.next("c"),
            "/console/audit?actor=a%26b&from=2026-11-20T15%3A00&to=soon&zone=Europe%2FBerlin&cursor=c"
        );
        let none = Filter { zone: "Europe/Berlin".into(), cursor: "c".into(), ..Filter::default() };
        assert_eq!((none.first(), none.is_empty()), (PATH.to_owned(), true));
    }
}
