//! Keys in Postgres.

use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::{KeySecret, hash};
use crate::audit::Entry;
use crate::db::{Cache, Db, Topic, decode};
use crate::http::Scope;

/// A key to create.
#[derive(Debug)]
pub struct NewKey {
    /// Its id, which the audit log shows.
    pub id: Uuid,
    /// The display name.
    pub name: String,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// It is refused from then on; never, where absent.
    pub expires_at: Option<Timestamp>,
}

/// A stored key, without its secret or hash.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id, which the audit log shows.
    pub id: Uuid,
    /// The display name.
    pub name: Arc<str>,
    /// What it may do.
    pub scopes: Arc<[Scope]>,
    /// When it was created.
    pub created_at: Timestamp,
    /// It is refused from then on.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether it is neither revoked nor expired.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

struct Row {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for KeyRecord {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            name: row.name.into(),
            scopes: row.scopes.iter().map(|scope| decode(scope)).collect::<Result<_, _>>()?,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
            revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

/// The keys of which copies are kept.
const CACHED_KEYS: usize = 1024;

/// The table of keys. Clones share their copies of keys.
#[derive(Clone)]
pub struct KeyStore {
    pool: Db,
    /// By the hash of the secret. Only keys that exist.
    copies: Arc<Cache<[u8; 32], Arc<KeyRecord>>>,
}

impl KeyStore {
    /// Over this database.
    pub fn new(pool: Db) -> Self {
        let copies = Arc::new(Cache::new(Topic::ApiKeys, pool.changes().clone(), CACHED_KEYS));
        Self { pool, copies }
    }

    /// The key with this secret, valid or not. A change of the key is noticed within a second.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn find(&self, secret: &str) -> Result<Option<Arc<KeyRecord>>, sqlx::Error> {
        let hash = hash(secret);
        match self.copies.get(&hash) {
            Some(key) => Ok(Some(key)),
            None => self.read(hash).await,
        }
    }

    async fn read(&self, hash: [u8; 32]) -> Result<Option<Arc<KeyRecord>>, sqlx::Error> {
        let version = self.copies.version();
        let row = sqlx::query_as!(
            Row,
            "select id, name, scopes, created_at, expires_at, revoked_at from api_keys where secret_hash = $1",
            &hash
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let key = Arc::new(KeyRecord::try_from(row)?);
        self.copies.insert(hash, version, Arc::clone(&key));
        Ok(Some(key))
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
        let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
        sqlx::query_scalar!(
            "insert into api_keys (id, name, secret_hash, scopes, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6) returning audit_record($7)",
            key.id,
            key.name,
            &secret.hash(),
            &scopes,
            now.to_sqlx() as _,
            key.expires_at.map(|at| at.to_sqlx()) as _,
            entry.into_json()
        )
        .fetch_one(&self.pool)
        .await?;
        self.pool.changes().publish(Topic::ApiKeys);
        Ok(())
    }

    /// All keys, newest first.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            "select id, name, scopes, created_at, expires_at, revoked_at from api_keys order by created_at desc, id desc"
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(KeyRecord::try_from).collect()
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
