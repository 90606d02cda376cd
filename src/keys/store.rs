//! Keys in Postgres.

use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::record::{Grant, KeyRecord, NewKey};
use super::secret::{KeySecret, hash};
use crate::audit::Entry;
use crate::db::{Cache, CreatedPosition, Db, Page, PageRequest, Topic, decode};
use crate::types::{AllowedCampaigns, CampaignId, Rate};

/// A row of the view `api_key_details`.
struct Row {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    campaigns: Option<Vec<String>>,
    rate_requests: Option<i32>,
    rate_seconds: Option<i32>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    last_used_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
    replaces: Option<Uuid>,
    replaced_by: Option<Uuid>,
}

impl TryFrom<Row> for KeyRecord {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let scopes = row.scopes.iter().map(|scope| decode(scope)).collect::<Result<Vec<_>, _>>()?;
        let rate = row.rate_requests.zip(row.rate_seconds);
        let rate = rate.map(|(requests, seconds)| stored_rate(requests, seconds)).transpose()?;
        let expires_at = row.expires_at.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Self {
            id: row.id,
            name: row.name.into(),
            grant: Grant::new(scopes, stored_campaigns(row.campaigns)?, rate, expires_at),
            created_at: row.created_at.to_jiff(),
            last_used_at: row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
            revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
            replaces: row.replaces,
            replaced_by: row.replaced_by,
        })
    }
}

fn stored_rate(requests: i32, seconds: i32) -> Result<Rate, sqlx::Error> {
    let rate = Rate::new(requests.unsigned_abs(), seconds.unsigned_abs());
    rate.ok_or_else(|| sqlx::Error::Decode("no rate of a key".into()))
}

fn stored_campaigns(campaigns: Option<Vec<String>>) -> Result<AllowedCampaigns, sqlx::Error> {
    let Some(campaigns) = campaigns else { return Ok(AllowedCampaigns::all()) };
    let parsed = campaigns.iter().map(|id| CampaignId::parse(id)).collect::<Result<Vec<_>, _>>();
    parsed.map(AllowedCampaigns::only).map_err(|fault| sqlx::Error::Decode(fault.detail.into()))
}

/// The keys of which copies are kept, and the unknown ones that are remembered.
const CACHED_KEYS: usize = 1024;

/// The result of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The new key is stored.
    Done,
    /// The key was rotated before.
    Before,
    /// There is no such key that is valid.
    NotFound,
}

/// The table of keys. Clones share their copies of keys.
#[derive(Clone)]
pub struct KeyStore {
    pool: Db,
    /// By the hash of the secret. Only keys that exist.
    copies: Arc<Cache<[u8; 32], Arc<KeyRecord>>>,
    /// Apart from the others, so that a client that tries keys does not replace the copies of keys that exist.
    unknown: Arc<Cache<[u8; 32], ()>>,
    by_id: Arc<Cache<Uuid, Arc<KeyRecord>>>,
}

impl KeyStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        let copies = Arc::new(Cache::new(Topic::ApiKeys, pool.changes().clone(), CACHED_KEYS));
        let unknown = Arc::new(Cache::new(Topic::ApiKeys, pool.changes().clone(), CACHED_KEYS));
        let by_id = Arc::new(Cache::new(Topic::ApiKeys, pool.changes().clone(), CACHED_KEYS));
        Self { pool, copies, unknown, by_id }
    }

    /// The key with this secret, valid or not. A change of the key is noticed within a second.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn find(&self, secret: &str) -> Result<Option<Arc<KeyRecord>>, sqlx::Error> {
        let hash = hash(secret);
        if let Some(key) = self.copies.get(&hash) {
            return Ok(Some(key));
        }
        if self.unknown.get(&hash).is_some() { Ok(None) } else { self.read(hash).await }
    }

    async fn read(&self, hash: [u8; 32]) -> Result<Option<Arc<KeyRecord>>, sqlx::Error> {
        let version = self.copies.version();
        let row = sqlx::query_as!(
            Row,
            r#"select id as "id!", name as "name!", scopes as "scopes!", campaigns, rate_requests, rate_seconds,
                   created_at as "created_at!", expires_at, last_used_at, revoked_at, replaces, replaced_by
               from api_key_details where secret_hash = $1"#,
            &hash
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else {
            self.unknown.insert(hash, version, ());
            return Ok(None);
        };
        let key = Arc::new(KeyRecord::try_from(row)?);
        self.copies.insert(hash, version, Arc::clone(&key));
        Ok(Some(key))
    }

    /// The key with this id, valid or not. A change of the key is noticed within a second.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn find_by_id(&self, id: Uuid) -> Result<Option<Arc<KeyRecord>>, sqlx::Error> {
        if let Some(key) = self.by_id.get(&id) {
            return Ok(Some(key));
        }
        let version = self.by_id.version();
        let Some(key) = self.get(id).await?.map(Arc::new) else { return Ok(None) };
        self.by_id.insert(id, version, Arc::clone(&key));
        Ok(Some(key))
    }

    /// The key with this id, as it is now.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn get(&self, id: Uuid) -> Result<Option<KeyRecord>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            r#"select id as "id!", name as "name!", scopes as "scopes!", campaigns, rate_requests, rate_seconds,
                   created_at as "created_at!", expires_at, last_used_at, revoked_at, replaces, replaced_by
               from api_key_details where id = $1"#,
            id
        );
        row.fetch_optional(&self.pool).await?.map(KeyRecord::try_from).transpose()
    }

    /// One page of the keys, newest first; with a restriction, only of those that are restricted to some of its campaigns.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn page(
        &self,
        campaigns: &AllowedCampaigns,
        page: &PageRequest<CreatedPosition<Uuid>>,
    ) -> Result<Page<KeyRecord>, sqlx::Error> {
        let campaigns = campaigns.texts();
        let rows = sqlx::query_as!(
            Row,
            r#"select id as "id!", name as "name!", scopes as "scopes!", campaigns, rate_requests, rate_seconds,
                   created_at as "created_at!", expires_at, last_used_at, revoked_at, replaces, replaced_by
               from api_key_details
               where ($1::text[] is null or campaigns <@ $1)
                 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
               order by created_at desc, id desc
               limit $4"#,
            campaigns.as_deref(),
            page.after.as_ref().map(|after| after.created_at.to_sqlx()) as _,
            page.after.as_ref().map(|after| after.id),
            page.limit + 1
        )
        .fetch_all(&self.pool)
        .await?;
        let position = |row: &Row| CreatedPosition { created_at: row.created_at.to_jiff(), id: row.id };
        Page::new(rows, page.limit, position).try_map(KeyRecord::try_from)
    }

    /// Stores a new key and its audit entry.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn create(
        &self,
        key: &NewKey,
        secret: &KeySecret,
        now: Timestamp,
        entry: Entry,
    ) -> Result<(), sqlx::Error> {
        let scopes: Vec<String> = key.grant.scopes.iter().map(ToString::to_string).collect();
        let (campaigns, rate) = (key.grant.campaigns.texts(), key.grant.rate);
        sqlx::query_scalar!(
            "insert into api_keys (id, name, secret_hash, scopes, campaigns, rate_requests, rate_seconds, created_at,
                 expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning audit_record($10)",
            key.id,
            key.name,
            &secret.hash(),
            &scopes,
            campaigns.as_deref(),
            rate.and_then(|rate| i32::try_from(rate.requests()).ok()),
            rate.and_then(|rate| i32::try_from(rate.seconds()).ok()),
            now.to_sqlx() as _,
            key.grant.expires_at.map(|at| at.to_sqlx()) as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await?;
        self.pool.changes().publish(Topic::ApiKeys);
        Ok(())
    }

    /// Gives a key, whose secret nobody has seen, another one.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn replace_secret(&self, id: Uuid, secret: &KeySecret, entry: Entry) -> Result<(), sqlx::Error> {
        sqlx::query_scalar!(
            "update api_keys set secret_hash = $2 where id = $1 returning audit_record($3)",
            id,
            &secret.hash(),
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await?;
        self.pool.changes().publish(Topic::ApiKeys);
        Ok(())
    }

    /// Stores a new key that allows what the old one does. The old one ends at `old_ends_at`, or before.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn rotate(
        &self,
        (old, new): (Uuid, Uuid),
        secret: &KeySecret,
        now: Timestamp,
        old_ends_at: Timestamp,
        entry: Entry,
    ) -> Result<Rotated, sqlx::Error> {
        let stored = sqlx::query_file_scalar!(
            "src/keys/rotate.sql",
            old,
            new,
            &secret.hash(),
            now.to_sqlx() as _,
            old_ends_at.to_sqlx() as _,
            entry.into_json()
        );
        let stored = stored.fetch_optional(&self.pool).await;
        self.pool.changes().publish(Topic::ApiKeys);
        match stored {
            Ok(Some(_)) => Ok(Rotated::Done),
            Ok(None) => Ok(Rotated::NotFound),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Rotated::Before),
            Err(error) => Err(error),
        }
    }

    /// All keys, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, sqlx::Error> {
        let all = PageRequest { limit: i64::MAX - 1, after: None };
        Ok(self.page(&AllowedCampaigns::all(), &all).await?.data)
    }

    /// Revokes a key from `now` on. False where there is no such key, or it is revoked already.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn revoke(&self, id: Uuid, now: Timestamp, entry: Entry) -> Result<bool, sqlx::Error> {
        let revoked = sqlx::query_scalar!(
            "update api_keys set revoked_at = $2 where id = $1 and revoked_at is null returning audit_record($3)",
            id,
            now.to_sqlx() as _,
            entry.into_json()
        );
        let is_revoked = revoked.fetch_optional(&self.pool).await?.is_some();
        self.pool.changes().publish(Topic::ApiKeys);
        Ok(is_revoked)
    }
}
