//! The keys that sign checkpoints, and the public keys that check them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tlog::Hash;

/// Ed25519, as C2SP signed-note numbers it.
const ED25519: u8 = 1;
/// In bytes.
const KEY_LENGTH: usize = 32;

/// Why a checkpoint was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is not a signed checkpoint")]
    Malformed,
    #[error("no signature of it is by this key")]
    NotSigned,
}

/// The log's name and the keys that sign its checkpoints. While a key is replaced, the new one and the old one both sign.
#[derive(Clone)]
pub struct LogKeys {
    origin: Arc<str>,
    signers: Arc<[StandardSigner]>,
    public: Arc<[PublicKey]>,
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKeys").field("origin", &self.origin).field("public", &self.public).finish_non_exhaustive()
    }
}

impl LogKeys {
    /// Reads keys: 32 bytes each in base64, separated by commas.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(origin: &str, keys: &str) -> Result<Self, &'static str> {
        let pairs: Vec<_> = keys.split(',').map(|key| pair(origin, key.trim())).collect::<Result<_, _>>()?;
        let (signers, public): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Ok(Self { origin: origin.into(), signers: signers.into(), public: public.into() })
    }

    /// The public keys, for those who check the log.
    pub fn public(&self) -> &[PublicKey] {
        &self.public
    }

    /// Signs the root of the tree of this size. None if a key cannot sign, which Ed25519 keys always can.
    pub fn sign(&self, size: u64, root: Hash) -> Option<String> {
        let checkpoint = Checkpoint::new(&self.origin, size, root, "").ok()?;
        let mut note = Note::new(&checkpoint.to_bytes(), &[]).ok()?;
        let signers: Vec<&dyn signed_note::Signer> = self.signers.iter().map(|signer| signer as _).collect();
        note.add_sigs(&signers).ok()?;
        String::from_utf8(note.to_bytes()).ok()
    }

    /// Whether every key has signed this checkpoint.
    pub fn have_signed(&self, checkpoint: &str) -> bool {
        self.public.iter().all(|key| key.check(checkpoint).is_ok())
    }
}

fn pair(origin: &str, key: &str) -> Result<(StandardSigner, PublicKey), &'static str> {
    const RULE: &str = "must be 32 bytes in base64";
    let seed = STANDARD.decode(key).map_err(|_| RULE)?;
    let public = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| RULE)?;
    let public = PublicKey::new(origin, public.public_key().as_ref()).ok_or("needs a valid AUDIT_LOG_ORIGIN")?;
    let private = STANDARD.encode([&[ED25519], seed.as_slice()].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{origin}+{:08x}+{private}", public.verifier.key_id()));
    let signer = signer.map_err(|_| RULE)?;
    debug_assert_eq!(signer.name(), origin);
    Ok((signer, public))
}

/// Whether a text can be the name of a log: without spaces and plus signs.
pub fn is_origin(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// A key that checks checkpoints.
#[derive(Clone)]
pub struct PublicKey {
    text: String,
    verifier: StandardVerifier,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PublicKey {
    fn new(origin: &str, key: &[u8]) -> Option<Self> {
        let key = [&[ED25519], key].concat();
        let text = format!("{origin}+{:08x}+{}", signed_note::key_id(origin, &key), STANDARD.encode(&key));
        Some(Self { verifier: StandardVerifier::new(&text).ok()?, text })
    }

    /// Reads a key as C2SP signed-note writes it (`name+id+key`), or the 32 bytes of an Ed25519 key in base64 for the log of
    /// this origin.
    pub fn parse(text: &str, origin: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(verifier) = StandardVerifier::new(text) {
            return Some(Self { text: text.to_owned(), verifier });
        }
        let key = STANDARD.decode(text).ok().filter(|key| key.len() == KEY_LENGTH)?;
        Self::new(origin, &key)
    }

    /// The checkpoint, if it is signed with this key.
    ///
    /// # Errors
    /// If it is malformed or not signed with this key.
    pub fn check(&self, checkpoint: &str) -> Result<Checkpoint, CheckpointError> {
        let note = Note::from_bytes(checkpoint.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        note.verify(&known).map_err(|_| CheckpointError::NotSigned)?;
        read_checkpoint(checkpoint)
    }
}

/// The checkpoint, without a check of its signatures.
///
/// # Errors
/// If it is malformed.
pub fn read_checkpoint(text: &str) -> Result<Checkpoint, CheckpointError> {
    let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
    Checkpoint::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)
}
