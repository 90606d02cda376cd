//! Reads the log.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::model::{Actor, ActorType, Detail, Entry, Outcome};
use crate::db::{Db, Page, PageRequest, SequencePosition, decode};
use crate::types::CampaignId;

/// The filter of a list. An absent part matches every entry.
#[derive(Debug, Default)]
pub struct Filter {
    pub campaign_id: Option<CampaignId>,
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

/// The log in Postgres.
#[derive(Clone, Debug)]
pub struct AuditStore {
    pool: Db,
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

impl TryFrom<Row> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            timestamp: row.timestamp.to_jiff(),
            action: decode(&row.action)?,
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
        Self { pool }
    }

    /// One page of the entries that match the filter, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn page(
        &self,
        filter: &Filter,
        page: &PageRequest<SequencePosition>,
    ) -> Result<Page<Entry>, sqlx::Error> {
        let outcome: Option<&str> = filter.outcome.map(Into::into);
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select seq, id, "timestamp", action, actor_type as "actor_type: ActorType", actor_id, actor_name,
                   outcome as "outcome: Outcome", campaign_id, callback_id,
                   previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
                   compliance_hold, triggered_by, request_id, detail
               from audit_entries
               where ($1::text is null or campaign_id = $1)
                 and ($2::uuid is null or callback_id = $2)
                 and ($3::text is null or action = $3)
                 and ($4::text is null or actor_id = $4 or actor_name = $4)
                 and ($5::text is null or outcome = $5)
                 and ($6::timestamptz is null or "timestamp" >= $6)
                 and ($7::timestamptz is null or "timestamp" < $7)
                 and ($8::bigint is null or seq < $8)
               order by seq desc
               limit $9"#,
            filter.campaign_id.as_ref().map(CampaignId::as_str),
            filter.callback_id,
            filter.action.as_deref(),
            filter.actor.as_deref(),
            outcome,
            filter.from.map(|at| at.to_sqlx()) as _,
            filter.to.map(|at| at.to_sqlx()) as _,
            page.after.as_ref().map(|seq| seq.0),
            page.limit + 1
        )
        .fetch_all(&mut transaction)
        .await?;
        Page::new(rows, page.limit, |row| SequencePosition(row.seq)).try_map(Entry::try_from)
    }
}
