//! The callbacks of a person, and how they are erased.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use uuid::Uuid;

use super::CallbackStore;
use super::row::Row;
use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::db::{CreatedPosition, Page, PageRequest, Transaction};
use crate::types::PhoneNumber;

impl CallbackStore {
    /// One page of the callbacks of a person, newest first: those of the number, and those that are erased and have one of the
    /// hashes.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn of_person(
        &self,
        number: Option<&PhoneNumber>,
        hashes: &[String],
        page: &PageRequest<CreatedPosition<Uuid>>,
    ) -> Result<Page<Callback>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        // Two branches, because each has an index in the order of the page.
        let rows = sqlx::query_as!(
            Row,
            "with found as (
                 (select id, created_at from callbacks
                  where phone_number = $1 and ($3::timestamptz is null or (created_at, id) < ($3, $4))
                  order by created_at desc, id desc limit $5)
                 union all
                 (select id, created_at from callbacks
                  where phone_number_hash = any($2) and ($3::timestamptz is null or (created_at, id) < ($3, $4))
                  order by created_at desc, id desc limit $5)
             ),
             page as (select id from found order by created_at desc, id desc limit $5)
             select c.* from page join callbacks as c on c.id = page.id
             order by c.created_at desc, c.id desc",
            number.map(PhoneNumber::as_str),
            hashes,
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id),
            page.limit + 1
        )
        .fetch_all(&mut transaction)
        .await?;
        transaction.rollback().await?;
        let callbacks = rows.into_iter().map(Callback::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(callbacks, page.limit, |callback| CreatedPosition {
            created_at: callback.created_at,
            id: callback.id,
        }))
    }

    /// Erases those of the callbacks that have ended: their phone number and every text. Returns their ids.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn erase(
        transaction: &mut Transaction,
        entries: Vec<(Uuid, Entry)>,
        hash: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        let given: Vec<_> =
            entries.into_iter().map(|(id, entry)| json!({ "id": id, "entry": entry.into_json() })).collect();
        // All statements lock in one order, so that replicas do not deadlock. The condition is that of `has_ended`.
        let erased = sqlx::query!(
            r#"with given as (select * from jsonb_to_recordset($1) as g(id uuid, entry jsonb)),
             locked as (
                 select c.id from callbacks as c
                 where c.id in (select id from given) and c.erased_at is null
                   and c.due_at is null and (c.status <> 'scheduled' or c.requested_end < $3)
                 order by c.id for update
             ),
             erased as (
                 update callbacks set erased_at = $3, updated_at = $3, phone_number = null, phone_number_hash = $2,
                     external_id = null, metadata = null, request_id = '', traceparent = null, at_risk = false,
                     disposition = null, recheck_at = null,
                     failure_detail = case when failure_code is not null then 'erased' end
                 from locked where callbacks.id = locked.id
                 returning callbacks.id
             )
             select erased.id, audit_record(given.entry) as entry_id from given join erased using (id)"#,
            json!(given),
            hash,
            now.to_sqlx() as _
        );
        Ok(erased.fetch_all(transaction).await?.into_iter().map(|row| row.id).collect())
    }
}
