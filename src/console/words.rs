//! The words that several pages use: for states, actions and what was done. All other texts are in the templates.

use strum::{EnumString, IntoStaticStr};

/// How a badge looks. Its text says the same.
#[derive(Clone, Copy, Debug, IntoStaticStr, PartialEq, Eq)]
#[strum(serialize_all = "lowercase")]
pub enum Tone {
    /// As it should be.
    Good,
    /// Something is under way.
    Busy,
    /// Somebody should know.
    Warn,
    /// Something is wrong.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// Its class in the stylesheet.
    pub fn class(self) -> &'static str {
        self.into()
    }
}

/// A state in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    pub text: &'a str,
    pub tone: Tone,
}

const fn word(text: &str, tone: Tone) -> Word<'_> {
    Word { text, tone }
}

/// The state of a campaign in CXone.
pub fn campaign_state(state: Option<&str>) -> Word<'_> {
    match state {
        Some("ACTIVE") => word("Dialing", Tone::Good),
        Some("PAUSED") => word("Paused", Tone::Warn),
        Some("INACTIVE") => word("Inactive", Tone::Plain),
        Some("SUSPENDED") => word("Suspended", Tone::Bad),
        Some(other) => word(other, Tone::Plain),
        None => word("Not known yet", Tone::Plain),
    }
}

/// The status of a callback.
pub fn callback_status(status: &str) -> Word<'_> {
    match status {
        "accepted" => word("Accepted", Tone::Busy),
        "scheduled" => word("Scheduled", Tone::Good),
        "failed" => word("Failed", Tone::Bad),
        "expired" => word("Expired", Tone::Bad),
        "cancelled" => word("Cancelled", Tone::Plain),
        other => word(other, Tone::Plain),
    }
}

/// The status of the SMS that confirms a callback.
pub fn confirmation_status(status: &str) -> Word<'_> {
    match status {
        "pending" => word("SMS pending", Tone::Busy),
        "sent" => word("SMS sent", Tone::Good),
        "failed" => word("SMS failed", Tone::Bad),
        "skipped" => word("No SMS", Tone::Plain),
        "unknown" => word("SMS unknown", Tone::Warn),
        other => word(other, Tone::Plain),
    }
}

/// What became of the call.
pub fn call_outcome(status: &str) -> Word<'_> {
    match status {
        "pending" => word("Not called yet", Tone::Busy),
        "reached" => word("Reached", Tone::Good),
        "called" => word("Called", Tone::Good),
        "not-reached" => word("Not reached", Tone::Warn),
        "agent-only" => word("Only an agent called", Tone::Bad),
        "missing" => word("Not called", Tone::Bad),
        other => word(other, Tone::Plain),
    }
}

/// The outcome of an audit entry.
pub fn audit_outcome(outcome: &str) -> Word<'_> {
    match outcome {
        "succeeded" => word("Succeeded", Tone::Good),
        "failed" => word("Failed", Tone::Bad),
        "refused" => word("Refused", Tone::Bad),
        "unchanged" => word("Unchanged", Tone::Plain),
        "pending" => word("Pending", Tone::Busy),
        "unknown" => word("Unknown", Tone::Warn),
        other => word(other, Tone::Plain),
    }
}

/// Who made a change: the type of an actor.
pub fn actor_type(kind: &str) -> &str {
    match kind {
        "api_key" => "API key",
        "oidc_subject" => "Person of the identity provider",
        "operator" => "Command line",
        "system" => "Ringback itself",
        "external" => "Somebody in CXone",
        "anonymous" => "No valid API key",
        other => other,
    }
}

/// The state of a webhook endpoint.
pub fn webhook_state(is_disabled: bool, is_failing: bool) -> Word<'static> {
    match (is_disabled, is_failing) {
        (true, _) => word("Disabled", Tone::Bad),
        (false, true) => word("Failing", Tone::Warn),
        (false, false) => word("Enabled", Tone::Good),
    }
}

/// The status of a delivery to an endpoint.
pub fn delivery_status(status: &str) -> Word<'_> {
    match status {
        "pending" => word("Pending", Tone::Busy),
        "succeeded" => word("Delivered", Tone::Good),
        "dead" => word("Failed", Tone::Bad),
        other => word(other, Tone::Plain),
    }
}

/// The reason of a hold.
pub fn pause_reason(reason: &str) -> &str {
    match reason {
        "COMPLIANCE_HOLD" => "Compliance hold",
        "CARRIER_THROTTLE" => "Carrier throttle",
        "AGENT_CAPACITY" => "Agent capacity",
        "SCHEDULED" => "Scheduled",
        other => other,
    }
}

/// What caused a change of a campaign.
pub fn trigger(trigger: &str) -> &str {
    match trigger {
        "MANUAL_PAUSE" | "MANUAL_RESUME" => "Command",
        "SCHEDULED_RESUME" => "End of the hold",
        "SLIDING_WINDOW_THROTTLE" => "Low answer rate",
        "REGULATORY_WINDOW" => "Regulatory window",
        other => other,
    }
}

/// A class of requests to CXone.
pub fn quota_class(class: &str) -> &str {
    match class {
        "control" => "commands",
        "waiting" => "waiting callers",
        "background" => "background",
        "routine" => "checks",
        "clientRead" => "reads",
        other => other,
    }
}

/// What a form did. The page after it has the code in its address, and never a text.
#[derive(Clone, Copy, Debug, EnumString, IntoStaticStr, PartialEq, Eq, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Done {
    SignedOut,
    Paused,
    PausePending,
    PauseUnchanged,
    Resumed,
    ResumePending,
    ResumeUnchanged,
    HoldsRemain,
    Cancelled,
    CancelRequested,
    Redelivered,
    NothingToRedeliver,
    WebhookEnabled,
    TestSent,
}

impl Done {
    /// The code in the address.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// The message.
    pub fn text(self) -> &'static str {
        match self {
            Self::SignedOut => "You are signed out.",
            Self::Paused => "The campaign is paused.",
            Self::PausePending => "The hold is stored. CXone has not confirmed the pause yet.",
            Self::PauseUnchanged => "The hold is stored. The campaign was paused already.",
            Self::Resumed => "The campaign is dialing again.",
            Self::ResumePending => "The holds are lifted. CXone has not confirmed the start yet.",
            Self::ResumeUnchanged => "The campaign was dialing already.",
            Self::HoldsRemain => "The holds you chose are lifted. Others remain, and the campaign stays paused.",
            Self::Cancelled => "The callback is cancelled.",
            Self::CancelRequested => "CXone is asked to delete the contact. The callback is cancelled once it has.",
            Self::Redelivered => "The deliveries are queued again.",
            Self::NothingToRedeliver => "No delivery has failed since then.",
            Self::WebhookEnabled => "The endpoint is enabled.",
            Self::TestSent => "A test event is queued.",
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn the_code_of_a_message_is_read_again() {
        for done in Done::VARIANTS {
            assert_eq!(done.code().parse(), Ok(*done), "{}", done.text());
        }
    }
}
