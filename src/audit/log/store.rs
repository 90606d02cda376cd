//! The log in Postgres.

use jiff_sqlx::ToSqlx as _;
use tlog_tiles::tlog::Hash;
use uuid::Uuid;

use super::tree::{TileHashes, TilePosition};
use crate::audit::store::Row;
use crate::audit::{ActorType, Entry, Outcome};
use crate::db::Db;

/// The log in Postgres.
#[derive(Clone, Debug)]
pub struct LogStore {
    pub(super) db: Db,
}

/// An entry with its place in the order in which entries were recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub seq: i64,
    pub entry: Entry,
}

/// The entries that the hashes of a tile at level 0 belong to.
#[derive(Debug)]
pub(super) struct Leaves {
    pub tile: u64,
    pub seqs: Vec<i64>,
    pub hashes: Vec<u8>,
}

/// What was dropped when its retention ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expired {
    /// The sealed entries.
    pub entries: u64,
    /// Of the last one of them. Some entries before it may be kept.
    pub last_seq: i64,
}

/// A signed root.
#[derive(Clone, Debug)]
pub struct SignedRoot {
    /// The number of leaves.
    pub size: u64,
    pub root: Hash,
    /// The signed note.
    pub checkpoint: String,
}

impl LogStore {
    /// Over this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The newest checkpoint, and up to which seq it covers every entry.
    pub(super) async fn newest_and_settled(&self) -> Result<(Option<SignedRoot>, i64), sqlx::Error> {
        let row = sqlx::query!(
            r#"select h.settled_seq, c.size as "size?", c.root as "root?", c.checkpoint as "checkpoint?"
               from audit_log_head as h left join audit_checkpoints as c on c.size = h.size"#
        )
        .fetch_one(&self.db)
        .await?;
        let newest = match (row.size, row.root, row.checkpoint) {
            (Some(size), Some(root), Some(checkpoint)) => Some(signed_root(size, &root, checkpoint)?),
            _ => None,
        };
        Ok((newest, row.settled_seq))
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn newest_checkpoint(&self) -> Result<Option<SignedRoot>, sqlx::Error> {
        let row = sqlx::query!(
            r#"select size, root, checkpoint || coalesce(
                   (select string_agg(signature, '' order by received_at) from audit_cosignatures as s where s.size = c.size),
                   '') as "checkpoint!"
               from audit_checkpoints as c order by size desc limit 1"#
        )
        .fetch_optional(&self.db)
        .await?;
        row.map(|row| signed_root(row.size, &row.root, row.checkpoint)).transpose()
    }

    /// The name of the log.
    ///
    /// # Errors
    /// If Postgres fails.
    pub async fn origin(&self) -> Result<Option<String>, sqlx::Error> {
        let newest = self.newest_checkpoint().await?;
        let checkpoint = newest.and_then(|newest| super::read_checkpoint(&newest.checkpoint).ok());
        Ok(checkpoint.map(|checkpoint| checkpoint.origin().to_owned()))
    }

    /// Keeps signatures that others have added to the checkpoint of this size, whose signed text is `body`. Returns how many
    /// are new. Those on another text are ignored, as are more than 16 for each checkpoint.
    pub(super) async fn add_signatures(
        &self,
        size: u64,
        body: &str,
        signatures: &[String],
        now: jiff::Timestamp,
    ) -> Result<u64, sqlx::Error> {
        let added = sqlx::query!(
            "insert into audit_cosignatures (size, signature, received_at)
             select c.size, s.signature, $4
             from audit_checkpoints as c cross join unnest($3::text[]) as s(signature)
             where c.size = $1 and starts_with(c.checkpoint, $2 || E'\n') and strpos(c.checkpoint, s.signature) = 0
               and (select count(*) from audit_cosignatures as k where k.size = c.size) + cardinality($3) <= 16
             on conflict do nothing",
            signed(size),
            body,
            signatures,
            now.to_sqlx() as _
        )
        .execute(&self.db)
        .await?;
        Ok(added.rows_affected())
    }

    /// Up to `limit` checkpoints of trees larger than `size`, in their order.
    pub(super) async fn checkpoints_after(&self, size: u64, limit: i64) -> Result<Vec<SignedRoot>, sqlx::Error> {
        let rows = sqlx::query!(
            "select size, root, checkpoint from audit_checkpoints where size > $1 order by size limit $2",
            signed(size),
            limit
        )
        .fetch_all(&self.db)
        .await?;
        rows.into_iter().map(|row| signed_root(row.size, &row.root, row.checkpoint)).collect()
    }

    /// The hashes of these tiles, in any order. Those that do not exist are left out.
    pub(super) async fn tiles(&self, positions: &[TilePosition]) -> Result<Vec<TileHashes>, sqlx::Error> {
        tiles(&self.db, positions).await
    }

    /// The tiles of level 0 from `tile` on, with the entries that they belong to.
    pub(super) async fn leaves_from(&self, tile: u64, limit: i64) -> Result<Vec<Leaves>, sqlx::Error> {
        let rows = sqlx::query!(
            r#"select l.tile, l.seqs, coalesce(t.hashes, ''::bytea) as "hashes!"
               from audit_log_leaves as l left join audit_log_tiles as t on t.level = 0 and t.tile = l.tile
               where l.tile >= $1 order by l.tile limit $2"#,
            signed(tile),
            limit
        )
        .fetch_all(&self.db)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Leaves { tile: unsigned(row.tile), seqs: row.seqs, hashes: row.hashes })
            .collect())
    }

    /// The entry with this id. Ringback never writes a second one.
    pub(super) async fn entry(&self, id: Uuid) -> Result<Option<Recorded>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            r#"select seq, id, "timestamp", action, actor_type as "actor_type: ActorType", actor_id, actor_name,
                   outcome as "outcome: Outcome", campaign_id, callback_id,
                   previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
                   compliance_hold, triggered_by, request_id, detail
               from audit_entries where id = $1 order by seq limit 1"#,
            id
        )
        .fetch_optional(&self.db)
        .await?;
        row.map(Recorded::try_from).transpose()
    }

    /// All that was dropped when its retention ended, as the log itself says.
    pub(super) async fn expired(&self) -> Result<Expired, sqlx::Error> {
        let row = sqlx::query!(
            r#"select (detail ->> 'entries')::bigint as "entries!", (detail ->> 'lastSeq')::bigint as "last_seq!"
               from audit_entries where action = 'audit.expired' order by seq desc limit 1"#
        )
        .fetch_optional(&self.db)
        .await?;
        Ok(row.map(|row| Expired { entries: unsigned(row.entries), last_seq: row.last_seq }).unwrap_or_default())
    }

    /// The place of the entry with this seq in the tree.
    pub(super) async fn leaf_of(&self, seq: i64) -> Result<Option<u64>, sqlx::Error> {
        let row = sqlx::query!(
            r#"select tile, array_position(seqs, $1) as "position!" from audit_log_leaves
               where last_seq >= $1 and first_seq <= $1 and seqs @> array[$1] order by last_seq limit 1"#,
            seq
        )
        .fetch_optional(&self.db)
        .await?;
        Ok(row.map(|row| unsigned(row.tile) * super::tree::TILE_WIDTH + unsigned(i64::from(row.position) - 1)))
    }

    /// Up to `limit` entries after this seq, in their order; more only where several have the last seq.
    pub(super) async fn entries_after(&self, seq: i64, limit: i64) -> Result<Vec<Recorded>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"select seq, id, "timestamp", action, actor_type as "actor_type: ActorType", actor_id, actor_name,
                   outcome as "outcome: Outcome", campaign_id, callback_id,
                   previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
                   compliance_hold, triggered_by, request_id, detail
               from audit_entries where seq > $1 order by seq fetch first ($2) rows with ties"#,
            seq,
            limit
        )
        .fetch_all(&self.db)
        .await?;
        rows.into_iter().map(Recorded::try_from).collect()
    }
}

impl TryFrom<Row> for Recorded {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self { seq: row.seq, entry: row.try_into()? })
    }
}

pub(super) async fn tiles(
    executor: impl sqlx::PgExecutor<'_>,
    positions: &[TilePosition],
) -> Result<Vec<TileHashes>, sqlx::Error> {
    let (levels, tiles) = arrays(positions);
    let rows = sqlx::query!(
        r#"select t.level, t.tile, t.hashes
               from unnest($1::smallint[], $2::bigint[]) as p(level, tile)
               join audit_log_tiles as t on t.level = p.level and t.tile = p.tile"#,
        &levels,
        &tiles
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (position(row.level, row.tile), row.hashes)).collect())
}

pub(super) fn arrays(positions: &[TilePosition]) -> (Vec<i16>, Vec<i64>) {
    positions.iter().map(|at| (i16::from(at.level), signed(at.tile))).unzip()
}

fn position(level: i16, tile: i64) -> TilePosition {
    TilePosition { level: u8::try_from(level).unwrap_or(u8::MAX), tile: unsigned(tile) }
}

fn signed_root(size: i64, root: &[u8], checkpoint: String) -> Result<SignedRoot, sqlx::Error> {
    let root = root.try_into().map_err(|_| sqlx::Error::Decode("a root is not 32 bytes".into()))?;
    Ok(SignedRoot { size: unsigned(size), root: Hash(root), checkpoint })
}

/// Checked in the schema not to be negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
