//! The settings for the audit log.

use std::ffi::OsString;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::errors::{BadSetting, SettingErrors};
use super::given::{Given, number, optional_text, secret_text, text};
use super::secret::secret;
use crate::audit::{LogKeys, NumberHasher, is_origin};

/// The name of the log where none is set.
const DEFAULT_ORIGIN: &str = "ringback.invalid/audit";

/// The settings for the audit log, as given.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints these lines as they are")]
pub struct AuditArgs {
    /// Key that signs the audit log: 32 bytes in base64. While it is replaced: the new and the old key, with a comma between
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "BASE64")]
    audit_signing_key: Option<Given<SecretString>>,
    /// A file that contains AUDIT_SIGNING_KEY
    #[arg(long, env, value_name = "FILE")]
    audit_signing_key_file: Option<OsString>,
    /// Name of the audit log in its checkpoints, such as audit.example.com/ringback
    #[arg(long, env, value_parser = text(), value_name = "NAME")]
    audit_log_origin: Option<Given<String>>,
    /// Key that hashes phone numbers in the audit log: 32 bytes in base64. While it is replaced: the new and the old key, with a comma between
    #[arg(long, env, hide_env_values = true, value_parser = secret_text(), value_name = "BASE64")]
    audit_hash_key: Option<Given<SecretString>>,
    /// A file that contains AUDIT_HASH_KEY
    #[arg(long, env, value_name = "FILE")]
    audit_hash_key_file: Option<OsString>,
    /// Directory that gets the checkpoints of the audit log; signatures that witnesses add to its files are kept
    #[arg(long, env, value_name = "DIRECTORY")]
    audit_checkpoint_dir: Option<OsString>,
    #[command(flatten)]
    retention: RetentionArgs,
}

/// For how long audit entries are kept, as given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RetentionArgs {
    /// Days for which audit entries are kept at least; for ever by default. Needs the owner of the tables
    #[arg(long, env, value_parser = number(1_u32..=36_500), value_name = "DAYS")]
    audit_retention_days: Option<Given<u32>>,
}

impl RetentionArgs {
    /// The days, or none after adding an error.
    pub fn read(self, errors: &mut SettingErrors) -> Option<Option<u32>> {
        errors.take(self.audit_retention_days.transpose())
    }
}

/// The settings for the audit log.
#[derive(Clone, Debug, Default)]
pub struct AuditSettings {
    /// The keys that sign the log. Without them it is not sealed.
    pub keys: Option<LogKeys>,
    /// What hashes phone numbers.
    pub numbers: NumberHasher,
    /// Where checkpoints are written to.
    pub checkpoints: Option<PathBuf>,
    /// For how many days entries are kept. None: for ever.
    pub retention_days: Option<u32>,
}

impl AuditArgs {
    /// The settings, or none after adding errors.
    pub fn read(self, errors: &mut SettingErrors) -> Option<AuditSettings> {
        let origin = errors.take(optional_text(self.audit_log_origin).and_then(origin));
        let key = secret("AUDIT_SIGNING_KEY", self.audit_signing_key, self.audit_signing_key_file.as_deref());
        let valid_origin = origin.clone().unwrap_or_else(|| DEFAULT_ORIGIN.to_owned());
        let keys = errors.take(key.and_then(|key| key.map(|key| keys(&valid_origin, &key)).transpose()));
        let hash_key = secret("AUDIT_HASH_KEY", self.audit_hash_key, self.audit_hash_key_file.as_deref());
        let numbers = errors.take(hash_key.and_then(|key| key.map(|key| hasher(&key)).transpose()));
        let checkpoints = self.audit_checkpoint_dir.filter(|path| !path.is_empty()).map(PathBuf::from);
        let checkpoints = errors.take(checkpoints.map(directory).transpose());
        let retention_days = self.retention.read(errors);
        origin?;
        Some(AuditSettings {
            keys: keys?,
            numbers: numbers?.unwrap_or_default(),
            checkpoints: checkpoints?,
            retention_days: retention_days?,
        })
    }
}

fn directory(path: PathBuf) -> Given<PathBuf> {
    if path.is_dir() {
        return Ok(path);
    }
    Err(BadSetting::new("AUDIT_CHECKPOINT_DIR", "must be a directory that exists"))
}

fn origin(text: Option<String>) -> Given<String> {
    let text = text.unwrap_or_else(|| DEFAULT_ORIGIN.to_owned());
    if is_origin(&text) {
        return Ok(text);
    }
    Err(BadSetting::new("AUDIT_LOG_ORIGIN", "must be a name without spaces and without +"))
}

fn keys(origin: &str, key: &SecretString) -> Given<LogKeys> {
    LogKeys::parse(origin, key.expose_secret()).map_err(|rule| BadSetting::new("AUDIT_SIGNING_KEY", rule))
}

fn hasher(key: &SecretString) -> Given<NumberHasher> {
    NumberHasher::parse(key.expose_secret()).map_err(|rule| BadSetting::new("AUDIT_HASH_KEY", rule))
}
