//! The log in Postgres.

use jiff_sqlx::ToSqlx as _;
use tlog_tiles::tlog::Hash;
use uuid::Uuid;

use super::tree::{TileHashes, TilePosition};
use super::verify::Expired;
use crate::audit::store::Row;
use crate::audit::{ActorType, Entry, Outcome};
use crate::db::{Db, Transaction};

/// The log in Postgres.
#[derive(Clone, Debug)]
pub struct LogStore {
    db: Db,
}

/// What the sequencer knows at the start of a round.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub size: u64,
    /// Every entry with a seq up to this one is sealed.
    pub settled_seq: i64,
    mark: Option<Mark>,
}

impl Head {
    /// Whether more is settled, or will be, than by an earlier head.
    pub fn settles_more_than(&self, earlier: &Self) -> bool {
        let mark = |head: &Self| head.mark.map(|mark| (mark.seq, mark.xid));
        let (mark, earlier_mark) = (mark(self), mark(earlier));
        let is_replaced = earlier_mark.zip(mark).is_none_or(|(earlier, mark)| mark.0 > earlier.0 || mark.1 < earlier.1);
        self.settled_seq > earlier.settled_seq || is_replaced
    }
}

/// Entries with a seq up to `seq` belong to transactions before `xid`, which is that of a round. They can be settled once all of
/// those transactions have ended.
#[derive(Clone, Copy, Debug)]
struct Mark {
    xid: i64,
    seq: i64,
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

/// A signed root.
#[derive(Clone, Debug)]
pub struct SignedRoot {
    /// The number of leaves.
    pub size: u64,
    pub root: Hash,
    /// The signed note.
    pub checkpoint: String,
}

/// A round of the sequencer: a transaction that holds the lock of the log.
pub(super) struct Round {
    transaction: Transaction,
    /// The mark that this round can make.
    mark: Mark,
    pub head: Head,
}

impl LogStore {
    /// Over this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Begins a round. None while another replica has one.
    pub(super) async fn begin(&self) -> Result<Option<Round>, sqlx::Error> {
        let mut transaction = self.db.begin().await?;
        // First the sequence, then the xid of this transaction: entries up to `last_seq` belong to transactions with a lower one,
        // because each has its xid before its seq (`audit_record()`). The end of a snapshot (`pg_snapshot_xmax`) would not do:
        // transactions that have not ended may be after it.
        let last_seq = sqlx::query_scalar!(
            r#"select case when is_called then last_value else last_value - 1 end as "seq!" from audit_entries_seq_seq"#
        )
        .fetch_one(&mut transaction)
        .await?;
        let head = sqlx::query!(
            r#"select size, settled_seq, mark_xid::text::bigint as mark_xid, mark_seq,
                   pg_current_xact_id()::text::bigint as "xid!"
               from audit_log_head for update skip locked"#
        )
        .fetch_optional(&mut transaction)
        .await?;
        let Some(head) = head else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let mark = Mark { xid: head.xid, seq: last_seq };
        let earlier = head.mark_xid.zip(head.mark_seq).map(|(xid, seq)| Mark { xid, seq });
        let head = Head { size: unsigned(head.size), settled_seq: head.settled_seq, mark: earlier };
        Ok(Some(Round { transaction, mark, head }))
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

    /// The entry with this id.
    pub(super) async fn entry(&self, id: Uuid) -> Result<Option<Recorded>, sqlx::Error> {
        let row = sqlx::query_as!(
            Row,
            r#"select seq, id, "timestamp", action, actor_type as "actor_type: ActorType", actor_id, actor_name,
                   outcome as "outcome: Outcome", campaign_id, callback_id,
                   previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
                   compliance_hold, triggered_by, request_id, detail
               from audit_entries where id = $1"#,
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
               from audit_entries where action = 'audit.expired' order by "timestamp" desc, seq desc limit 1"#
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

    /// Up to `limit` entries after this seq, in their order.
    pub(super) async fn entries_after(&self, seq: i64, limit: i64) -> Result<Vec<Recorded>, sqlx::Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"select seq, id, "timestamp", action, actor_type as "actor_type: ActorType", actor_id, actor_name,
                   outcome as "outcome: Outcome", campaign_id, callback_id,
                   previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
                   compliance_hold, triggered_by, request_id, detail
               from audit_entries where seq > $1 order by seq limit $2"#,
            seq,
            limit
        )
        .fetch_all(&self.db)
        .await?;
        rows.into_iter().map(Recorded::try_from).collect()
    }
}

impl Round {
    /// Writes an entry in this round. It is sealed in it, too.
    pub(super) async fn record(&mut self, entry: Entry) -> Result<(), sqlx::Error> {
        sqlx::query!("select audit_record($1)", entry.into_json()).fetch_one(&mut self.transaction).await?;
        Ok(())
    }

    /// The next entries to be sealed, at most `limit`, and what the head will be when they are.
    pub(super) async fn unsealed(&mut self, limit: i64) -> Result<(Vec<Recorded>, Head), sqlx::Error> {
        // Before the entries are read: those of a transaction that has ended by now are seen.
        let oldest_open =
            sqlx::query_scalar!(r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "oldest!""#)
                .fetch_one(&mut self.transaction)
                .await?;
        let rows = sqlx::query_file_as!(Row, "src/audit/log/unsealed.sql", self.head.settled_seq, limit)
            .fetch_all(&mut self.transaction)
            .await?;
        let complete = i64::try_from(rows.len()).is_ok_and(|count| count < limit);
        let sealed_up_to = if complete { i64::MAX } else { rows.last().map_or(0, |row| row.seq) };
        let (mark, settled_seq) = match self.head.mark {
            // Of another server, from which the database was restored.
            Some(mark) if mark.xid > self.mark.xid => (self.mark, self.head.settled_seq),
            Some(mark) if mark.xid > oldest_open => (mark, self.head.settled_seq),
            Some(mark) if sealed_up_to < mark.seq => (mark, sealed_up_to),
            Some(mark) => (self.mark, mark.seq),
            None => (self.mark, self.head.settled_seq),
        };
        let entries: Vec<_> = rows.into_iter().map(Recorded::try_from).collect::<Result<_, _>>()?;
        let size = self.head.size + entries.len() as u64;
        Ok((entries, Head { size, settled_seq: settled_seq.max(self.head.settled_seq), mark: Some(mark) }))
    }

    /// The tiles at the right edge of the tree.
    pub(super) async fn edge(&mut self) -> Result<Vec<TileHashes>, sqlx::Error> {
        tiles(&mut self.transaction, &TilePosition::edge(self.head.size).collect::<Vec<_>>()).await
    }

    /// The entries of the last tile, where it is not full.
    pub(super) async fn last_leaves(&mut self) -> Result<Vec<i64>, sqlx::Error> {
        let tile = signed(self.head.size / super::tree::TILE_WIDTH);
        let seqs = sqlx::query_scalar!("select seqs from audit_log_leaves where tile = $1", tile)
            .fetch_optional(&mut self.transaction)
            .await?;
        Ok(seqs.unwrap_or_default())
    }

    /// Stores the tiles that have changed.
    pub(super) async fn store_tiles(&mut self, tiles: Vec<TileHashes>) -> Result<(), sqlx::Error> {
        let (positions, hashes): (Vec<_>, Vec<_>) = tiles.into_iter().unzip();
        let (levels, tiles) = arrays(&positions);
        sqlx::query!(
            "insert into audit_log_tiles (level, tile, hashes)
             select * from unnest($1::smallint[], $2::bigint[], $3::bytea[])
             on conflict (level, tile) do update set hashes = excluded.hashes",
            &levels,
            &tiles,
            &hashes
        )
        .execute(&mut self.transaction)
        .await?;
        Ok(())
    }

    /// Stores which entries the tile belongs to.
    pub(super) async fn store_leaves(&mut self, tile: u64, seqs: &[i64]) -> Result<(), sqlx::Error> {
        let (first, last) = (seqs.iter().min().copied(), seqs.iter().max().copied());
        sqlx::query!(
            "insert into audit_log_leaves (tile, seqs, first_seq, last_seq) values ($1, $2, $3, $4)
             on conflict (tile) do update
             set seqs = excluded.seqs, first_seq = excluded.first_seq, last_seq = excluded.last_seq",
            signed(tile),
            seqs,
            first,
            last
        )
        .execute(&mut self.transaction)
        .await?;
        Ok(())
    }

    /// Ends a round that changes nothing. The lock of the log is free when this returns.
    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }

    /// Commits the round, with the new head and, where the tree has grown, its signed root.
    pub(super) async fn commit(
        mut self,
        head: &Head,
        signed_root: Option<SignedRoot>,
        now: jiff::Timestamp,
    ) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update audit_log_head set size = $1, settled_seq = $2, mark_xid = $3::bigint::text::xid8, mark_seq = $4",
            signed(head.size),
            head.settled_seq,
            head.mark.map(|mark| mark.xid),
            head.mark.map(|mark| mark.seq)
        )
        .execute(&mut self.transaction)
        .await?;
        if let Some(signed_root) = signed_root {
            sqlx::query!(
                "insert into audit_checkpoints (size, root, checkpoint, signed_at) values ($1, $2, $3, $4)",
                signed(signed_root.size),
                &signed_root.root.0,
                signed_root.checkpoint,
                now.to_sqlx() as _
            )
            .execute(&mut self.transaction)
            .await?;
        }
        self.transaction.commit().await
    }
}

impl TryFrom<Row> for Recorded {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self { seq: row.seq, entry: row.try_into()? })
    }
}

async fn tiles(
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

fn arrays(positions: &[TilePosition]) -> (Vec<i16>, Vec<i64>) {
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
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
