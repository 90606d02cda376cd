//! Sessions and links in Postgres.

use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::audit::Entry;
use crate::db::{Cache, Db, Topic, decode, purge_in_steps};
use crate::oidc::Token;
use crate::types::{AllowedCampaigns, CampaignId};

/// The sessions of which copies are kept.
const CACHED_SESSIONS: usize = 4096;
/// The most sessions of one key or person. A new one ends the oldest.
const MAX_SESSIONS: i64 = 500;
/// The rows that one statement deletes.
const PURGE_STEP: u64 = 1000;

/// Whose session it is.
#[derive(Clone, Debug)]
pub enum Owner {
    /// The holder of this API key.
    Key(Uuid),
    /// A person of the identity provider, with what the token allowed. It expires with the session.
    Subject(Arc<Token>),
}

impl Owner {
    fn key(&self) -> Option<Uuid> {
        match self {
            Self::Key(id) => Some(*id),
            Self::Subject(_) => None,
        }
    }

    fn subject(&self) -> Option<&Token> {
        match self {
            Self::Key(_) => None,
            Self::Subject(token) => Some(token),
        }
    }
}

/// A session that exists.
#[derive(Clone, Debug)]
pub struct StoredSession {
    pub owner: Owner,
    pub expires_at: Timestamp,
}

struct Row {
    key_id: Option<Uuid>,
    subject_id: Option<Uuid>,
    subject_name: Option<String>,
    scopes: Option<Vec<String>>,
    campaigns: Option<Vec<String>>,
    expires_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for StoredSession {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let expires_at = row.expires_at.to_jiff();
        if let Some(key) = row.key_id {
            return Ok(Self { owner: Owner::Key(key), expires_at });
        }
        let broken = || sqlx::Error::Decode("a session of nobody".into());
        let scopes = row.scopes.unwrap_or_default();
        let token = Token {
            id: row.subject_id.ok_or_else(broken)?,
            name: row.subject_name.ok_or_else(broken)?.into(),
            scopes: scopes.iter().map(|scope| decode(scope)).collect::<Result<_, _>>()?,
            campaigns: stored_campaigns(row.campaigns)?,
            expires_at,
            valid_from: None,
        };
        Ok(Self { owner: Owner::Subject(Arc::new(token)), expires_at })
    }
}

fn stored_campaigns(campaigns: Option<Vec<String>>) -> Result<AllowedCampaigns, sqlx::Error> {
    let Some(campaigns) = campaigns else { return Ok(AllowedCampaigns::all()) };
    let parsed = campaigns.iter().map(|id| CampaignId::parse(id)).collect::<Result<Vec<_>, _>>();
    parsed.map(AllowedCampaigns::only).map_err(|fault| sqlx::Error::Decode(fault.detail.into()))
}

/// The tables `console_sessions` and `console_links`. Clones share their copies of sessions.
#[derive(Clone)]
pub struct ConsoleStore {
    pool: Db,
    copies: Arc<Cache<[u8; 32], Arc<StoredSession>>>,
}

impl ConsoleStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        let copies = Arc::new(Cache::new(Topic::ConsoleSessions, pool.changes().clone(), CACHED_SESSIONS));
        Self { pool, copies }
    }

    /// The session with this hash, ended or not. Its deletion is noticed within a second.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn session(&self, hash: [u8; 32]) -> Result<Option<Arc<StoredSession>>, sqlx::Error> {
        if let Some(session) = self.copies.get(&hash) {
            return Ok(Some(session));
        }
        let version = self.copies.version();
        let row = sqlx::query_as!(
            Row,
            "select key_id, subject_id, subject_name, scopes, campaigns, expires_at from console_sessions
             where token_hash = $1",
            &hash
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let session = Arc::new(StoredSession::try_from(row)?);
        self.copies.insert(hash, version, Arc::clone(&session));
        Ok(Some(session))
    }

    /// Stores a session and its audit entry. Of very many sessions of the owner, the oldest ends.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn create_session(
        &self,
        hash: [u8; 32],
        session: &StoredSession,
        now: Timestamp,
        entry: Entry,
    ) -> Result<(), sqlx::Error> {
        let subject = session.owner.subject();
        let scopes = subject.map(|token| token.scopes.iter().map(ToString::to_string).collect::<Vec<_>>());
        let campaigns = subject.and_then(|token| token.campaigns.texts());
        sqlx::query_scalar!(
            "with surplus as (
                 delete from console_sessions where token_hash in (
                     select token_hash from console_sessions where key_id = $2 or subject_id = $3
                     order by created_at desc offset $10)
             )
             insert into console_sessions
                 (token_hash, key_id, subject_id, subject_name, scopes, campaigns, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8) returning audit_record($9)",
            &hash,
            session.owner.key(),
            subject.map(|token| token.id),
            subject.map(|token| &*token.name),
            scopes.as_deref(),
            campaigns.as_deref(),
            now.to_sqlx() as _,
            session.expires_at.to_sqlx() as _,
            entry.into_json(),
            MAX_SESSIONS - 1
        )
        .fetch_one(&self.pool)
        .await
        .map(drop)
    }

    /// Ends a session. It leaves no entry if it has ended already.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn end_session(&self, hash: [u8; 32], entry: Entry) -> Result<(), sqlx::Error> {
        let ended = sqlx::query_scalar!(
            "delete from console_sessions where token_hash = $1 returning audit_record($2)",
            &hash,
            entry.into_json()
        );
        ended.fetch_optional(&self.pool).await?;
        self.pool.changes().publish(Topic::ConsoleSessions);
        Ok(())
    }

    /// Stores a link that signs in with this key once, and its audit entry.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn create_link(
        &self,
        hash: [u8; 32],
        key: Uuid,
        expires_at: Timestamp,
        entry: Entry,
    ) -> Result<(), sqlx::Error> {
        sqlx::query_scalar!(
            "insert into console_links (token_hash, key_id, expires_at) values ($1, $2, $3) returning audit_record($4)",
            &hash,
            key,
            expires_at.to_sqlx() as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await
        .map(drop)
    }

    /// Uses up a link. Returns its key; none if there is no such link, or its time is over.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn use_link(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Uuid>, sqlx::Error> {
        let used = sqlx::query!("delete from console_links where token_hash = $1 returning key_id, expires_at", &hash);
        let used = used.fetch_optional(&self.pool).await?;
        Ok(used.filter(|link| now < link.expires_at.to_jiff()).map(|link| link.key_id))
    }

    /// Deletes sessions and links whose time is over.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn purge(&self, now: Timestamp) -> Result<(), sqlx::Error> {
        purge_in_steps(PURGE_STEP, async |limit| {
            let deleted = sqlx::query!(
                "delete from console_sessions where token_hash in
                     (select token_hash from console_sessions where expires_at <= $1 limit $2)",
                now.to_sqlx() as _,
                limit
            );
            deleted.execute(&self.pool).await.map(|deleted| deleted.rows_affected())
        })
        .await?;
        purge_in_steps(PURGE_STEP, async |limit| {
            let deleted = sqlx::query!(
                "delete from console_links where token_hash in
                     (select token_hash from console_links where expires_at <= $1 limit $2)",
                now.to_sqlx() as _,
                limit
            );
            deleted.execute(&self.pool).await.map(|deleted| deleted.rows_affected())
        })
        .await?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "store_test.rs"]
mod tests;
