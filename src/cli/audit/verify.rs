//! `ringback audit verify`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::audit::{Expected, LogStore, Proof, PublicKey, Verification, read_checkpoint, verify};
use crate::config::{DatabaseArgs, SettingErrors};
use crate::db;

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
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        if let (Some(proof), Some(key)) = (&self.proof, &self.key) {
            return check_proof(proof, key);
        }
        let mut errors = SettingErrors::default();
        let database = self.database.read(&mut errors);
        let database = errors.finish(database)?;
        let kept = self.checkpoint.as_deref().map(read).transpose()?;
        let kept = kept.map(|text| read_checkpoint(&text).context("the file of --checkpoint")).transpose()?;
        let db = db::connect(&database, db::FEW_CONNECTIONS).await.context("cannot connect to Postgres")?;
        let store = LogStore::new(db.clone());
        let key = match &self.key {
            Some(text) => Some(public_key(&store, text).await?),
            None => None,
        };
        let verification = verify(&store, &Expected { key: key.as_ref(), kept: kept.as_ref() }).await;
        db.close().await;
        report(&verification.context("the audit log cannot be read")?)
    }
}

async fn public_key(store: &LogStore, text: &str) -> anyhow::Result<PublicKey> {
    let origin = store.origin().await.context("the audit log cannot be read")?.unwrap_or_default();
    PublicKey::parse(text, &origin).context("--key must be `name+id+key`, or 32 bytes in base64")
}

fn check_proof(file: &Path, key: &str) -> anyhow::Result<()> {
    let proof: Proof =
        serde_json::from_str(&read(file)?).with_context(|| format!("{} is not a proof", file.display()))?;
    proof.check(key).context("the proof does not hold")?;
    anstream::println!("valid: the entry is in the log, as leaf {} of", proof.leaf_index);
    anstream::print!("{}", proof.checkpoint);
    Ok(())
}

fn read(file: impl AsRef<Path>) -> anyhow::Result<String> {
    let file = file.as_ref();
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
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
