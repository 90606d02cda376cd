//! A Postgres of a test's own: it can be stopped, frozen, killed and started again.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{Database, eventually};

/// A Postgres server of its own, in a directory of its own, on a Unix socket. Killed and removed when it is dropped.
pub struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    server: Option<Child>,
}

impl Postgres {
    /// Initializes and starts one; it takes a second or two.
    pub async fn start() -> Self {
        // The path of a socket has room for about 100 bytes.
        let directory = PathBuf::from(format!("/tmp/rb-{}", &Uuid::now_v7().simple().to_string()[16..]));
        let programs = programs();
        tokio::fs::create_dir(&directory).await.unwrap();
        if let Some((uid, gid)) = server_user() {
            std::os::unix::fs::chown(&directory, Some(uid), Some(gid)).unwrap();
        }
        let mut postgres = Self { directory, programs, server: None };
        let data = postgres.data();
        let made = postgres
            .command("initdb")
            .args(["--username=ringback", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("--pgdata")
            .arg(&data)
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nport = 5432\nmax_connections = 150\nfsync = off\n",
            postgres.directory.display()
        );
        tokio::fs::write(data.join("postgresql.auto.conf"), settings).await.unwrap();
        postgres.run().await;
        postgres
    }

    /// The database `ringback` on it, as tests know one. It lives and ends with the server.
    pub fn database(&self) -> Database {
        let socket = self.directory.display().to_string();
        let url = format!("postgres:///ringback?host={socket}&port=5432&user=ringback");
        let server: PgConnectOptions = url.parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(server.clone().database("ringback"));
        Database { url, pool, name: "ringback".into(), server }
    }

    /// Starts the server, again where it was stopped or killed, and waits until it answers.
    pub async fn run(&mut self) {
        let data = self.data();
        let mut command = self.command("postgres");
        command.arg("-D").arg(&data);
        self.server = Some(command.spawn().unwrap());
        let options =
            PgConnectOptions::new().socket(&self.directory).port(5432).username("ringback").database("postgres");
        eventually("the server answers", async || {
            let mut connection = PgConnection::connect_with(&options).await.map_err(|error| error.to_string())?;
            let _ = sqlx::raw_sql("create database ringback").execute(&mut connection).await;
            Ok(())
        })
        .await;
    }

    /// A fast shutdown: connections are ended.
    pub async fn stop(&mut self) {
        self.signal("-INT", &[self.main()]).await;
        self.server.take().unwrap().wait().await.unwrap();
    }

    /// SIGKILL to the server and all its processes: a crash.
    pub async fn kill(&mut self) {
        let all = self.processes().await;
        self.signal("-KILL", &all).await;
        self.server.take().unwrap().wait().await.unwrap();
        eventually("the server's processes are gone", async || {
            let left = alive(&all);
            if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
        })
        .await;
    }

    /// Freezes the server: its sockets stay open, and nothing is answered.
    pub async fn freeze(&self) {
        // The first of them first, so that it makes no more.
        self.signal("-STOP", &[self.main()]).await;
        self.signal("-STOP", &self.processes().await).await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.signal("-CONT", &self.processes().await).await;
    }

    fn main(&self) -> u32 {
        self.server.as_ref().and_then(Child::id).expect("the server runs")
    }

    /// The server and its children.
    async fn processes(&self) -> Vec<u32> {
        let main = self.main();
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &main.to_string()]).output().await.unwrap();
        let children = String::from_utf8(listed.stdout).unwrap();
        std::iter::once(main).chain(children.split_whitespace().map(|id| id.parse().unwrap())).collect()
    }

    async fn signal(&self, signal: &str, processes: &[u32]) {
        // One that has ended meanwhile is no fault.
        let ids = processes.iter().map(ToString::to_string);
        Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status().await.unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = std::process::Command::new(self.programs.join(program));
        command.current_dir(&self.directory).env("LC_ALL", "C").env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = server_user() {
            command.uid(uid).gid(gid);
        }
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A frozen server does not hear the signal that ends it gently; this one it does.
        if let Some(main) = self.server.as_ref().and_then(Child::id) {
            let listed = std::process::Command::new("ps").args(["-o", "pid=", "--ppid", &main.to_string()]).output();
            let children =
                listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
            let ids = std::iter::once(main.to_string()).chain(children.split_whitespace().map(str::to_owned));
            let _ = std::process::Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// How many still run; one that has ended and was not waited for does not.
fn alive(processes: &[u32]) -> usize {
    let runs = |id: &&u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    processes.iter().filter(runs).count()
}

/// The directory of the newest server programs.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    candidates.extend(packaged.into_iter().rev());
    let has_programs = |directory: &PathBuf| ["initdb", "postgres"].iter().all(|name| directory.join(name).exists());
    candidates.into_iter().find(has_programs).expect("the programs of a Postgres server are installed")
}

/// Postgres refuses to run as root.
fn server_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|itself| itself.uid() == 0);
    if !is_root {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
