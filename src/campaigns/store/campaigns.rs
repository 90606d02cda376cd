//! How campaigns are read, one by one and in pages.

use std::sync::Arc;

use jiff_sqlx::ToSqlx as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::audit::Entry;
use crate::campaigns::model::Counts;
use crate::campaigns::model::{Campaign, Failure};
use crate::cxone::CampaignState;
use crate::db::{CreatedPosition, Db, Page, PageRequest};
use crate::types::{AllowedCampaigns, CampaignId};

/// The tables `campaigns`, `campaign_holds` and `campaign_commands`.
#[derive(Clone, Debug)]
pub struct CampaignStore {
    pub(super) pool: Db,
    pub(super) holds_changed: Arc<Notify>,
}

/// A row of the view `campaign_details`.
struct Row {
    campaign_id: String,
    state: Option<String>,
    state_seen_at: Option<jiff_sqlx::Timestamp>,
    last_sent: Option<Value>,
    resume: Option<Value>,
    override_until: Option<jiff_sqlx::Timestamp>,
    failures: i32,
    failure_code: Option<String>,
    failure_detail: Option<String>,
    due_at: Option<jiff_sqlx::Timestamp>,
    check_at: Option<jiff_sqlx::Timestamp>,
    revision: i64,
    leased_by: Option<Uuid>,
    counted_from: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
    settings: Option<Value>,
    holds: Value,
    attempts: i64,
    answers: i64,
}

impl TryFrom<Row> for Campaign {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let state: Option<CampaignState> = row.state.map(|state| decode(Value::String(state))).transpose()?;
        Ok(Self {
            id: decode(Value::String(row.campaign_id))?,
            settings: row.settings.map(decode).transpose()?.unwrap_or_default(),
            holds: decode(row.holds)?,
            seen: state.zip(row.state_seen_at.map(jiff_sqlx::Timestamp::to_jiff)),
            last_sent: row.last_sent.map(decode).transpose()?.unwrap_or_default(),
            resume: row.resume.map(decode).transpose()?,
            override_until: row.override_until.map(jiff_sqlx::Timestamp::to_jiff),
            failures: row.failures.unsigned_abs(),
            failure: row.failure_code.zip(row.failure_detail).map(|(code, detail)| Failure { code, detail }),
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
            check_at: row.check_at.map(jiff_sqlx::Timestamp::to_jiff),
            revision: row.revision,
            leased_by: row.leased_by,
            counted_from: row.counted_from.map(jiff_sqlx::Timestamp::to_jiff),
            counts: Counts { attempts: row.attempts.unsigned_abs(), answers: row.answers.unsigned_abs() },
            started_externally: false,
            created_at: row.created_at.to_jiff(),
        })
    }
}

/// Decodes a stored value. One that the code does not know is an error.
pub(super) fn decode<T: DeserializeOwned>(stored: Value) -> Result<T, sqlx::Error> {
    serde_json::from_value(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

impl CampaignStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        Self { pool, holds_changed: Arc::default() }
    }

    /// Notifies one waiter whenever this replica has changed a hold.
    pub fn holds_changed(&self) -> &Notify {
        &self.holds_changed
    }

    /// The campaign with this id, where Ringback has stored anything about it.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn find(&self, id: &CampaignId) -> Result<Option<Campaign>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            r#"select campaign_id as "campaign_id!", state, state_seen_at, last_sent, resume, override_until,
                   failures as "failures!", failure_code, failure_detail, due_at, check_at, revision as "revision!",
                   leased_by, counted_from, created_at as "created_at!", settings, holds as "holds!",
                   attempts as "attempts!", answers as "answers!"
               from campaign_details where campaign_id = $1"#,
            id.as_str()
        );
        row.fetch_optional(&self.pool).await?.map(Campaign::try_from).transpose()
    }

    /// One page of these campaigns, newest first.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn page(
        &self,
        campaigns: &AllowedCampaigns,
        page: &PageRequest<CreatedPosition<CampaignId>>,
    ) -> Result<Page<Campaign>, sqlx::Error> {
        let campaigns = campaigns.texts();
        let mut transaction = self.pool.begin_planned().await?;
        let rows = sqlx::query_as!(
            Row,
            r#"select campaign_id as "campaign_id!", state, state_seen_at, last_sent, resume, override_until,
                   failures as "failures!", failure_code, failure_detail, due_at, check_at, revision as "revision!",
                   leased_by, counted_from, created_at as "created_at!", settings, holds as "holds!",
                   attempts as "attempts!", answers as "answers!"
               from campaign_details
               where ($1::timestamptz is null or (created_at, campaign_id) < ($1, $2))
                 and ($4::text[] is null or campaign_id = any($4))
               order by created_at desc, campaign_id desc
               limit $3"#,
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id.as_str()),
            page.limit + 1,
            campaigns.as_deref()
        )
        .fetch_all(&mut transaction)
        .await?;
        let campaigns = rows.into_iter().map(Campaign::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::new(campaigns, page.limit, |campaign| CreatedPosition {
            created_at: campaign.created_at,
            id: campaign.id.to_string(),
        }))
    }

    /// Inserts a campaign of which nothing is known yet, where it is missing.
    pub(super) async fn insert_unknown(&self, id: &CampaignId) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "insert into campaigns (campaign_id, created_at, updated_at) values ($1, clock_timestamp(), clock_timestamp())
             on conflict do nothing",
            id.as_str()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Deletes a campaign of which nothing is known but that a command named it.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn delete_unknown(&self, id: &CampaignId) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "delete from campaigns
             where campaign_id = $1 and state is null and due_at is null and check_at is null and leased_by is null
               and not exists (select from campaign_holds where campaign_id = $1)
               and not exists (select from campaign_settings where campaign_id = $1)",
            id.as_str()
        )
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Stores an audit entry without any other change.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn record(&self, entry: Entry) -> Result<(), sqlx::Error> {
        sqlx::query!("select audit_record($1) as id", entry.into_json()).fetch_one(&self.pool).await.map(drop)
    }
}
