//! A pooler in transaction mode, `PgBouncer`, in front of the tests' Postgres.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;
use url::Url;
use uuid::Uuid;

use crate::harness::{Database, Process, has_program, server_user};

/// A pooler for one database. Stopped and removed when it is dropped.
pub struct PgBouncer {
    /// The URL of the database, through the pooler.
    pub url: String,
    _process: Process,
    directory: PathBuf,
}

impl PgBouncer {
    /// Its connections to Postgres.
    pub const SERVER_CONNECTIONS: i64 = 6;

    /// None where it is not installed. The settings are those of `docs/scaling.md`.
    pub async fn start(database: &Database) -> Option<Self> {
        if !has_program("pgbouncer").await {
            return None;
        }
        let directory = PathBuf::from(format!("/tmp/rb-{}", &Uuid::now_v7().simple().to_string()[16..]));
        fs::create_dir(&directory).unwrap();
        let user = server_user();
        if let Some(user) = user {
            chown(&directory, Some(user.id), Some(user.group)).unwrap();
        }
        let (pooled, target) = (directory.display(), target(&database.url));
        let settings = format!(
            "[databases]\nringback = {target}\n\n[pgbouncer]\nunix_socket_dir = {pooled}\nlisten_port = 6432\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {}\nmax_prepared_statements = 200\n\
             ignore_startup_parameters = extra_float_digits,options\nserver_login_retry = 1\n",
            Self::SERVER_CONNECTIONS
        );
        let file = directory.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root.
        command.args(user.iter().flat_map(|user| ["--user", user.name])).arg(&file);
        let (process, _) = Process::start(command, |line| line.contains("process up").then(String::new)).await;
        let url = format!("postgres://ringback@localhost/ringback?host={pooled}&port=6432");
        Some(Self { url, _process: process, directory })
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the database is, for the section `databases`.
fn target(url: &str) -> String {
    let options: PgConnectOptions = url.parse().unwrap();
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let (port, user, name) = (options.get_port(), options.get_username(), options.get_database().unwrap());
    let url = Url::parse(url).unwrap();
    let password = url.password().map_or_else(String::new, |password| format!(" password={password}"));
    format!("host={host} port={port} dbname={name} user={user}{password}")
}
