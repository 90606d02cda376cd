//! The campaign and the span of time that a query names by `campaignId`, `from` and `to`.

use jiff::SignedDuration;

use crate::http::Query;
use crate::types::{CampaignId, Fault, Interval, parse_instant};

/// Takes them from the query; none if one is absent or wrong. The span has at most this length, whose text is in the fault.
pub(super) fn campaign_span(query: &mut Query, longest: SignedDuration, named: &str) -> Option<(CampaignId, Interval)> {
    let campaign = query.take_required("campaignId", CampaignId::parse);
    let start = query.take_required("from", parse_instant);
    let end = query.take_required("to", |text| {
        let end = parse_instant(text)?;
        match start {
            Some(start) if end <= start => Err(Fault::new("out-of-range", "must be later than from")),
            Some(start) if end.duration_since(start) > longest => {
                Err(Fault::new("out-of-range", format!("must be at most {named} after from")))
            }
            _ => Ok(end),
        }
    });
    Some((campaign?, Interval { start: start?, end: end? }))
}
