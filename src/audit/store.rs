//! Reads the log.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::action::{Action, RecordedAction};
use super::model::{Actor, ActorType, Detail, Entry, Outcome};
use crate::db::{CreatedPosition, Db, Page, PageRequest};
use crate::types::{AllowedCampaigns, CampaignId};

/// Exports at the same time. Each holds about a megabyte for as long as its client reads.
const MAX_EXPORTS: usize = 8;

/// The filter of a list. An absent part matches every entry.
#[derive(Debug, Default)]
pub struct Filter {
    pub campaign_id: Option<CampaignId>,
    /// Only entries of these campaigns.
    pub campaigns: AllowedCampaigns,
    pub callback_id: Option<Uuid>,
    pub action: Option<String>,
    /// An actor's id or name.
    pub actor: Option<String>,
    pub outcome: Option<Outcome>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

impl Filter {
    /// The campaign of all matching entries, if there is one: an index serves it.
    pub(super) fn campaign(&self) -> Option<&CampaignId> {
        let only =
            self.campaigns.restriction().and_then(|campaigns| campaigns.first().filter(|_| campaigns.len() == 1));
        self.campaign_id.as_ref().or(only)
    }

    /// Whether an index serves the filter besides the one of all entries. Almost every entry has succeeded, and a callback
    /// that is accepted writes one of the few entries that a callback has: those values are left out of their indexes.
    pub(super) fn has_rare_value(&self) -> bool {
        self.campaign().is_some()
            || self.callback_id.is_some()
            || self.actor.is_some()
            || self.action.as_deref().is_some_and(|action| action != Action::CallbackAccepted.as_str())
            || self.outcome.is_some_and(|outcome| outcome != Outcome::Succeeded)
    }
}

/// The position of an entry: its time, and its sequence number as id.
pub type Position = CreatedPosition<i64>;

/// A part of the log.
#[derive(Debug)]
pub struct Step {
    pub entries: Vec<Entry>,
    /// The position of the last entry; none where there are no more.
    pub next: Option<Position>,
}

/// The log in Postgres.
#[derive(Clone, Debug)]
pub struct AuditStore {
    pool: Db,
    exports: Arc<Semaphore>,
}

pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) timestamp: jiff_sqlx::Timestamp,
    pub(super) action: String,
    pub(super) actor_type: ActorType,
    pub(super) actor_id: String,
    pub(super) actor_name: String,
    pub(super) outcome: Outcome,
    pub(super) campaign_id: Option<String>,
    pub(super) callback_id: Option<Uuid>,
    pub(super) previous_state: Option<String>,
    pub(super) new_state: Option<String>,
    pub(super) latency_ms: Option<i64>,
    pub(super) call_volume_before: Option<i64>,
    pub(super) call_volume_after: Option<i64>,
    pub(super) answer_rate: Option<f64>,
    pub(super) compliance_hold: Option<bool>,
    pub(super) triggered_by: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) detail: serde_json::Value,
}

impl Row {
    fn position(&self) -> Position {
        Position { created_at: self.timestamp.to_jiff(), id: self.seq }
    }
}

impl TryFrom<Row> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            timestamp: row.timestamp.to_jiff(),
            action: RecordedAction::read(row.action),
            actor: Actor { r#type: row.actor_type, id: row.actor_id, name: row.actor_name },
            outcome: row.outcome,
            campaign_id: row.campaign_id,
            callback_id: row.callback_id,
            previous_state: row.previous_state,
            new_state: row.new_state,
            latency_ms: row.latency_ms,
            call_volume_before: row.call_volume_before,
            call_volume_after: row.call_volume_after,
            answer_rate: row.answer_rate,
            compliance_hold: row.compliance_hold,
            triggered_by: row.triggered_by,
            request_id: row.request_id,
            detail: Detail::stored(row.detail),
            event: None,
        })
    }
}

impl AuditStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool, exports: Arc::new(Semaphore::new(MAX_EXPORTS)) }
    }

    /// The right to run an export; none where too many are running.
    pub(super) fn export_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.exports).try_acquire_owned().ok()
    }

    /// One page of the entries that match the filter, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn page(&self, filter: &Filter, page: &PageRequest<Position>) -> Result<Page<Entry>, sqlx::Error> {
        let rows = self.rows(filter, page.after.as_ref(), page.limit + 1).await?;
        Page::new(rows, page.limit, Row::position).try_map(Entry::try_from)
    }

    /// The next entries that match the filter, newest first, at most `limit`.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn step(&self, filter: &Filter, after: Option<&Position>, limit: i64) -> Result<Step, sqlx::Error> {
        let rows = self.rows(filter, after, limit).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
        let next = rows.last().filter(|_| is_full).map(Row::position);
        Ok(Step { entries: rows.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?, next })
    }

    /// The numbers and actions of the newest entries after this number, the newest first, at most `limit`. Only of entries that are less
    /// than an hour old, so that it reads one or two partitions.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn newest_actions(
        &self,
        after: i64,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let earliest = now - SignedDuration::from_hours(1);
        let rows = sqlx::query!(
            "select seq, action from audit_entries where seq > $1 and \"timestamp\" > $2 order by seq desc limit $3",
            after,
            earliest.to_sqlx() as _,
            limit
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.seq, row.action)).collect())
    }

    async fn rows(&self, filter: &Filter, after: Option<&Position>, limit: i64) -> Result<Vec<Row>, sqlx::Error> {
        let outcome: Option<&str> = filter.outcome.map(Into::into);
        let campaigns = filter.campaigns.texts();
        sqlx::query_file_as!(
            Row,
            "src/audit/page.sql",
            filter.campaign().map(CampaignId::as_str),
            filter.callback_id,
            filter.action.as_deref(),
            filter.actor.as_deref(),
            outcome,
            filter.from.map(|at| at.to_sqlx()) as _,
            filter.to.map(|at| at.to_sqlx()) as _,
            after.map(|position| position.created_at.to_sqlx()) as _,
            after.map(|position| position.id),
            !filter.has_rare_value(),
            limit,
            campaigns.as_deref()
        )
        .fetch_all(&self.pool)
        .await
    }
}
