//! The campaign and the span of time that a query names by `campaignId`, `from` and `to`.

use jiff::SignedDuration;

use crate::http::Query;
use crate::types::{CampaignId, Interval};

/// Takes them from the query; none if one is absent or wrong. The span has at most this length, whose text is in the fault.
pub(super) fn campaign_span(query: &mut Query, longest: SignedDuration, named: &str) -> Option<(CampaignId, Interval)> {
    let campaign = query.take_required("campaignId", CampaignId::parse);
    let span = query.take_span(longest, named);
    campaign.zip(span)
}
