//! What can change on a page.

use strum::{EnumIter, IntoStaticStr};

/// A topic. A part of a page names those that it shows.
#[derive(Clone, Copy, Debug, EnumIter, Eq, IntoStaticStr, Ord, PartialEq, PartialOrd)]
#[strum(serialize_all = "lowercase")]
pub enum Topic {
    Callbacks,
    Campaigns,
    Webhooks,
    Audit,
    /// CXone, Postgres, the replicas and the quota.
    Status,
}

impl Topic {
    /// As events and pages have it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What an entry of the audit log changes, besides the log.
    pub fn of_action(action: &str) -> Option<Self> {
        match action.split_once('.')?.0 {
            "callback" => Some(Self::Callbacks),
            "campaign" | "hold" | "settings" => Some(Self::Campaigns),
            "webhook" => Some(Self::Webhooks),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;
    use crate::audit::Action;

    #[test]
    fn every_action_of_a_slice_with_pages_has_its_topic() {
        for action in Action::VARIANTS.iter().map(|action| action.as_str()) {
            let has_pages =
                !["key.", "privacy.", "audit.", "request.", "console."].iter().any(|of| action.starts_with(of));
            assert_eq!(Topic::of_action(action).is_some(), has_pages, "{action}");
        }
    }
}
