//! The events about callbacks of a person: read and erased.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::WebhookStore;
use crate::db::Transaction;

/// The most events that are listed at once.
const MOST_LISTED: i64 = 5_000;

/// An event that is kept, with what receivers have answered.
#[derive(Clone, Debug)]
pub struct KeptEvent {
    pub id: Uuid,
    pub callback: Uuid,
    pub created_at: Timestamp,
    pub body: Value,
    pub answers: Vec<String>,
}

impl WebhookStore {
    /// The events about callbacks, oldest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn events_about(&self, callbacks: &[Uuid]) -> Result<Vec<KeptEvent>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select e.id, (e.body::jsonb ->> 'callbackId')::uuid as "callback!", e.created_at, e.body::jsonb as "body!", array(
                   select a.answer from webhook_deliveries as d join webhook_attempts as a on a.delivery_id = d.id
                   where d.event_seq = e.seq and a.answer is not null order by a.at
               ) as "answers!"
               from webhook_events as e
               where e.type like 'callback.%' and e.body::jsonb ->> 'callbackId' = any($1)
               order by e.seq limit $2"#,
            &texts(callbacks),
            MOST_LISTED
        );
        let rows = rows.fetch_all(&self.pool).await?.into_iter().map(|row| KeptEvent {
            id: row.id,
            callback: row.callback,
            created_at: row.created_at.to_jiff(),
            body: row.body,
            answers: row.answers,
        });
        Ok(rows.collect())
    }

    /// Erases the texts in the events about callbacks, and what receivers have answered to them. Deliveries that are still
    /// pending have the erased body. Returns the number of events.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn erase_events(transaction: &mut Transaction, callbacks: &[Uuid]) -> Result<u64, sqlx::Error> {
        let seqs = sqlx::query_scalar!(
            r#"update webhook_events
               set body = (body::jsonb || '{"externalId": null, "metadata": null}'
                   || case when jsonb_typeof(body::jsonb -> 'failure') = 'object'
                      then jsonb_build_object('failure', (body::jsonb -> 'failure') || '{"detail": "erased"}')
                      else '{}' end)::text
               where type like 'callback.%' and body::jsonb ->> 'callbackId' = any($1)
               returning seq"#,
            &texts(callbacks)
        )
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query!(
            "update webhook_attempts set answer = null
             where answer is not null
               and delivery_id in (select id from webhook_deliveries where event_seq = any($1))",
            &seqs
        )
        .execute(&mut *transaction)
        .await?;
        // An attempt that runs stores no answer. The delivery is made again.
        sqlx::query!("update webhook_deliveries set claims = claims + 1 where event_seq = any($1)", &seqs)
            .execute(transaction)
            .await?;
        Ok(seqs.len() as u64)
    }
}

fn texts(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}
