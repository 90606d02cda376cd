//! The whole log, or what a filter selects of it, as CSV or NDJSON.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use csv::{Terminator, Writer, WriterBuilder};
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use super::model::Entry;
use super::store::{AuditStore, Filter, Position, Step};
use crate::db::is_transient;

/// Entries that one statement reads, and that an export holds in memory: most have less than a kilobyte.
pub const EXPORT_STEP: i64 = 1000;
/// How long an export tries to read its next entries, while all connections for reports are busy or Postgres restarts.
const READ_WITHIN: Duration = Duration::from_secs(20);
const READ_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The columns of CSV.
const COLUMNS: [&str; 19] = [
    "id",
    "timestamp",
    "action",
    "actorType",
    "actorId",
    "actorName",
    "outcome",
    "campaignId",
    "callbackId",
    "previousState",
    "newState",
    "latencyMs",
    "callVolumeBefore",
    "callVolumeAfter",
    "answerRate",
    "complianceHold",
    "triggeredBy",
    "requestId",
    "detail",
];

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header row.
    Csv,
    /// An entry in each line, as JSON.
    Ndjson,
}

impl Format {
    /// What comes before the first entry.
    ///
    /// # Errors
    /// None that is known: the text is written to memory.
    pub fn head(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Csv => with_csv(|csv| csv.write_record(COLUMNS)),
            Self::Ndjson => Ok(Vec::new()),
        }
    }

    /// These entries.
    ///
    /// # Errors
    /// None that is known: the text is written to memory.
    pub fn rows(self, entries: &[Entry]) -> io::Result<Vec<u8>> {
        if self == Self::Csv {
            return with_csv(|csv| {
                entries.iter().try_for_each(|entry| csv.write_record(cells(entry).iter().map(|cell| cell.as_bytes())))
            });
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

fn with_csv(write: impl FnOnce(&mut Writer<Vec<u8>>) -> csv::Result<()>) -> io::Result<Vec<u8>> {
    let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    write(&mut csv)?;
    csv.into_inner().map_err(|error| error.into_error())
}

/// In the order of [`COLUMNS`].
fn cells(entry: &Entry) -> [Cow<'_, str>; COLUMNS.len()] {
    let actor_type: &str = entry.actor.r#type.into();
    let outcome: &str = entry.outcome.into();
    [
        entry.id.to_string().into(),
        entry.timestamp.to_string().into(),
        entry.action.as_str().into(),
        actor_type.into(),
        harmless(&entry.actor.id),
        harmless(&entry.actor.name),
        outcome.into(),
        text(&entry.campaign_id),
        shown(entry.callback_id),
        text(&entry.previous_state),
        text(&entry.new_state),
        shown(entry.latency_ms),
        shown(entry.call_volume_before),
        shown(entry.call_volume_after),
        shown(entry.answer_rate),
        shown(entry.compliance_hold),
        text(&entry.triggered_by),
        text(&entry.request_id),
        entry.detail.as_json().to_string().into(),
    ]
}

fn shown<'a>(value: Option<impl ToString>) -> Cow<'a, str> {
    value.map(|value| value.to_string()).unwrap_or_default().into()
}

fn text(member: &Option<String>) -> Cow<'_, str> {
    member.as_deref().map(harmless).unwrap_or_default()
}

/// Text that begins like a formula gets an apostrophe in front, as OWASP recommends: a spreadsheet would evaluate it.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        return format!("'{text}").into();
    }
    text.into()
}

/// Why an export ended before its last entry.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the entries could not be read")]
    Database(#[from] sqlx::Error),
    #[error("the entries could not be written as text")]
    Encoding(#[from] io::Error),
}

/// One export.
struct Export {
    store: AuditStore,
    filter: Filter,
    format: Format,
    /// Held until the export is dropped.
    _slot: OwnedSemaphorePermit,
}

impl AuditStore {
    /// All entries that match the filter, newest first. None where too many exports are running. The first entries are read at
    /// once, all others when the client takes them. No connection is in use in between.
    ///
    /// # Errors
    /// If the first entries cannot be read.
    pub async fn export(
        &self,
        filter: Filter,
        format: Format,
    ) -> Result<Option<impl Stream<Item = Result<Bytes, ExportError>> + use<>>, ExportError> {
        let Some(slot) = self.export_slot() else { return Ok(None) };
        let first = self.step(&filter, None, EXPORT_STEP).await?;
        let mut text = format.head()?;
        text.extend(format.rows(&first.entries)?);
        let export = Arc::new(Export { store: self.clone(), filter, format, _slot: slot });
        let rest = stream::try_unfold(first.next, move |after| Arc::clone(&export).next(after));
        let whole = stream::iter([Ok(Bytes::from(text))]).chain(rest);
        Ok(Some(whole.inspect_err(|error: &ExportError| {
            tracing::error!(error = %error, "an export of the audit log was broken off");
        })))
    }
}

impl Export {
    async fn next(self: Arc<Self>, after: Option<Position>) -> Result<Option<(Bytes, Option<Position>)>, ExportError> {
        let Some(after) = after else { return Ok(None) };
        let step = self.read(&after).await?;
        Ok(Some((self.format.rows(&step.entries)?.into(), step.next)))
    }

    async fn read(&self, after: &Position) -> Result<Step, sqlx::Error> {
        let started = Instant::now();
        loop {
            match self.store.step(&self.filter, Some(after), EXPORT_STEP).await {
                Err(error) if is_transient(&error) && started.elapsed() < READ_WITHIN => {
                    tracing::warn!(error = %error, "an export of the audit log waits for the database");
                    sleep(READ_AGAIN_AFTER).await;
                }
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::audit::{Action, Actor, Outcome};

    fn entry() -> Entry {
        let at: Timestamp = "2026-11-20T15:00:00.25Z".parse().unwrap();
        let entry = Entry::new(Uuid::from_u128(7), at, Action::CampaignPaused, Actor::operator(), Outcome::Succeeded);
        entry.with_detail(&json!({"reason": "a, \"b\"", "phoneNumber": "+1202•••0198"}))
    }

    #[test]
    fn csv_has_a_column_for_each_member_and_quotes_what_needs_it() {
        let entry = Entry { latency_ms: Some(-5), answer_rate: Some(0.25), compliance_hold: Some(false), ..entry() };
        let csv = [Format::Csv.head().unwrap(), Format::Csv.rows(&[entry]).unwrap()].concat();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "id,timestamp,action,actorType,actorId,actorName,outcome,campaignId,callbackId,previousState,newState,latencyMs,\
             callVolumeBefore,callVolumeAfter,answerRate,complianceHold,triggeredBy,requestId,detail\r\n\
             00000000-0000-0000-0000-000000000007,2026-11-20T15:00:00.25Z,campaign.paused,operator,cli,command line,succeeded,\
             ,,,,-5,,,0.25,false,,,\"{\"\"reason\"\":\"\"a, \\\"\"b\\\"\"\"\",\"\"phoneNumber\"\":\"\"+1202•••0198\"\"}\"\r\n"
        );
    }

    #[test]
    fn no_text_in_csv_begins_like_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r", "\n", "＝"] {
            let bad = format!("{start}cmd|'/c calc'!A1");
            let mut entry = entry();
            entry.actor.id.clone_from(&bad);
            entry.actor.name.clone_from(&bad);
            for member in [
                &mut entry.campaign_id,
                &mut entry.previous_state,
                &mut entry.new_state,
                &mut entry.triggered_by,
                &mut entry.request_id,
            ] {
                *member = Some(bad.clone());
            }
            let guarded = cells(&entry).iter().filter(|cell| ***cell == format!("'{bad}")).count();
            assert_eq!((guarded, cells(&entry).iter().any(|cell| **cell == bad)), (7, false), "{bad}");
        }
    }

    #[test]
    fn a_line_of_ndjson_is_an_entry_as_in_the_list() {
        let lines = String::from_utf8(Format::Ndjson.rows(&[entry(), entry()]).unwrap()).unwrap();
        assert!(Format::Ndjson.head().unwrap().is_empty());
        let line = entry().into_json().to_string();
        assert_eq!(lines, format!("{line}\n{line}\n"));
    }
}
