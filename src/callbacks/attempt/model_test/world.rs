//! The state of one run, and the checks of each change to it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::nice::Nice;
use crate::callbacks::model::{Callback, Status};
use crate::cxone::{ContactAnswer, ContactId, CxoneError};

/// What an endpoint of CXone does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behavior {
    Normal,
    /// 429 or 503: not carried out.
    Busy,
    /// 400, 403, 404 or 422 for every request.
    Refuses,
    /// 500 or no answer: not carried out.
    Fails,
    /// 500 or no answer: carried out.
    LosesAnswers,
    /// No answer: carried out later.
    Late,
    /// The forecast is empty, or has no agents.
    Empty,
}

pub const BEHAVIORS: [Behavior; 7] = [
    Behavior::Normal,
    Behavior::Normal,
    Behavior::Busy,
    Behavior::Refuses,
    Behavior::Fails,
    Behavior::LosesAnswers,
    Behavior::Late,
];

/// The state that all attempts share: a row in Postgres, and CXone.
pub struct World {
    pub now_ms: i64,
    pub row: Callback,
    /// The start of the contact in CXone.
    pub contact: Option<Timestamp>,
    /// CXone with the other API, which has the contacts then.
    pub nice: Option<Nice>,
    /// The starts of requests that CXone has neither answered nor carried out yet.
    pub in_flight: Vec<Timestamp>,
    pub cxone_skew_ms: i64,
    /// Whether CXone checks the start before it looks up an existing contact.
    pub validates_first: bool,
    pub sms_sent: u32,
    pub forecast: Behavior,
    pub contacts: Behavior,
    pub messaging: Behavior,
    /// Whether Postgres answers. It may carry out a statement without answering.
    pub postgres_answers: bool,
    pub rng: fastrand::Rng,
    /// Recorded only when a failed run is repeated.
    pub history: Option<String>,
    pub violation: Option<String>,
}

pub type Shared = Arc<Mutex<World>>;

impl World {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).unwrap()
    }

    /// The time passes, and NICE acts in it.
    pub fn advance(&mut self, milliseconds: i64) {
        self.now_ms += milliseconds;
        self.run_nice();
    }

    /// Whether CXone will call, or has called.
    pub fn has_contact(&self) -> bool {
        self.nice.as_ref().map_or(self.contact.is_some(), Nice::has_contact)
    }

    pub fn has_contact_at(&self, at: Option<Timestamp>) -> bool {
        self.nice.as_ref().map_or(self.contact == at, |nice| nice.has_contact_at(at))
    }

    pub fn log(&mut self, describe: impl FnOnce(&Self) -> String) {
        let line = self.history.is_some().then(|| describe(self));
        let now = self.now();
        if let Some((history, line)) = self.history.as_mut().zip(line) {
            let _ = writeln!(history, "{now} {line}");
        }
    }

    pub fn is_claimed_as(&self, attempts: i32) -> bool {
        self.row.attempts == attempts && self.row.due_at.is_some()
    }

    pub fn store(&mut self, callback: &Callback, step: &str) {
        let now = self.now();
        let nice = self.nice.as_mut().filter(|_| self.row.status == Status::Accepted && callback.attempts > 1);
        if let Some((nice, at)) = nice.zip(callback.dispatch_time.filter(|_| callback.status == Status::Scheduled)) {
            nice.look_again(at, now);
        }
        self.row = callback.clone();
        self.log(|world| {
            let Callback { attempts, status, dispatch_time, earlier_dispatch_time, .. } = &world.row;
            format!("attempt {attempts}: {step}: {status:?} at {dispatch_time:?}, before {earlier_dispatch_time:?}")
        });
        if self.row.status == Status::Scheduled && !self.has_contact_at(self.row.dispatch_time) {
            self.violation = Some("it is scheduled, but CXone has no contact that starts then".into());
        }
    }

    /// CXone carries out a request to create the contact.
    pub fn create_contact(&mut self, at: Timestamp) -> Result<ContactAnswer, CxoneError> {
        let has_passed = at.as_millisecond() <= self.now_ms + self.cxone_skew_ms;
        if self.contact.is_some() && !(self.validates_first && has_passed) {
            return Ok(ContactAnswer::Exists { contact: ContactId::Own(self.row.id), at: None, deleted: Vec::new() });
        }
        if has_passed {
            return Err(CxoneError::Rejected { status: 400, reason: "the start is not in the future".into() });
        }
        self.contact = Some(at);
        self.log(|_| format!("CXone creates the contact, for {at}"));
        if matches!(self.row.status, Status::Failed | Status::Cancelled) {
            self.violation = Some(format!("CXone creates a contact for a callback that is {:?}", self.row.status));
        }
        Ok(ContactAnswer::Created { contact: ContactId::Own(self.row.id) })
    }

    pub fn send_sms(&mut self) {
        self.sms_sent += 1;
        self.log(|_| "CXone sends the SMS".into());
        if self.sms_sent > 1 {
            self.violation = Some("two SMS".into());
        }
        if !self.has_contact() {
            self.violation = Some("an SMS without a contact".into());
        }
    }

    pub fn refusal(&mut self) -> CxoneError {
        let reason = String::new;
        match self.rng.u8(0..4) {
            0 => CxoneError::Rejected { status: 400, reason: reason() },
            1 => CxoneError::Rejected { status: 422, reason: reason() },
            2 => CxoneError::Forbidden { permission: "s", reason: reason() },
            _ => CxoneError::NotFound { reason: reason() },
        }
    }

    pub fn busy(&mut self) -> CxoneError {
        match self.rng.u8(0..4) {
            0 => CxoneError::RateLimited { retry_after: Duration::from_secs(40) },
            1 => CxoneError::OverBudget { retry_after: Duration::from_secs(1) },
            2 => CxoneError::Unauthorized { reason: String::new() },
            _ => CxoneError::Unavailable { retry_after: None, reason: String::new() },
        }
    }

    pub fn unknown(&mut self) -> CxoneError {
        match self.rng.u8(0..3) {
            0 => CxoneError::ServerError { retry_after: None, reason: String::new() },
            1 => CxoneError::UnexpectedAnswer { reason: String::new() },
            _ => CxoneError::OutcomeUnknown { reason: String::new() },
        }
    }
}
