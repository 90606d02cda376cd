//! Gives checkpoints out as files, and takes the signatures of witnesses back.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use signed_note::Note;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use super::keys::read_checkpoint;
use super::store::LogStore;
use crate::clock::Clock;
use crate::jobs::Periodic;

/// How often the directory is written and read.
const EXCHANGE: Periodic = Periodic { every: Duration::from_secs(2), after_failure: Duration::from_secs(10) };
/// The newest checkpoint.
const NEWEST: &str = "checkpoint";
/// Files that are kept start with this; then come the date and the hour in UTC.
const KEPT: &str = "checkpoint-";
/// The kept files that are read for signatures: the last ones.
const READ: usize = 48;
/// Larger files are not read, in bytes.
const LARGEST_FILE: u64 = 65_536;

/// The directory for checkpoints. Replicas may share it.
#[derive(Clone, Debug)]
pub struct CheckpointFiles {
    store: LogStore,
    directory: PathBuf,
    clock: Clock,
    /// When the files that were read had been written.
    read: Arc<Mutex<HashMap<PathBuf, SystemTime>>>,
}

impl CheckpointFiles {
    /// In this directory.
    pub fn new(store: LogStore, directory: PathBuf, clock: Clock) -> Self {
        Self { store, directory, clock, read: Arc::default() }
    }

    /// Writes and reads until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let exchange = || async {
            self.write().await?;
            self.read().await
        };
        EXCHANGE.run(&stop, "checkpoints were not exchanged with AUDIT_CHECKPOINT_DIR", exchange).await;
    }

    /// Writes the newest checkpoint, and keeps the first one of each hour.
    async fn write(&self) -> Result<(), sqlx::Error> {
        let Some(newest) = self.store.newest_checkpoint().await? else { return Ok(()) };
        let path = self.directory.join(NEWEST);
        if fs::read_to_string(&path).await.is_ok_and(|text| text == newest.checkpoint) {
            return Ok(());
        }
        let hour = self.clock.now().strftime("%Y%m%dT%HZ");
        let kept = self.directory.join(format!("{KEPT}{hour}"));
        if !fs::try_exists(&kept).await? {
            self.place(&kept, &newest.checkpoint).await?;
        }
        Ok(self.place(&path, &newest.checkpoint).await?)
    }

    /// Creates or replaces a file as a whole, so that nobody reads a part of it.
    async fn place(&self, path: &Path, text: &str) -> io::Result<()> {
        let new = self.directory.join(format!(".new-{}", self.clock.new_id()));
        fs::write(&new, text).await?;
        fs::rename(&new, path).await
    }

    /// Stores the signatures that witnesses have added to kept files, once for each change of a file.
    async fn read(&self) -> Result<(), sqlx::Error> {
        let kept = self.kept().await?;
        self.read.lock().retain(|path, _| kept.contains(path));
        for path in kept {
            let about = fs::metadata(&path).await?;
            let written_at = about.modified()?;
            if about.len() > LARGEST_FILE || self.read.lock().get(&path) == Some(&written_at) {
                continue;
            }
            self.store_signatures(&path).await?;
            self.read.lock().insert(path, written_at);
        }
        Ok(())
    }

    async fn store_signatures(&self, path: &Path) -> Result<(), sqlx::Error> {
        let text = String::from_utf8_lossy(&fs::read(path).await?).into_owned();
        let (Ok(note), Ok(checkpoint)) = (Note::from_bytes(text.as_bytes()), read_checkpoint(&text)) else {
            tracing::warn!(file = %path.display(), "this file in AUDIT_CHECKPOINT_DIR is not a signed checkpoint");
            return Ok(());
        };
        let lines = text.lines().filter(|line| line.starts_with("— "));
        let signatures: Vec<String> = lines.map(|line| format!("{line}\n")).collect();
        let body = String::from_utf8_lossy(note.text());
        self.store.add_signatures(checkpoint.size(), &body, &signatures, self.clock.now()).await?;
        Ok(())
    }

    /// The last kept files.
    async fn kept(&self) -> io::Result<Vec<PathBuf>> {
        let (mut files, mut directory) = (Vec::new(), fs::read_dir(&self.directory).await?);
        while let Some(file) = directory.next_entry().await? {
            if file.file_name().to_string_lossy().starts_with(KEPT) {
                files.push(file.path());
            }
        }
        files.sort_unstable();
        Ok(files.split_off(files.len().saturating_sub(READ)))
    }
}
