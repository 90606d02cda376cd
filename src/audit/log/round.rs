//! A round of the sequencer, in Postgres.

use jiff_sqlx::ToSqlx as _;

use super::store::{Recorded, SignedRoot, arrays, signed, tiles, unsigned};
use super::tree::{TILE_WIDTH, TileHashes, TilePosition};
use crate::audit::store::Row;
use crate::audit::{ActorType, Entry, Outcome};
use crate::db::{Db, Transaction};

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

/// A round of the sequencer: a transaction that holds the lock of the log.
pub(super) struct Round {
    transaction: Transaction,
    /// The mark that this round can make.
    mark: Mark,
    pub head: Head,
}

impl Round {
    /// Begins a round. None while another replica has one.
    pub(super) async fn begin(db: &Db) -> Result<Option<Self>, sqlx::Error> {
        let mut transaction = db.begin().await?;
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
        Ok(Some(Self { transaction, mark, head }))
    }

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

    /// The signed note about the tree of this size.
    pub(super) async fn last_checkpoint(&mut self) -> Result<Option<String>, sqlx::Error> {
        let size = signed(self.head.size);
        sqlx::query_scalar!("select checkpoint from audit_checkpoints where size = $1", size)
            .fetch_optional(&mut self.transaction)
            .await
    }

    /// The entries of the last tile, where it is not full.
    pub(super) async fn last_leaves(&mut self) -> Result<Vec<i64>, sqlx::Error> {
        let tile = signed(self.head.size / TILE_WIDTH);
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
