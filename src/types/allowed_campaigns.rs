use std::sync::Arc;

use super::CampaignId;

/// The campaigns that a sender may use: all, or only these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedCampaigns(Option<Arc<[CampaignId]>>);

impl AllowedCampaigns {
    /// All campaigns.
    pub fn all() -> Self {
        Self(None)
    }

    /// Only these.
    pub fn only(campaigns: impl IntoIterator<Item = CampaignId>) -> Self {
        let mut campaigns: Vec<_> = campaigns.into_iter().collect();
        campaigns.sort_unstable();
        campaigns.dedup();
        Self(Some(campaigns.into()))
    }

    /// Whether some campaigns are not among them.
    pub fn is_restricted(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the campaign is one of them.
    pub fn contains(&self, campaign: &CampaignId) -> bool {
        self.0.as_ref().is_none_or(|allowed| allowed.contains(campaign))
    }

    /// Whether all of the other campaigns are among them.
    pub fn covers(&self, other: &Self) -> bool {
        match &other.0 {
            None => self.0.is_none(),
            Some(others) => others.iter().all(|campaign| self.contains(campaign)),
        }
    }

    /// The campaigns in order; `None` where all are allowed.
    pub fn restriction(&self) -> Option<&[CampaignId]> {
        self.0.as_deref()
    }

    /// The same as texts, for a query.
    pub fn texts(&self) -> Option<Vec<String>> {
        Some(self.0.as_ref()?.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(campaigns: &[&str]) -> AllowedCampaigns {
        AllowedCampaigns::only(campaigns.iter().map(|id| CampaignId::parse(id).unwrap()))
    }

    #[test]
    fn a_restriction_covers_no_more_than_its_campaigns() {
        let (all, two, one) = (AllowedCampaigns::all(), only(&["b", "a", "a"]), only(&["a"]));
        assert!(all.covers(&all) && all.covers(&one) && two.covers(&one) && one.covers(&one));
        assert!(!two.covers(&all) && !one.covers(&two) && !one.covers(&only(&["c"])));
        assert_eq!(two.texts(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(!one.contains(&CampaignId::parse("b").unwrap()) && all.contains(&CampaignId::parse("b").unwrap()));
    }
}
