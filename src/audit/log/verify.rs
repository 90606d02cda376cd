//! Checks every entry against the log, and the log against its signed roots.

use std::collections::BTreeMap;

use serde::Serialize;
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tlog::{HASH_SIZE, Hash};
use tokio_util::task::AbortOnDropHandle;
use utoipa::ToSchema;
use uuid::Uuid;

use super::keys::{PublicKey, read_checkpoint};
use super::leaf::leaf_hash;
use super::store::{Expired, LogStore, Recorded, SignedRoot};
use super::tree::{TILE_WIDTH, Tree};

/// Entries of a statement.
const STEP: i64 = 5000;
/// Tiles, or checkpoints, of a statement.
const FEW: i64 = 32;

/// Whether the log is whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditVerification)]
pub struct Verification {
    /// Whether every entry is as it was sealed, and none is missing or was inserted.
    pub valid: bool,
    /// The entries that were read.
    pub entries: u64,
    /// The entries that the newest checkpoint covers.
    pub sealed: u64,
    /// Of those, the entries that are not kept any more. Their hashes are.
    pub expired: u64,
    /// The newest checkpoint. Keep it elsewhere: later it shows whether the log was cut or rewritten.
    #[schema(required)]
    pub checkpoint: Option<String>,
    #[schema(required)]
    pub first_broken: Option<Broken>,
}

/// The first entry that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BrokenAuditEntry)]
pub struct Broken {
    /// The number of the entry in the order in which entries were recorded.
    #[schema(required)]
    pub seq: Option<i64>,
    #[schema(required)]
    pub id: Option<Uuid>,
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Reason {
    /// The entry, or its place, is not what was sealed.
    Changed,
    /// The entry does not exist any more.
    Deleted,
    /// The entry was not written by Ringback, or long after it should have been.
    Inserted,
    /// From this entry on, the log is not the one that was signed.
    Rewritten,
    /// The log ends here, but what was signed is longer.
    Truncated,
    /// The newest checkpoint is not signed with any of the given keys.
    NotSigned,
}

/// What a log is checked against, besides its own checkpoints.
#[derive(Debug, Default)]
pub struct Expected<'a> {
    /// One of these keys must have signed the newest checkpoint. Without keys, its signatures are not checked.
    pub keys: &'a [PublicKey],
    /// A checkpoint that was kept elsewhere.
    pub kept: Option<&'a Checkpoint>,
}

/// The entries that were read and have no leaf yet.
#[derive(Default)]
struct Unplaced {
    /// By seq: the id and the hash of the leaf.
    entries: BTreeMap<i64, (Uuid, Hash)>,
    read_up_to: i64,
    /// The entries after those, which are being read.
    next: Option<AbortOnDropHandle<Result<Vec<Recorded>, sqlx::Error>>>,
    at_end: bool,
    count: u64,
    /// The first entry that has the seq of another one.
    second: Option<(i64, Uuid)>,
}

impl Unplaced {
    /// Takes the entry with this seq out. Reads on, where it was not reached yet.
    async fn take(&mut self, store: &LogStore, seq: i64) -> Result<Option<(Uuid, Hash)>, sqlx::Error> {
        while self.read_up_to < seq && !self.at_end {
            self.read_on(store).await?;
        }
        Ok(self.entries.remove(&seq))
    }

    async fn read_on(&mut self, store: &LogStore) -> Result<(), sqlx::Error> {
        let entries = match self.next.take() {
            Some(next) => next.await.map_err(|error| sqlx::Error::Io(error.into()))??,
            None => store.entries_after(self.read_up_to, STEP).await?,
        };
        self.at_end = entries.is_empty();
        self.next = entries.last().map(|last| {
            let (store, seq) = (store.clone(), last.seq);
            AbortOnDropHandle::new(tokio::spawn(async move { store.entries_after(seq, STEP).await }))
        });
        self.count += entries.len() as u64;
        for recorded in entries {
            let hash = leaf_hash(&recorded.entry).map_err(|error| sqlx::Error::Decode(error.into()))?;
            self.read_up_to = recorded.seq;
            if let Some((other, _)) = self.entries.insert(recorded.seq, (recorded.entry.id, hash)) {
                self.second = self.second.or(Some((recorded.seq, other)));
            }
        }
        Ok(())
    }
}

/// A walk along the leaves.
struct Walk<'a> {
    store: &'a LogStore,
    unplaced: Unplaced,
    tree: Tree,
    /// The checkpoints that follow, the next one last.
    checkpoints: Vec<SignedRoot>,
    kept: Option<&'a Checkpoint>,
    expired: Expired,
    /// The sealed entries that do not exist.
    missing: u64,
    /// The first entry after the last checkpoint that holds.
    since_checkpoint: Option<(i64, Option<Uuid>)>,
}

/// Checks the whole log.
///
/// # Errors
/// If Postgres fails.
pub async fn verify(store: &LogStore, expected: &Expected<'_>) -> Result<Verification, sqlx::Error> {
    let (newest, settled_seq) = store.newest_and_settled().await?;
    let sealed = newest.as_ref().map_or(0, |newest| newest.size);
    let mut walk = Walk {
        store,
        unplaced: Unplaced { read_up_to: i64::MIN, ..Unplaced::default() },
        tree: Tree::default(),
        checkpoints: Vec::new(),
        kept: expected.kept,
        expired: Expired::default(),
        missing: 0,
        since_checkpoint: None,
    };
    let mut broken = walk.leaves(sealed).await?;
    if broken.is_none() {
        broken = walk.inserted(settled_seq).await?.or_else(|| broken_end(sealed, newest.as_ref(), expected));
    }
    while !walk.unplaced.at_end {
        walk.unplaced.read_on(store).await?;
        walk.unplaced.entries.clear();
    }
    let second =
        walk.unplaced.second.map(|(seq, id)| Broken { seq: Some(seq), id: Some(id), reason: Reason::Inserted });
    let seq = |broken: &Broken| broken.seq.unwrap_or(i64::MAX);
    broken = broken.into_iter().chain(second).min_by_key(seq);
    Ok(Verification {
        valid: broken.is_none(),
        entries: walk.unplaced.count,
        sealed,
        expired: walk.missing,
        checkpoint: newest.map(|newest| newest.checkpoint),
        first_broken: broken,
    })
}

impl Walk<'_> {
    /// Checks every leaf of the tree of this size.
    async fn leaves(&mut self, size: u64) -> Result<Option<Broken>, sqlx::Error> {
        while self.tree.size() < size {
            let (at, next_tile) = (self.tree.size(), self.tree.size() / TILE_WIDTH);
            for leaves in self.store.leaves_from(next_tile, FEW).await? {
                if leaves.tile != self.tree.size() / TILE_WIDTH {
                    break;
                }
                let skipped = usize::try_from(self.tree.size() % TILE_WIDTH).unwrap_or(0);
                let hashes = leaves.hashes.chunks_exact(HASH_SIZE).map(Some).chain(std::iter::repeat(None));
                for (&seq, sealed) in leaves.seqs.iter().zip(hashes).skip(skipped) {
                    if self.tree.size() == size {
                        break;
                    }
                    if let Some(broken) = self.leaf(seq, sealed).await? {
                        return Ok(Some(broken));
                    }
                }
            }
            if self.tree.size() == at {
                // The rest of the leaves does not exist.
                let next = self.unplaced.entries.first_key_value().map(|(&seq, (id, _))| (seq, *id));
                return Ok(Some(Broken {
                    seq: next.map(|(seq, _)| seq),
                    id: next.map(|(_, id)| id),
                    reason: Reason::Truncated,
                }));
            }
        }
        Ok(None)
    }

    /// Checks a leaf, and the checkpoint of the tree that ends with it, if there is one.
    async fn leaf(&mut self, seq: i64, sealed: Option<&[u8]>) -> Result<Option<Broken>, sqlx::Error> {
        let sealed = sealed.and_then(|hash| hash.try_into().ok()).map(Hash);
        let (id, hash) = match (self.unplaced.take(self.store, seq).await?, sealed) {
            (Some((id, hash)), Some(sealed)) if hash == sealed => (Some(id), hash),
            (Some((id, _)), _) => return Ok(Some(Broken { seq: Some(seq), id: Some(id), reason: Reason::Changed })),
            (None, Some(sealed)) if self.has_expired(seq).await? => (None, sealed),
            (None, _) => return Ok(Some(Broken { seq: Some(seq), id: None, reason: Reason::Deleted })),
        };
        let first = *self.since_checkpoint.get_or_insert((seq, id));
        self.tree.push(hash, &mut Vec::new());
        let root = self.signed_root().await?;
        let kept = self.kept.filter(|kept| kept.size() == self.tree.size()).map(|kept| *kept.hash());
        if root.is_none() && kept.is_none() {
            return Ok(None);
        }
        let actual = self.tree.root().map_err(|error| sqlx::Error::Decode(error.into()))?;
        if root.is_some_and(|root| root != actual) || kept.is_some_and(|kept| kept != actual) {
            return Ok(Some(Broken { seq: Some(first.0), id: first.1, reason: Reason::Rewritten }));
        }
        if root.is_some() {
            self.since_checkpoint = None;
        }
        Ok(None)
    }

    /// Counts a missing entry, and returns whether its retention may have ended.
    async fn has_expired(&mut self, seq: i64) -> Result<bool, sqlx::Error> {
        self.missing += 1;
        let is_explained = |expired: &Expired| seq <= expired.last_seq && self.missing <= expired.entries;
        if !is_explained(&self.expired) {
            self.expired = self.store.expired().await?;
        }
        Ok(is_explained(&self.expired))
    }

    /// The signed root of the tree as far as it was read.
    async fn signed_root(&mut self) -> Result<Option<Hash>, sqlx::Error> {
        let size = self.tree.size();
        if self.checkpoints.last().is_none_or(|next| next.size < size) {
            self.checkpoints = self.store.checkpoints_after(size - 1, FEW).await?;
            self.checkpoints.reverse();
        }
        Ok(self.checkpoints.pop_if(|next| next.size == size).map(|next| next.root))
    }

    /// Looks for entries that should have been sealed and are not.
    async fn inserted(&mut self, settled_seq: i64) -> Result<Option<Broken>, sqlx::Error> {
        while self.unplaced.read_up_to < settled_seq && !self.unplaced.at_end {
            self.unplaced.read_on(self.store).await?;
        }
        let first = self.unplaced.entries.range(..=settled_seq).next();
        Ok(first.map(|(&seq, (id, _))| Broken { seq: Some(seq), id: Some(*id), reason: Reason::Inserted }))
    }
}

/// Checks the newest checkpoint's signature, and that the log is as long as one that was kept.
fn broken_end(sealed: u64, newest: Option<&SignedRoot>, expected: &Expected<'_>) -> Option<Broken> {
    let reason = if expected.kept.is_some_and(|kept| kept.size() > sealed) {
        Reason::Truncated
    } else if newest.is_some_and(|newest| !is_signed(newest, expected.keys)) {
        Reason::NotSigned
    } else {
        return None;
    };
    Some(Broken { seq: None, id: None, reason })
}

/// Whether the text of the checkpoint is what the tree was checked against, signed with one of the keys where any are given.
/// While keys are replaced, the newest checkpoint may have the signature of only one of them.
fn is_signed(newest: &SignedRoot, keys: &[PublicKey]) -> bool {
    let checkpoint = if keys.is_empty() {
        read_checkpoint(&newest.checkpoint).ok()
    } else {
        keys.iter().find_map(|key| key.check(&newest.checkpoint).ok())
    };
    checkpoint.is_some_and(|checkpoint| checkpoint.size() == newest.size && *checkpoint.hash() == newest.root)
}
