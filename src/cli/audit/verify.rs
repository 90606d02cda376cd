//! `ringback audit verify`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tlog_tiles::checkpoint::Checkpoint;

use crate::audit::{Expected, LogStore, Proof, PublicKey, Verification, read_checkpoint, verify};
use crate::config::{BadSetting, DatabaseArgs, Given, SettingErrors};
use crate::db;

/// Any name of a log: a key of 32 bytes is parsed together with one.
const ANY_ORIGIN: &str = "log";

#[derive(clap::Args)]
pub struct Verify {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A checkpoint that was kept elsewhere: finds a log that was cut or rewritten since
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    checkpoint: Option<PathBuf>,
    /// An answer of `GET /v1/audit/{id}/proof`: only this is checked, without the database
    #[arg(long, value_name = "FILE", requires = "key")]
    proof: Option<PathBuf>,
    /// The public key of the log, `name+id+key` or 32 bytes in base64
    #[arg(long, value_name = "PUBLIC")]
    key: Option<String>,
}

impl Verify {
    /// Runs the command. A file or a key that cannot be read is a bad setting: it says nothing about the log.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut errors = SettingErrors::default();
        errors.take(self.key.as_deref().map_or(Ok(()), check_form));
        if let (Some(file), Some(key)) = (&self.proof, &self.key) {
            let proof = errors.take(read_proof(file));
            return check_proof(&errors.finish(proof)?, key);
        }
        let kept = errors.take(self.checkpoint.as_deref().map(read_kept).transpose());
        let database = self.database.read(&mut errors);
        let (database, kept) = errors.finish(database.zip(kept))?;
        let db = db::connect(&database, db::FEW_CONNECTIONS).await.context("cannot connect to Postgres")?;
        let store = LogStore::new(db.clone());
        let key = match &self.key {
            Some(text) => Some(public_key(&store, text).await?),
            None => None,
        };
        let verification = verify(&store, &Expected { keys: key.as_slice(), kept: kept.as_ref() }).await;
        db.close().await;
        report(&verification.context("the audit log cannot be read")?)
    }
}

async fn public_key(store: &LogStore, text: &str) -> anyhow::Result<PublicKey> {
    let origin = store.origin().await.context("the audit log cannot be read")?.unwrap_or_default();
    PublicKey::parse(text, &origin).context("the audit log has no signed checkpoint for --key")
}

fn check_proof(proof: &Proof, key: &str) -> anyhow::Result<()> {
    proof.check(key).context("the proof does not hold")?;
    anstream::println!("valid: the entry is in the log, as leaf {} of", proof.leaf_index);
    anstream::print!("{}", proof.checkpoint);
    Ok(())
}

/// The name of the log is not known yet.
fn check_form(key: &str) -> Given<()> {
    let parsed = PublicKey::parse(key, ANY_ORIGIN).map(drop);
    parsed.ok_or_else(|| BadSetting::of_flag("key", "must be `name+id+key`, or 32 bytes in base64"))
}

fn read_kept(file: &Path) -> Given<Checkpoint> {
    let text = read("checkpoint", file)?;
    read_checkpoint(&text).map_err(|_| BadSetting::of_flag("checkpoint", "must be a file with a signed checkpoint"))
}

fn read_proof(file: &Path) -> Given<Proof> {
    let text = read("proof", file)?;
    serde_json::from_str(&text).map_err(|error| BadSetting::of_flag("proof", format_args!("is not a proof: {error}")))
}

fn read(flag: &str, file: &Path) -> Given<String> {
    let text = std::fs::read_to_string(file);
    text.map_err(|error| BadSetting::of_flag(flag, format_args!("cannot be read: {error}")))
}

fn report(verification: &Verification) -> anyhow::Result<()> {
    let Verification { entries, sealed, expired, checkpoint, first_broken, .. } = verification;
    if let Some(broken) = first_broken {
        let id = broken.id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        let seq = broken.seq.map_or_else(|| "unknown".to_owned(), |seq| seq.to_string());
        bail!(
            "the audit log is not whole: {}, first at seq {seq}, id {id} ({entries} entries, {sealed} sealed)",
            broken.reason
        );
    }
    anstream::println!("valid: {entries} entries, {sealed} sealed, {expired} of those dropped");
    match checkpoint {
        Some(checkpoint) => anstream::print!("{checkpoint}"),
        None => anstream::println!("nothing is sealed: the service runs without an AUDIT_SIGNING_KEY"),
    }
    Ok(())
}
