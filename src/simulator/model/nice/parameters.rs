//! The parameters of skills.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// One of the groups of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::simulator) enum Group {
    General,
    Schedule,
    TimeZones,
    Retry,
}

/// What was set, by skill and group; the rest has its defaults.
#[derive(Default)]
pub(in crate::simulator) struct Parameters(HashMap<(u64, Group), Value>);

impl Group {
    /// The group with this name in a path.
    pub(in crate::simulator) fn named(name: &str) -> Option<Self> {
        match name {
            "general-settings" => Some(Self::General),
            "schedule-settings" => Some(Self::Schedule),
            "time-zones" => Some(Self::TimeZones),
            "retry-settings" => Some(Self::Retry),
            _ => None,
        }
    }

    /// The member that a change is inside of.
    pub(in crate::simulator) fn member(self) -> &'static str {
        match self {
            Self::General => "generalSettings",
            Self::Schedule => "scheduleSettings",
            Self::TimeZones => "timeZoneSettings",
            Self::Retry => "retrySettings",
        }
    }

    /// All members with their defaults; for time zones, those of one entry.
    pub(in crate::simulator) fn defaults(self) -> Value {
        match self {
            Self::General => json!({
                "maximumRatio": 3, "aggressiveness": "50", "maxConcurrentCallsPerAgent": 5,
                "abandonRateThreshold": 3, "abandonRateCutoff": 5, "overrideBusinessUnitAbandonRate": false,
                "maximumRingingDuration": 30, "minimumRetryMinutes": 60, "maximumAttempts": 5, "loadCallbacks": true,
                "loadFresh": true, "loadNonFresh": true, "blockMultipleCalls": true,
                "deliverCallbacksOnDNCHolidays": false,
            }),
            Self::Schedule => schedule(),
            Self::TimeZones => json!({
                "standardName": "Eastern Standard Time", "startTime": "08:00", "endTime": "21:00",
                "timeZoneActiveToCall": true, "overrideTime": false,
            }),
            Self::Retry => json!({
                "loadNonFresh": true, "finalizeWhenExhausted": true, "maximumAttempts": 5, "minimumRetryMinutes": 60,
                "maximumNumberOfHandledCalls": 1, "restrictedCallingMinutes": 0, "restrictedCallingMaxAttempts": 0,
                "generalStaleMinutes": 1440, "callbackRestMinutes": 15, "releaseAgentSpecificCalls": true,
                "maximumNumberOfCallbacks": 3, "callbackStaleMinutes": 60,
            }),
        }
    }
}

fn schedule() -> Value {
    let mut members = Map::new();
    members.insert("isScheduled".to_owned(), false.into());
    for day in ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] {
        members.insert(format!("{day}StartTime"), "08:00".into());
        members.insert(format!("{day}EndTime"), "20:00".into());
        members.insert(format!("{day}IsActive"), true.into());
    }
    members.into()
}

impl Parameters {
    pub(in crate::simulator) fn get(&self, skill: u64, group: Group) -> Value {
        let unset = || if group == Group::TimeZones { json!([group.defaults()]) } else { group.defaults() };
        self.0.get(&(skill, group)).cloned().unwrap_or_else(unset)
    }

    /// Replaces the whole group: what is not in `members` has its default again.
    pub(in crate::simulator) fn put(&mut self, skill: u64, group: Group, members: Value) {
        self.0.insert((skill, group), members);
    }
}
