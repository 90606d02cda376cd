//! Another window for a callback.

use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::CallbackStore;
use crate::audit::Entry;
use crate::callbacks::model::Callback;
use crate::db::{is_overlap, retry};
use crate::types::TimeWindow;

/// The result of replacing the window of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescheduled {
    /// It has the new window.
    Stored,
    /// The number has this other open callback for the campaign in an overlapping window.
    Overlaps(Uuid),
    /// Nothing was changed: its window is not the previous one any more, CXone may have the contact, or it has ended.
    Changed,
}

impl CallbackStore {
    /// Stores the window of a rescheduled callback, unless CXone may have the contact. A running attempt loses its claim.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn reschedule(
        &self,
        rescheduled: &Callback,
        previous: TimeWindow,
        entry: Entry,
    ) -> Result<Rescheduled, sqlx::Error> {
        let entry = entry.into_json();
        // May be repeated: after a lost commit the window is not the previous one any more.
        let stored = retry(rescheduled.id.as_u64_pair().1, || async {
            let stored = sqlx::query_scalar!(
                "update callbacks set requested_start = $2, requested_end = $3, attempts = attempts + 1, due_at = $4,
                     failure_code = null, failure_detail = null, at_risk = false, updated_at = $5
                 where id = $1 and status = 'accepted' and dispatch_time is null
                   and requested_start = $6 and requested_end = $7
                 returning audit_record($8)",
                rescheduled.id,
                rescheduled.window.start().to_sqlx() as _,
                rescheduled.window.end().to_sqlx() as _,
                rescheduled.due_at.map(|at| at.to_sqlx()) as _,
                rescheduled.updated_at.to_sqlx() as _,
                previous.start().to_sqlx() as _,
                previous.end().to_sqlx() as _,
                entry
            );
            stored.fetch_optional(&self.pool).await
        });
        match stored.await {
            Ok(Some(_)) => Ok(Rescheduled::Stored),
            Ok(None) => Ok(Rescheduled::Changed),
            Err(error) if is_overlap(&error) => {
                let existing = self.find_overlap(rescheduled, rescheduled.window).await?;
                Ok(existing.map_or(Rescheduled::Changed, Rescheduled::Overlaps))
            }
            Err(error) => Err(error),
        }
    }

    /// Another open callback of the number for the campaign that overlaps the window. None if it has ended meanwhile.
    pub(super) async fn find_overlap(
        &self,
        callback: &Callback,
        window: TimeWindow,
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let found = sqlx::query_scalar!(
            r#"select open_id as "open_id!" from open_callbacks_in($1, $2, tstzrange($4, $5)) as open_id
               where open_id <> $3
               limit 1"#,
            callback.phone_number.as_str(),
            callback.campaign_id.as_str(),
            callback.id,
            window.start().to_sqlx() as _,
            window.end().to_sqlx() as _
        );
        found.fetch_optional(&self.pool).await
    }
}
