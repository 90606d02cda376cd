//! The scheduled callbacks of a skill. NICE lists all of them in one answer, which all who look for one share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use super::reply::{Fields, rows};
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::RequestContext;
use crate::cxone::transport::Transport;

/// Comes before the id of a callback at the end of its notes.
const MARKER: &str = "ringback:";
/// The skills whose lists are kept.
const MAX_SKILLS: usize = 1000;

/// A scheduled callback in NICE.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    pub number: i64,
    /// The callback of Ringback that it belongs to, if any.
    pub callback_id: Option<Uuid>,
    pub at: Option<Timestamp>,
}

impl Scheduled {
    fn read(fields: &Fields) -> Option<Self> {
        let notes = fields.text(&["notes", "note"]).unwrap_or_default();
        Some(Self {
            number: fields.integer(&["callbackId", "id"])?,
            callback_id: marked(&notes),
            at: fields.instant(&["callbackTime", "scheduleDate"]),
        })
    }
}

/// The notes of a callback: what the agent reads, and the marker.
pub fn notes(language: &str, window: &str, id: Uuid) -> String {
    format!("Callback requested. Language {language}. Window {window}. {MARKER}{id}")
}

fn marked(notes: &str) -> Option<Uuid> {
    let (_, rest) = notes.rsplit_once(MARKER)?;
    rest.get(..36)?.parse().ok()
}

type List = Arc<AsyncMutex<Option<(Instant, Arc<[Scheduled]>)>>>;

/// The last list of each skill.
#[derive(Default)]
pub struct CallbackLists {
    skills: Mutex<HashMap<i64, List>>,
}

impl CallbackLists {
    fn of(&self, skill: i64) -> List {
        let mut skills = self.skills.lock();
        if skills.len() >= MAX_SKILLS {
            skills.retain(|_, list| Arc::strong_count(list) > 1);
        }
        Arc::clone(skills.entry(skill).or_default())
    }
}

impl Nice {
    /// The callbacks of a skill, as NICE listed them after this call began.
    pub(super) async fn scheduled(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Arc<[Scheduled]>, CxoneError> {
        let asked_at = Instant::now();
        let list = self.lists.of(skill);
        let mut list = list.lock().await;
        if let Some((_, scheduled)) = list.as_ref().filter(|(started, _)| *started >= asked_at) {
            return Ok(Arc::clone(scheduled));
        }
        let started = Instant::now();
        let path = format!("skills/{skill}/scheduled-callbacks");
        let request = Request::get(Operation::FindContact, path, "the permission to view scheduled callbacks");
        let read = |body: &[u8]| rows(body, &["callbacks"]);
        let rows = self.call(transport, request, context, read).await?;
        let scheduled: Arc<[Scheduled]> = rows.iter().filter_map(Scheduled::read).collect();
        *list = Some((started, Arc::clone(&scheduled)));
        Ok(scheduled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_end_with_the_marker_and_are_short() {
        let id = Uuid::max();
        let notes = notes("en-US", "2026-11-20 10:00 to 12:00 America/New_York", id);
        assert!(notes.len() <= 250 && notes.ends_with(&format!("ringback:{id}")), "{notes}");
        assert_eq!(marked(&notes), Some(id));
        for other in ["", "ringback:", "ringback:x", "call me"] {
            assert_eq!(marked(other), None, "{other}");
        }
    }
}
