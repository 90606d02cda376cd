//! Reads hashes of the stored tree for proofs.

use std::cell::RefCell;
use std::collections::HashMap;

use tlog_tiles::tile::{Tile, TileHashReader, TileReader};
use tlog_tiles::tlog::{Error, HASH_SIZE};

use super::store::{LogStore, SignedRoot};
use super::tree::{TILE_HEIGHT, TilePosition};

/// Tiles in memory. A tile that is missing is noted, so that it can be loaded.
#[derive(Default)]
struct Loaded {
    tiles: HashMap<TilePosition, Vec<u8>>,
    missing: RefCell<Vec<TilePosition>>,
}

impl TileReader for Loaded {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let position = TilePosition { level: tile.level(), tile: tile.level_index() };
            let hashes = self.tiles.get(&position).and_then(|hashes| hashes.get(..tile.width() as usize * HASH_SIZE));
            if hashes.is_none() {
                self.missing.borrow_mut().push(position);
            }
            hashes.map(<[u8]>::to_vec)
        };
        let read: Vec<_> = tiles.iter().map(read).collect();
        read.into_iter().collect::<Option<_>>().ok_or(Error::IndexesNotInTree)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// Makes a proof from the hashes of the tree with this root. All hashes are checked against it.
///
/// # Errors
/// If Postgres fails, or the stored tiles do not have this root.
pub async fn prove<T>(
    store: &LogStore,
    tree: &SignedRoot,
    proof: impl Fn(&TileHashReader<'_>) -> Result<T, Error>,
) -> Result<T, sqlx::Error> {
    let mut loaded = Loaded::default();
    loop {
        let attempt = proof(&TileHashReader::new(tree.size, tree.root, &loaded));
        let missing = std::mem::take(loaded.missing.get_mut());
        match attempt {
            Ok(proof) => return Ok(proof),
            Err(error) if missing.is_empty() => return Err(sqlx::Error::Decode(error.into())),
            Err(error) => {
                let found = store.tiles(&missing).await?;
                if found.is_empty() {
                    return Err(sqlx::Error::Decode(error.into()));
                }
                loaded.tiles.extend(found);
            }
        }
    }
}
