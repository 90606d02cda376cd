//! Gives committed entries their places in the tree, and signs its root.

use std::time::Duration;

use tlog_tiles::tlog::Hash;
use tokio_util::sync::CancellationToken;

use super::keys::{LogKeys, read_checkpoint};
use super::leaf::leaf_hash;
use super::round::Round;
use super::store::{LogStore, Recorded, SignedRoot};
use super::tree::{TILE_WIDTH, TileHashes, Tree};
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::jobs::Periodic;

/// How often new entries are sealed.
const SEALING: Periodic = Periodic { every: Duration::from_secs(1), after_failure: Duration::from_secs(5) };
/// A round of this many entries takes a few hundred milliseconds.
const LARGEST_ROUND: u16 = 5000;

/// Seals entries. One replica does so at a time.
#[derive(Clone, Debug)]
pub struct Sequencer {
    store: LogStore,
    keys: LogKeys,
    clock: Clock,
    /// The most entries of a round.
    pub(super) largest_round: u16,
}

impl Sequencer {
    /// Signs with these keys.
    pub fn new(store: LogStore, keys: LogKeys, clock: Clock) -> Self {
        Self { store, keys, clock, largest_round: LARGEST_ROUND }
    }

    /// Seals new entries until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let seal = || async {
            while Box::pin(self.step()).await? == usize::from(self.largest_round) {}
            Ok(())
        };
        SEALING.run(&stop, "audit entries were not sealed", seal).await;
    }

    /// Seals the next entries, and returns how many. None are sealed while another replica does it.
    ///
    /// # Errors
    /// If Postgres fails, or the stored tree is damaged.
    pub async fn step(&self) -> Result<usize, sqlx::Error> {
        let newest = self.store.newest_checkpoint().await?;
        let Some(mut round) = Round::begin(&self.store.db).await? else { return Ok(0) };
        // Another replica may have sealed since.
        let is_newest = newest.as_ref().map_or(0, |newest| newest.size) == round.head.size;
        if is_newest && !newest.is_some_and(|newest| self.keys.have_signed(&newest.checkpoint)) {
            round.record(self.keys_changed()).await?;
        }
        let (entries, head) = round.unsealed(self.largest_round.into()).await?;
        if entries.is_empty() && !head.settles_more_than(&round.head) {
            round.end().await?;
            return Ok(0);
        }
        let signed_root = if entries.is_empty() { None } else { Some(self.extend(&mut round, &entries).await?) };
        round.commit(&head, signed_root, self.clock.now()).await?;
        Ok(entries.len())
    }

    async fn extend(&self, round: &mut Round, entries: &[Recorded]) -> Result<SignedRoot, sqlx::Error> {
        let edge = round.edge().await?;
        let mut tree = Tree::resume(round.head.size, edge).ok_or_else(|| damaged("its tiles do not fit its size"))?;
        // What is signed next contains what was signed last, also if somebody has rewritten the stored tree.
        if tree.size() > 0 && signed_hash(round).await? != Some(root_of(&tree)?) {
            return Err(damaged("its tiles do not fit its last checkpoint"));
        }
        let mut seqs = round.last_leaves().await?;
        if seqs.len() as u64 != tree.size() % TILE_WIDTH {
            return Err(damaged("its leaves do not fit its size"));
        }
        let mut full: Vec<TileHashes> = Vec::new();
        for Recorded { seq, entry } in entries {
            let hash = leaf_hash(entry).map_err(|error| sqlx::Error::Encode(error.into()))?;
            seqs.push(*seq);
            tree.push(hash, &mut full);
            if tree.size() % TILE_WIDTH == 0 {
                round.store_leaves(tree.size() / TILE_WIDTH - 1, &seqs).await?;
                seqs.clear();
            }
        }
        if !seqs.is_empty() {
            round.store_leaves(tree.size() / TILE_WIDTH, &seqs).await?;
        }
        full.extend(tree.edge());
        round.store_tiles(full).await?;
        let (size, root) = (tree.size(), root_of(&tree)?);
        let checkpoint = self.keys.sign(size, root).ok_or_else(|| damaged("its root cannot be signed"))?;
        Ok(SignedRoot { size, root, checkpoint })
    }

    /// The entry that puts the public keys themselves into the log.
    fn keys_changed(&self) -> Entry {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Keys {
            public_keys: Vec<String>,
        }
        let (id, now) = (self.clock.new_id(), self.clock.now());
        let public_keys = self.keys.public().iter().map(ToString::to_string).collect();
        Entry::new(id, now, Action::AuditKeysChanged, Actor::system("sequencer"), Outcome::Succeeded)
            .with_detail(&Keys { public_keys })
    }
}

/// The root of the tree as it was signed last.
async fn signed_hash(round: &mut Round) -> Result<Option<Hash>, sqlx::Error> {
    let checkpoint = round.last_checkpoint().await?.and_then(|note| read_checkpoint(&note).ok());
    Ok(checkpoint.filter(|checkpoint| checkpoint.size() == round.head.size).map(|checkpoint| *checkpoint.hash()))
}

fn root_of(tree: &Tree) -> Result<Hash, sqlx::Error> {
    tree.root().map_err(|error| damaged(&error.to_string()))
}

fn damaged(detail: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the audit log is damaged: {detail}"))
}
