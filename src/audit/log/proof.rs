//! A proof that an entry is in the log, which can be checked without the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tlog_tiles::tlog::{HASH_SIZE, Hash, check_record, prove_record, record_hash};
use utoipa::ToSchema;

use super::keys::{PublicKey, read_checkpoint};
use super::store::{LogStore, Recorded, SignedRoot};
use super::tiles::prove;

/// An entry, its place in the tree, and the way from it to the signed root.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditProof)]
pub struct Proof {
    /// The entry, as `GET /v1/audit` shows it. Its canonical form (RFC 8785) is the leaf.
    #[schema(value_type = Object)]
    pub entry: Value,
    /// The place of the leaf in the tree, from 0.
    pub leaf_index: u64,
    /// The inclusion proof of RFC 6962: hashes in base64, from the leaf to the root.
    pub inclusion_proof: Vec<String>,
    /// The signed root, a C2SP tlog-checkpoint.
    pub checkpoint: String,
}

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] super::keys::CheckpointError),
    #[error("the public key is neither `name+id+key` nor 32 bytes in base64")]
    Key,
    #[error("a hash of the inclusion proof is not 32 bytes in base64")]
    Hash,
    #[error("the entry is not the one that the checkpoint covers")]
    NotIncluded,
}

impl Proof {
    /// The proof for this entry, which is the leaf `index` of the tree.
    pub(super) async fn make(
        store: &LogStore,
        recorded: &Recorded,
        index: u64,
        tree: &SignedRoot,
    ) -> Result<Self, sqlx::Error> {
        let hashes = prove(store, tree, |reader| prove_record(tree.size, index, reader)).await?;
        let entry = serde_json::to_value(&recorded.entry).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self {
            entry,
            leaf_index: index,
            inclusion_proof: hashes.iter().map(|hash| STANDARD.encode(hash.0)).collect(),
            checkpoint: tree.checkpoint.clone(),
        })
    }

    /// Checks the proof with nothing but the public key.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, key: &str) -> Result<(), ProofError> {
        let origin = read_checkpoint(&self.checkpoint)?.origin().to_owned();
        let checkpoint = PublicKey::parse(key, &origin).ok_or(ProofError::Key)?.check(&self.checkpoint)?;
        let hashes: Vec<Hash> =
            self.inclusion_proof.iter().map(|text| hash(text)).collect::<Option<_>>().ok_or(ProofError::Hash)?;
        let leaf = serde_json_canonicalizer::to_vec(&self.entry).map_err(|_| ProofError::NotIncluded)?;
        check_record(&hashes, checkpoint.size(), *checkpoint.hash(), self.leaf_index, record_hash(&leaf))
            .map_err(|_| ProofError::NotIncluded)
    }
}

fn hash(text: &str) -> Option<Hash> {
    let bytes: [u8; HASH_SIZE] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Hash(bytes))
}
