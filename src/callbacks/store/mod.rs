//! Callbacks in Postgres. Every statement that changes a callback writes its audit entry too.

mod at_risk;
mod changes;
mod claim;
mod demand;
mod erase;
mod insert;
mod kept;
mod outcome_poll;
mod outcomes;
mod placing;
mod plans;
mod progress;
mod purge;
mod report;
mod reschedule;
mod row;
mod statistics;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::model::{Callback, Status};
use crate::audit::Entry;
use crate::campaigns::SettingsStore;
use crate::db::{CreatedPosition, Db, Page, PageRequest, retry};
use crate::types::{AllowedCampaigns, CampaignId, ExternalId, PhoneNumber};
use row::Row;

pub use changes::Requested;
pub use claim::Claimable;
pub use insert::{Inserted, PartlyInserted};
pub use kept::KeptPlaces;
pub use outcome_poll::OutcomePoll;
pub use outcomes::{Marked, Settlement};
pub use placing::Placed;
pub use plans::{DuePlan, NewPlan};
pub use report::{PlacedHour, PromiseCounts};
pub use reschedule::Rescheduled;
pub use statistics::{CallbackCounts, PromiseResults};

/// The filter of a list. A part that is absent matches every callback.
#[derive(Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub campaign_id: Option<CampaignId>,
    /// Only callbacks of these campaigns.
    pub campaigns: AllowedCampaigns,
    pub phone_number: Option<PhoneNumber>,
    pub external_id: Option<ExternalId>,
    /// Accepted at this time or later.
    pub from: Option<Timestamp>,
    /// Accepted before this time.
    pub to: Option<Timestamp>,
}

/// The table of callbacks. Clones share one connection pool.
#[derive(Clone)]
pub struct CallbackStore {
    pool: Db,
    campaigns: SettingsStore,
    // Placements of this replica wait here, so that they do not each hold a connection while they wait for the lock in
    // Postgres.
    placing: Arc<Mutex<()>>,
}

impl CallbackStore {
    /// Uses this database.
    pub fn new(pool: Db) -> Self {
        Self { campaigns: SettingsStore::new(pool.clone()), pool, placing: Arc::default() }
    }

    /// The callback with this id.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn find(&self, id: Uuid) -> Result<Option<Callback>, sqlx::Error> {
        let row = sqlx::query_as!(Row, "select * from callbacks where id = $1", id);
        row.fetch_optional(&self.pool).await?.map(Callback::try_from).transpose()
    }

    /// Those of the ids that are stored.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
        let found = sqlx::query_scalar!("select id from callbacks where id = any($1)", ids);
        Ok(found.fetch_all(&self.pool).await?.into_iter().collect())
    }

    /// One page of the callbacks that match the filter, newest first.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn page(
        &self,
        filter: &Filter,
        page: &PageRequest<CreatedPosition<Uuid>>,
    ) -> Result<Page<Callback>, sqlx::Error> {
        let mut transaction = self.pool.begin_planned().await?;
        let campaigns = filter.campaigns.texts();
        let rows = sqlx::query_as!(
            Row,
            "select * from callbacks
             where ($1::text is null or status = $1)
               and ($2::text is null or campaign_id = $2)
               and ($3::text is null or phone_number = $3)
               and ($4::text is null or external_id = $4)
               and ($5::timestamptz is null or created_at >= $5)
               and ($6::timestamptz is null or created_at < $6)
               and ($7::timestamptz is null or (created_at, id) < ($7, $8))
               and ($10::text[] is null or campaign_id = any($10))
             order by created_at desc, id desc
             limit $9",
            filter.status.map(<&str>::from),
            filter.campaign_id.as_ref().map(CampaignId::as_str),
            filter.phone_number.as_ref().map(PhoneNumber::as_str),
            filter.external_id.as_ref().map(ExternalId::as_str),
            filter.from.map(|at| at.to_sqlx()) as _,
            filter.to.map(|at| at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id),
            page.limit + 1,
            campaigns.as_deref()
        )
        .fetch_all(&mut transaction)
        .await?;
        let callbacks = rows.into_iter().map(Callback::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(callbacks, page.limit, |callback| CreatedPosition {
            created_at: callback.created_at,
            id: callback.id,
        }))
    }

    /// Cancels a callback whose contact CXone certainly does not have. A running attempt loses its claim. Returns none if
    /// CXone may have the contact, or the callback has ended.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub async fn cancel(&self, id: Uuid, now: Timestamp, entry: Entry) -> Result<Option<Callback>, sqlx::Error> {
        let entry = entry.into_json();
        // If a commit whose answer was lost has cancelled it, none is returned, and the callback is cancelled.
        let cancelled = retry(id.as_u64_pair().1, || async {
            let cancelled = sqlx::query_scalar!(
                "update callbacks set status = 'cancelled', attempts = attempts + 1, due_at = null, updated_at = $2
                 where id = $1 and status = 'accepted' and dispatch_time is null
                 returning audit_record($3)",
                id,
                now.to_sqlx() as _,
                entry
            );
            cancelled.fetch_optional(&self.pool).await
        });
        match cancelled.await? {
            Some(_) => self.find(id).await,
            None => Ok(None),
        }
    }
}
