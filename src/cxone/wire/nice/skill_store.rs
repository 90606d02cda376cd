//! The skills that Ringback has stopped, so that it starts exactly these again.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use sqlx::PgPool;

use crate::types::CampaignId;

/// Longer than a stop takes that was remembered before it is sent.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(5);

/// The table of stopped skills.
pub struct SkillStore {
    pool: PgPool,
}

impl SkillStore {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Those that were stopped for the campaign, and are not confirmed to run again.
    pub async fn stopped(&self, id: &CampaignId) -> Result<Vec<i64>, sqlx::Error> {
        let skills = sqlx::query_scalar!(
            "select skill_id from cxone_stopped_skills where campaign_id = $1 order by skill_id",
            id.as_str()
        );
        skills.fetch_all(&self.pool).await
    }

    /// The same, after the skills that run again are forgotten. One that was remembered a moment ago may still be on its way to
    /// be stopped.
    pub async fn without_running(
        &self,
        id: &CampaignId,
        running: &[i64],
        now: Timestamp,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let stopped = self.stopped(id).await?;
        if !stopped.iter().any(|skill| running.contains(skill)) {
            return Ok(stopped);
        }
        let forgotten = sqlx::query!(
            "delete from cxone_stopped_skills where campaign_id = $1 and skill_id = any($2) and changed_at < $3",
            id.as_str(),
            running,
            (now - ON_ITS_WAY).to_sqlx() as _
        );
        forgotten.execute(&self.pool).await?;
        self.stopped(id).await
    }

    /// Remembers skills before they are stopped, or before they are started.
    pub async fn remember(&self, id: &CampaignId, skills: &[i64], now: Timestamp) -> Result<(), sqlx::Error> {
        let remembered = sqlx::query!(
            "insert into cxone_stopped_skills (campaign_id, skill_id, changed_at)
             select $1, skill_id, $3 from unnest($2::bigint[]) as skill_id
             on conflict (campaign_id, skill_id) do update set changed_at = $3",
            id.as_str(),
            skills,
            now.to_sqlx() as _
        );
        remembered.execute(&self.pool).await.map(drop)
    }

    /// Forgets skills that run again.
    pub async fn forget(&self, id: &CampaignId, running: &[i64]) -> Result<(), sqlx::Error> {
        let forgotten = sqlx::query!(
            "delete from cxone_stopped_skills where campaign_id = $1 and skill_id = any($2)",
            id.as_str(),
            running
        );
        forgotten.execute(&self.pool).await.map(drop)
    }
}
