//! Every action that the audit log records.

use serde::Serialize;

/// What was done. The text is the slice's noun, a dot, and what happened to it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    strum::AsRefStr,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(into = "&'static str")]
pub enum Action {
    #[strum(serialize = "callback.accepted")]
    CallbackAccepted,
    #[strum(serialize = "callback.scheduled")]
    CallbackScheduled,
    #[strum(serialize = "callback.confirmed")]
    CallbackConfirmed,
    #[strum(serialize = "callback.confirmation_failed")]
    CallbackConfirmationFailed,
    #[strum(serialize = "callback.failed")]
    CallbackFailed,
    #[strum(serialize = "callback.expired")]
    CallbackExpired,
    #[strum(serialize = "callback.cancelled")]
    CallbackCancelled,
    #[strum(serialize = "callback.rescheduled")]
    CallbackRescheduled,
    #[strum(serialize = "callback.change_requested")]
    CallbackChangeRequested,
    #[strum(serialize = "callback.change_refused")]
    CallbackChangeRefused,
    #[strum(serialize = "callback.withdrawn")]
    CallbackWithdrawn,
    #[strum(serialize = "callback.called")]
    CallbackCalled,
    #[strum(serialize = "callback.missed")]
    CallbackMissed,
    #[strum(serialize = "callback.contact_deleted")]
    CallbackContactDeleted,
    #[strum(serialize = "callback.at_risk")]
    CallbackAtRisk,
    #[strum(serialize = "callback.no_longer_at_risk")]
    CallbackNoLongerAtRisk,
    #[strum(serialize = "callback.deleted")]
    CallbackDeleted,
    #[strum(serialize = "callback.erased")]
    CallbackErased,

    #[strum(serialize = "campaign.paused")]
    CampaignPaused,
    #[strum(serialize = "campaign.resumed")]
    CampaignResumed,
    #[strum(serialize = "campaign.pause_refused")]
    CampaignPauseRefused,
    #[strum(serialize = "campaign.pause_pending")]
    CampaignPausePending,
    #[strum(serialize = "campaign.pause_unchanged")]
    CampaignPauseUnchanged,
    #[strum(serialize = "campaign.resume_refused")]
    CampaignResumeRefused,
    #[strum(serialize = "campaign.resume_pending")]
    CampaignResumePending,
    #[strum(serialize = "campaign.resume_unchanged")]
    CampaignResumeUnchanged,
    #[strum(serialize = "campaign.resume_dropped")]
    CampaignResumeDropped,
    #[strum(serialize = "campaign.changed_outside")]
    CampaignChangedOutside,
    #[strum(serialize = "campaign.fenced")]
    CampaignFenced,

    #[strum(serialize = "hold.placed")]
    HoldPlaced,
    #[strum(serialize = "hold.extended")]
    HoldExtended,
    #[strum(serialize = "hold.lifted")]
    HoldLifted,

    #[strum(serialize = "settings.updated")]
    SettingsUpdated,

    #[strum(serialize = "webhook.created")]
    WebhookCreated,
    #[strum(serialize = "webhook.deleted")]
    WebhookDeleted,
    #[strum(serialize = "webhook.secret_rotated")]
    WebhookSecretRotated,
    #[strum(serialize = "webhook.enabled")]
    WebhookEnabled,
    #[strum(serialize = "webhook.disabled")]
    WebhookDisabled,
    #[strum(serialize = "webhook.redelivered")]
    WebhookRedelivered,
    #[strum(serialize = "webhook.tested")]
    WebhookTested,

    #[strum(serialize = "key.created")]
    KeyCreated,
    #[strum(serialize = "key.rotated")]
    KeyRotated,
    #[strum(serialize = "key.revoked")]
    KeyRevoked,

    #[strum(serialize = "console.signed_in")]
    ConsoleSignedIn,
    #[strum(serialize = "console.signed_out")]
    ConsoleSignedOut,
    #[strum(serialize = "console.link_created")]
    ConsoleLinkCreated,

    #[strum(serialize = "privacy.erased")]
    PrivacyErased,
    #[strum(serialize = "privacy.exported")]
    PrivacyExported,

    /// The log itself is sealed with other keys from here on.
    #[strum(serialize = "audit.keys_changed")]
    AuditKeysChanged,
    /// Old entries were dropped. Verification of the log relies on its detail.
    #[strum(serialize = "audit.expired")]
    AuditExpired,
    #[strum(serialize = "audit.retention_changed")]
    AuditRetentionChanged,
    #[strum(serialize = "request.refused")]
    RequestRefused,
}

impl Action {
    /// The text in the log and in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The action of an entry that exists. A newer version may have written it: its entries are listed and sealed as any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecordedAction {
    Known(Action),
    /// Its text.
    Newer(String),
}

impl RecordedAction {
    /// Reads the text in the log.
    pub fn read(text: String) -> Self {
        text.parse().map_or_else(|_| Self::Newer(text), Self::Known)
    }

    /// The action, if this version knows it.
    pub fn known(&self) -> Option<Action> {
        match self {
            Self::Known(action) => Some(*action),
            Self::Newer(_) => None,
        }
    }

    /// The text in the log and in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(action) => action.as_str(),
            Self::Newer(text) => text,
        }
    }
}

impl From<Action> for RecordedAction {
    fn from(action: Action) -> Self {
        Self::Known(action)
    }
}

impl PartialEq<Action> for RecordedAction {
    fn eq(&self, other: &Action) -> bool {
        self.known() == Some(*other)
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn the_documentation_lists_every_action_in_order() {
        let rows =
            include_str!("../../docs/audit.md").lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let documented: Vec<_> = rows.map(|(action, _)| action).filter(|action| action.contains('.')).collect();
        let actions: Vec<_> = Action::VARIANTS.iter().map(|action| action.as_str()).collect();
        assert_eq!(documented, actions);
    }
}
