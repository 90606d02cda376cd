//! Callbacks at risk: those whose dispatch time a hold covers.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use super::row::Row;
use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::campaigns::{HeldPeriod, ScheduledCallbacks};
use crate::types::CampaignId;

/// The maximum number of callbacks that are marked by one statement.
const MARKED_AT_ONCE: i64 = 200;

impl ScheduledCallbacks for CallbackStore {
    fn count<'a>(
        &'a self,
        campaign: &'a CampaignId,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u32, sqlx::Error>> {
        async move {
            let count = sqlx::query_scalar!(
                r#"select count(*) as "count!" from callbacks
                   where campaign_id = $1 and status = 'scheduled' and dispatch_time >= $2
                     and dispatch_time < coalesce($3::timestamptz, 'infinity')"#,
                campaign.as_str(),
                from.to_sqlx() as _,
                until.map(|at| at.to_sqlx()) as _
            );
            Ok(u32::try_from(count.fetch_one(&self.pool).await?).unwrap_or(u32::MAX))
        }
        .boxed()
    }
}

impl CallbackStore {
    /// Some of the scheduled callbacks in a held time that are not marked, or none if all are marked.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn newly_at_risk(&self, held: &[HeldPeriod]) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"select c.* from jsonb_to_recordset($1) as h(campaign_id text, "from" timestamptz, until timestamptz)
               cross join lateral (
                   select * from callbacks
                   where campaign_id = h.campaign_id and status = 'scheduled' and not at_risk and erased_at is null
                     and dispatch_time >= h."from" and dispatch_time < coalesce(h.until, 'infinity')
                   limit $2
               ) as c
               limit $2"#,
            json!(held),
            MARKED_AT_ONCE
        );
        let mut rows = rows.fetch_all(&self.pool).await?;
        // Several holds may cover the same callback.
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        rows.into_iter().map(Callback::try_from).collect()
    }

    /// Some of the marked callbacks of these campaigns that lie in no held time, or none if none is left.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn no_longer_at_risk(
        &self,
        campaigns: &[String],
        held: &[HeldPeriod],
    ) -> Result<Vec<Callback>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"select * from callbacks
               where campaign_id = any($1) and at_risk and not exists (
                   select from jsonb_to_recordset($2) as h(campaign_id text, "from" timestamptz, until timestamptz)
                   where h.campaign_id = callbacks.campaign_id and callbacks.dispatch_time >= h."from"
                     and callbacks.dispatch_time < coalesce(h.until, 'infinity')
               )
               limit $3"#,
            campaigns,
            json!(held),
            MARKED_AT_ONCE
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Callback::try_from).collect()
    }

    /// Marks or unmarks callbacks, each with its audit entry, and returns how many were changed. A callback that needs no
    /// change gets no entry. One whose dispatch time is not that of its entry any more has been moved, and is not marked.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn mark(&self, at_risk: bool, entries: Vec<(Uuid, Entry)>, now: Timestamp) -> Result<u64, sqlx::Error> {
        let given = entries.into_iter().map(|(id, entry)| {
            let dispatch_time = entry.detail.as_json()["dispatchTime"].clone();
            json!({ "id": id, "dispatch_time": dispatch_time, "entry": entry.into_json() })
        });
        let given: Vec<_> = given.collect();
        // All statements lock in one order, so that replicas do not deadlock: first the callbacks by id, then the events of the
        // campaigns. Postgres calls a volatile function after it has sorted the rows.
        let marked = sqlx::query!(
            "with given as (
                 select * from jsonb_to_recordset($1) as g(id uuid, dispatch_time timestamptz, entry jsonb)
             ),
             locked as (
                 select c.id from callbacks as c join given using (id)
                 where c.at_risk <> $2 and c.erased_at is null
                   and (not $2 or (c.status = 'scheduled'
                       and date_trunc('milliseconds', c.dispatch_time) = date_trunc('milliseconds', given.dispatch_time)))
                 order by c.id for update of c
             ),
             marked as (
                 update callbacks set at_risk = $2, updated_at = $3 from locked where callbacks.id = locked.id
                 returning callbacks.id, callbacks.campaign_id
             )
             select audit_record(given.entry) as entry_id from given join marked using (id)
             order by marked.campaign_id, marked.id",
            json!(given),
            at_risk,
            now.to_sqlx() as _
        );
        Ok(marked.fetch_all(&self.pool).await?.len() as u64)
    }
}
