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
    #[strum(serialize = "key.revoked")]
    KeyRevoked,

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
