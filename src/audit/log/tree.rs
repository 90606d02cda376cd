//! A Merkle tree that is extended: its right edge, in tiles of 256 hashes.

use tlog_tiles::tile::Tile;
use tlog_tiles::tlog::{Error, HASH_SIZE, Hash, HashReader, tree_hash};

/// The height of a tile in levels of the tree.
pub const TILE_HEIGHT: u8 = 8;
/// The most hashes of a tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// The most levels of tiles: enough for 2^64 leaves.
pub const LEVELS: u8 = 8;

/// Where a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePosition {
    pub level: u8,
    pub tile: u64,
}

impl TilePosition {
    /// The tiles at the right edge of a tree of this size that are not full.
    pub fn edge(size: u64) -> impl Iterator<Item = Self> {
        (0..LEVELS).filter_map(move |level| {
            let hashes = size.checked_shr(u32::from(TILE_HEIGHT * level))?;
            (hashes % TILE_WIDTH > 0).then_some(Self { level, tile: hashes / TILE_WIDTH })
        })
    }
}

/// A tile with its hashes, one after the other.
pub type TileHashes = (TilePosition, Vec<u8>);

/// A tree, of which only the tiles at the right edge are kept.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// The hashes of the last tile of each level, unless it is full.
    edge: Vec<Vec<u8>>,
}

impl Tree {
    /// The tree of this size, from the tiles at its right edge. None if they do not fit the size.
    pub fn resume(size: u64, tiles: Vec<TileHashes>) -> Option<Self> {
        let mut edge = vec![Vec::new(); usize::from(LEVELS)];
        for (position, hashes) in tiles {
            edge.get_mut(usize::from(position.level))?.clone_from(&hashes);
        }
        let fits = |(level, hashes): (u8, &Vec<u8>)| {
            let width = size.checked_shr(u32::from(TILE_HEIGHT * level)).unwrap_or(0) % TILE_WIDTH;
            u64::try_from(hashes.len()).is_ok_and(|length| length == width * HASH_SIZE as u64)
        };
        (0..).zip(&edge).all(fits).then_some(Self { size, edge })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `full` gets the tiles that it completes.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<TileHashes>) {
        let (mut hash, mut level) = (leaf, 0);
        loop {
            if usize::from(level) == self.edge.len() {
                self.edge.push(Vec::new());
            }
            let hashes = &mut self.edge[usize::from(level)];
            hashes.extend_from_slice(&hash.0);
            if hashes.len() < HASH_SIZE << TILE_HEIGHT {
                break;
            }
            hash = Tile::subtree_hash(hashes);
            let tile = (self.size >> (TILE_HEIGHT * level)) / TILE_WIDTH;
            full.push((TilePosition { level, tile }, std::mem::take(hashes)));
            level += 1;
        }
        self.size += 1;
    }

    /// The tiles at the right edge that are not full.
    pub fn edge(&self) -> impl Iterator<Item = TileHashes> {
        TilePosition::edge(self.size).map(|at| (at, self.edge[usize::from(at.level)].clone()))
    }

    /// The root.
    ///
    /// # Errors
    /// None: the right edge has all hashes that are needed.
    pub fn root(&self) -> Result<Hash, Error> {
        tree_hash(self.size, self)
    }
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let hash = |&index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, index);
            let hashes = self.edge.get(usize::from(tile.level())).ok_or(Error::IndexesNotInTree)?;
            tile.hash_at_index(hashes, index)
        };
        indexes.iter().map(hash).collect()
    }
}
