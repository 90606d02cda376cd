//! How NICE reads the time of a callback. Its documentation is unclear, so the first callback of a tenant shows it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sqlx::PgPool;

use crate::cxone::settings::CallbackTimesSetting;

/// A shown time may be rounded to a minute.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);
/// The offsets of zones are multiples of this.
const QUARTER: i64 = 15 * 60;
/// A callback whose time may be misread is first sent this much later: a misread time in the past would be dialled at once.
pub const PROBE_AHEAD: SignedDuration = SignedDuration::from_hours(72);
/// How long nothing is dispatched after a time that fits no zone.
const SUSPENDED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The form in which a time is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeForm {
    /// An instant in UTC.
    Utc,
    /// The local time of the business unit, without a zone.
    Local(TimeZone),
}

impl TimeForm {
    pub fn write(&self, at: Timestamp) -> String {
        match self {
            Self::Utc => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Local(zone) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        }
    }
}

/// What a shown time says about how NICE reads times.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// As it was sent.
    Right,
    /// It read the instant as local time of the business unit.
    AsLocal,
    /// It is off by this, which fits no zone.
    Wrong(SignedDuration),
}

impl Reading {
    /// Of a callback that was sent for `sent`, in UTC.
    pub fn of(shown: Timestamp, sent: Timestamp, zone: &TimeZone) -> Self {
        let off = shown.duration_since(sent);
        if off.abs() < TOLERANCE {
            return Self::Right;
        }
        let seconds = i64::from(zone.to_offset(shown).seconds());
        let is_of_zone = (off.as_secs() + seconds).abs() < TOLERANCE.as_secs() && seconds % QUARTER == 0;
        if is_of_zone { Self::AsLocal } else { Self::Wrong(off) }
    }
}

/// What is known about the tenant.
pub struct CallbackTimes {
    setting: CallbackTimesSetting,
    pool: PgPool,
    known: Mutex<Option<TimeForm>>,
    suspended: Mutex<Option<(Timestamp, String)>>,
    /// Held by the callback that shows how times are read.
    pub verifying: tokio::sync::Mutex<()>,
}

impl CallbackTimes {
    pub fn new(setting: CallbackTimesSetting, pool: PgPool) -> Self {
        let known = (setting == CallbackTimesSetting::Utc).then_some(TimeForm::Utc);
        Self {
            setting,
            pool,
            known: Mutex::new(known),
            suspended: Mutex::default(),
            verifying: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the setting says that times are local.
    pub fn are_local(&self) -> bool {
        self.setting == CallbackTimesSetting::BusinessUnit
    }

    /// Whether the times that CXone shows say how it reads times, because no form is set.
    pub fn are_judged(&self) -> bool {
        self.setting == CallbackTimesSetting::Detect
    }

    /// The form that is known to be right; none before the first callback of the tenant.
    pub async fn form(&self) -> Result<Option<TimeForm>, sqlx::Error> {
        if let Some(known) = self.known.lock().clone() {
            return Ok(Some(known));
        }
        if self.are_local() {
            return Ok(None);
        }
        let row = sqlx::query!("select time_zone from cxone_tenant").fetch_optional(&self.pool).await?;
        let form = row.and_then(|row| match row.time_zone {
            Some(zone) => TimeZone::get(&zone).ok().map(TimeForm::Local),
            None => Some(TimeForm::Utc),
        });
        (*self.known.lock()).clone_from(&form);
        Ok(form)
    }

    /// Uses the form from now on, without storing it.
    pub fn set(&self, form: &TimeForm) {
        *self.known.lock() = Some(form.clone());
    }

    /// Remembers what the first callback of the tenant has shown.
    pub async fn remember(&self, form: &TimeForm) -> Result<(), sqlx::Error> {
        let (name, zone) = match form {
            TimeForm::Utc => ("utc", None),
            TimeForm::Local(zone) => ("business-unit", zone.iana_name()),
        };
        sqlx::query!(
            "insert into cxone_tenant (callback_times, time_zone, verified_at) values ($1, $2, clock_timestamp())
             on conflict (only_one) do update set callback_times = $1, time_zone = $2, verified_at = clock_timestamp()",
            name,
            zone
        )
        .execute(&self.pool)
        .await?;
        self.set(form);
        *self.suspended.lock() = None;
        Ok(())
    }

    /// Stops dispatching for a while: NICE reads times in a way that is not known.
    pub fn suspend(&self, reason: String, now: Timestamp) {
        tracing::error!(reason, "no callback is dispatched: CXone reads the times of callbacks in an unknown way");
        *self.suspended.lock() = Some((now + SUSPENDED_FOR, reason));
    }

    /// Why nothing is dispatched, and for how long.
    pub fn suspended(&self, now: Timestamp) -> Option<(SignedDuration, String)> {
        let suspended = self.suspended.lock();
        let (until, reason) = suspended.as_ref().filter(|(until, _)| now < *until)?;
        Some((until.duration_since(now), reason.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_sent_in_utc_or_as_local_time_of_the_business_unit() {
        let (new_york, time) = (TimeZone::get("America/New_York").unwrap(), at("2026-11-20T15:00:00.250Z"));
        assert_eq!(TimeForm::Utc.write(time), "2026-11-20T15:00:00Z");
        assert_eq!(TimeForm::Local(new_york).write(time), "2026-11-20 10:00:00");
    }

    #[test]
    fn a_shown_time_says_how_it_was_read() {
        let sent = at("2026-11-20T15:00:00Z");
        for (zone, shown, expected) in [
            ("America/New_York", "2026-11-20T15:00:30Z", Reading::Right),
            ("America/New_York", "2026-11-20T20:00:00Z", Reading::AsLocal),
            ("Asia/Kathmandu", "2026-11-20T09:15:00Z", Reading::AsLocal),
            ("America/New_York", "2026-11-20T10:00:00Z", Reading::Wrong(SignedDuration::from_hours(-5))),
            ("America/New_York", "2026-11-20T15:37:00Z", Reading::Wrong(SignedDuration::from_mins(37))),
            ("UTC", "2026-11-20T16:00:00Z", Reading::Wrong(SignedDuration::from_hours(1))),
        ] {
            assert_eq!(Reading::of(at(shown), sent, &TimeZone::get(zone).unwrap()), expected, "{zone} {shown}");
        }
    }
}
