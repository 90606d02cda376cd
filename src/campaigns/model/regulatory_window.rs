//! The hours of the day in which a campaign may dial, as they are sent, shown and kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::types::{DailyWindow, Fault, TimeZone, parse_time_of_day};

/// The hours of every day in which a campaign may dial
///
/// Open from `startTime` up to, but not including, `endTime`, on the clocks of `timezone`. An `endTime` before the
/// `startTime` is on the next day. A time that the clocks skip is the first instant after the gap; of a time that comes
/// twice, the window opens at the later one and closes at the earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegulatoryWindow)]
pub struct RegulatoryWindowView {
    /// `H:mm` or `HH:mm`, 00:00 to 23:59.
    #[schema(example = "09:00")]
    pub start_time: String,
    /// Of the next day, where it is before `startTime`.
    #[schema(example = "21:00")]
    pub end_time: String,
    /// IANA name.
    #[schema(example = "America/New_York")]
    pub timezone: String,
}

impl From<&DailyWindow> for RegulatoryWindowView {
    fn from(window: &DailyWindow) -> Self {
        let text = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
        Self {
            start_time: text(window.start()),
            end_time: text(window.end()),
            timezone: window.zone().name().to_owned(),
        }
    }
}

impl TryFrom<RegulatoryWindowView> for DailyWindow {
    type Error = Fault;

    fn try_from(kept: RegulatoryWindowView) -> Result<Self, Fault> {
        let (start, end) = (parse_time_of_day(&kept.start_time)?, parse_time_of_day(&kept.end_time)?);
        Self::new(start, end, TimeZone::parse(&kept.timezone)?)
    }
}

/// Windows in different places may take a few openings until all are open at once.
const OPENINGS_LOOKED_AT: usize = 32;

/// The first moment from `now` on at which all windows are open. Where they never are, as far as is looked, one at
/// which it is worth looking again.
pub fn first_open(windows: &[&DailyWindow], now: Timestamp) -> Timestamp {
    let mut at = now;
    for _ in 0..OPENINGS_LOOKED_AT {
        let latest = windows.iter().map(|window| window.next_opening(at)).max().unwrap_or(at);
        if latest == at {
            break;
        }
        at = latest;
    }
    at
}

/// Keeps an optional window as a document.
pub mod kept {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::RegulatoryWindowView;
    use crate::types::DailyWindow;

    /// As it is shown.
    pub fn serialize<S: Serializer>(window: &Option<DailyWindow>, serializer: S) -> Result<S::Ok, S::Error> {
        window.as_ref().map(RegulatoryWindowView::from).serialize(serializer)
    }

    /// From what was parsed and kept before.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DailyWindow>, D::Error> {
        let kept = Option::<RegulatoryWindowView>::deserialize(deserializer)?;
        kept.map(|view| DailyWindow::try_from(view).map_err(D::Error::custom)).transpose()
    }
}
