//! The answers that clients got, recorded outside the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::verdict::{Ack, AckedHold, Intent, Kind, SentResume, Violation};

/// A request's place in the record.
#[derive(Clone, Copy)]
pub struct Place(usize);

/// Shared by all clients; clones are the same record.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Kept>>);

#[derive(Default)]
pub struct Kept {
    pub intents: Vec<Intent>,
    pub holds: Vec<AckedHold>,
    pub resumes: Vec<SentResume>,
    /// How many commands to pause were sent, by campaign; those sent again are not counted again.
    pub pauses_sent: BTreeMap<String, usize>,
    /// What was wrong with an answer.
    pub violations: Vec<Violation>,
    /// Answers by what was asked and the status; 0 for none.
    pub answers: BTreeMap<(&'static str, u16), u64>,
    /// Successful answers: the replica, and when.
    pub successes: Vec<(usize, Instant)>,
    /// Callbacks that a replica acknowledged at once, each sent once: the replica, and when.
    pub writes: Vec<(usize, Instant)>,
}

impl Record {
    pub fn wants(&self, intent: Intent) -> Place {
        let mut kept = self.kept();
        kept.intents.push(intent);
        Place(kept.intents.len() - 1)
    }

    pub fn acknowledged(&self, place: Place, ack: Ack) {
        self.change(place, |intent| intent.acks.push(ack));
    }

    pub fn change(&self, place: Place, change: impl FnOnce(&mut Intent)) {
        if let Some(intent) = self.kept().intents.get_mut(place.0) {
            change(intent);
        }
    }

    pub fn wrote(&self, replica: usize) {
        self.kept().writes.push((replica, Instant::now()));
    }

    pub fn hold(&self, hold: AckedHold) {
        self.kept().holds.push(hold);
    }

    pub fn pauses(&self, campaign: &str) {
        *self.kept().pauses_sent.entry(campaign.to_owned()).or_default() += 1;
    }

    pub fn resumes(&self, resume: SentResume) -> Place {
        let mut kept = self.kept();
        kept.resumes.push(resume);
        Place(kept.resumes.len() - 1)
    }

    pub fn resume_acknowledged(&self, place: Place, at: Timestamp) {
        if let Some(resume) = self.kept().resumes.get_mut(place.0) {
            resume.acked_at = Some(at);
        }
    }

    pub fn wrong(&self, what: &str, details: Value) {
        self.kept().violations.push(Violation::new(Kind::Wrong, what, details));
    }

    /// Counts an answer. With a 500 the service says itself that something is wrong; 503 is for what passes.
    pub fn answered(&self, what: &'static str, replica: usize, status: u16, body: &Value) {
        *self.kept().answers.entry((what, status)).or_default() += 1;
        if status >= 500 && status != 503 {
            self.wrong(&format!("an answer of status {status}"), json!({ "request": what, "answer": body }));
        }
        if status < 500 {
            self.kept().successes.push((replica, Instant::now()));
        }
    }

    pub fn unanswered(&self, what: &'static str) {
        *self.kept().answers.entry((what, 0)).or_default() += 1;
    }

    /// Callbacks that were acknowledged.
    pub fn acknowledgements(&self) -> usize {
        self.kept().intents.iter().filter(|intent| !intent.acks.is_empty()).count()
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
