//! A separate Postgres server, which can be stopped, frozen, killed and started again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use uuid::Uuid;

use super::processes::{children, is_running, signal};
use super::{Database, PATIENCE, eventually};

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What survives a crash of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What was committed survives a crash of the server, but not of the machine: nothing is synced to disk.
    Fast,
    /// Everything that was committed, as in production.
    Synced,
}

/// A server in its own directory, on a Unix socket. Killed and removed when it is dropped.
pub struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    /// The user and group to run as: Postgres refuses to run as root.
    user: Option<User>,
    server: Option<Child>,
}

impl Postgres {
    /// Initializes and starts a server with an empty database `ringback`; this takes a second or two.
    pub async fn start(durability: Durability) -> Self {
        let mut postgres = Self::prepare(durability);
        postgres.initialize(durability).await;
        postgres.run().await;
        let host = format!("--host={}", postgres.directory.display());
        postgres.run_program("createdb", &[&host, "--username=ringback", "--no-password", "ringback"]).await;
        postgres
    }

    /// The URL of the database `ringback`.
    pub fn url(&self) -> String {
        format!("postgres:///ringback?host={}&port=5432&user=ringback", self.directory.display())
    }

    /// The database `ringback`, which ends with the server.
    pub fn database(&self) -> Database {
        Database::open(self.url(), "ringback".into())
    }

    /// Starts the server, also after `stop` or `kill`, and returns when it accepts connections.
    pub async fn run(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.server.is_none() {
            assert!(Instant::now() < deadline, "Postgres does not start; see {}", self.log().display());
            let log = fs::File::options().append(true).create(true).open(self.log()).unwrap();
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.data()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut server = command.kill_on_drop(true).process_group(0).spawn().unwrap();
            // It ends at once if a server that was just killed still holds its shared memory.
            if self.becomes_ready(&mut server, deadline).await {
                self.server = Some(server);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Makes this a standby of another server, in place of whatever its directory has, and starts it.
    pub async fn follow(&mut self, primary: &Self) {
        let _ = fs::remove_dir_all(self.data());
        let (host, data) =
            (format!("--host={}", primary.directory.display()), format!("--pgdata={}", self.data().display()));
        // Nothing here survives a crash of the machine anyway.
        let options =
            ["--username=ringback", "--no-password", "--checkpoint=fast", "--write-recovery-conf", "--no-sync"];
        self.run_program("pg_basebackup", &[&[host.as_str(), &data][..], &options].concat()).await;
        self.configure(&format!("unix_socket_directories = '{}'", self.directory.display()));
        self.run().await;
    }

    /// Makes a standby the primary, and returns when it accepts writes.
    pub async fn promote(&self) {
        self.run_program("pg_ctl", &["promote", &format!("--pgdata={}", self.data().display())]).await;
    }

    /// Appends lines to the settings; the last line of a setting counts. They take effect at the next start or `reload`.
    pub fn configure(&self, lines: &str) {
        let mut settings = fs::File::options().append(true).open(self.data().join("postgresql.conf")).unwrap();
        writeln!(settings, "{lines}").unwrap();
    }

    pub async fn reload(&self) {
        signal("HUP", &[self.main()]).await;
    }

    /// A server without a database yet: `follow` gives it one.
    pub fn prepare(durability: Durability) -> Self {
        // The path of a socket is limited to about 100 bytes. /tmp is often kept in memory.
        let base = if durability == Durability::Synced { "/var/tmp" } else { "/tmp" };
        let directory = PathBuf::from(format!("{base}/rb-{}", &Uuid::now_v7().simple().to_string()[16..]));
        fs::create_dir(&directory).unwrap();
        let postgres = Self { directory, programs: programs(), user: server_user(), server: None };
        fs::set_permissions(&postgres.directory, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some(user) = postgres.user {
            chown(&postgres.directory, Some(user.id), Some(user.group)).unwrap();
        }
        postgres
    }

    /// The socket on which it accepts connections.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Stops the server with a fast shutdown, which closes all connections.
    pub async fn stop(&mut self) {
        signal("INT", &[self.main()]).await;
        let mut server = self.server.take().unwrap();
        tokio::time::timeout(PATIENCE, server.wait()).await.expect("Postgres does not stop").unwrap();
    }

    /// Kills the server and all its processes with SIGKILL, as when the machine crashes.
    pub async fn kill(&mut self) {
        let main = self.main();
        // A stopped server starts no more processes.
        signal("STOP", &[main]).await;
        let children = children(main);
        signal("KILL", &[&[main][..], &children].concat()).await;
        self.server.take().unwrap().wait().await.unwrap();
        eventually("the end of the server's processes", async || {
            if children.iter().any(|id| is_running(*id)) { Err("some are running".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Freezes the server: its sockets stay open, and nothing is answered.
    pub async fn freeze(&self) {
        let main = self.main();
        // The main process first, so that it starts no more processes.
        signal("STOP", &[main]).await;
        self.signal_children("STOP").await;
    }

    /// Ends `freeze`.
    pub async fn thaw(&self) {
        self.signal_children("CONT").await;
        signal("CONT", &[self.main()]).await;
    }

    async fn signal_children(&self, name: &str) {
        let children = children(self.main());
        if !children.is_empty() {
            // One that has just ended is no error.
            signal(name, &children).await;
        }
    }

    fn main(&self) -> u32 {
        self.server.as_ref().and_then(Child::id).expect("Postgres is running")
    }

    async fn initialize(&self, durability: Durability) {
        let pgdata = format!("--pgdata={}", self.data().display());
        let options = ["--username=ringback", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
        self.run_program("initdb", &[&[pgdata.as_str()][..], &options].concat()).await;
        self.configure(&format!("listen_addresses = ''\nunix_socket_directories = '{}'", self.directory.display()));
        self.configure("port = 5432\nmax_connections = 300\nshared_buffers = 128MB");
        if durability == Durability::Fast {
            self.configure("fsync = off");
        }
    }

    /// Whether a server that was just started accepts connections; false if it has ended.
    async fn becomes_ready(&self, server: &mut Child, deadline: Instant) -> bool {
        let id = server.id().expect("it was just started").to_string();
        while Instant::now() < deadline && server.try_wait().unwrap().is_none() {
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let is_own_file = state.lines().next() == Some(id.as_str());
            if is_own_file && state.lines().any(|line| line.trim_end() == "ready") {
                return true;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        false
    }

    async fn run_program(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory).env_clear().env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user.id).gid(user.group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGKILL, because a frozen server handles no other signal.
        if let Some(main) = self.server.as_ref().and_then(Child::id) {
            let ids = std::iter::once(main).chain(children(main)).map(|id| id.to_string());
            let _ = std::process::Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The directory of the newest server programs.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    packaged.sort();
    candidates.extend(packaged.into_iter().rev());
    let names = ["initdb", "postgres", "createdb"];
    let has_programs = |directory: &PathBuf| names.iter().all(|name| directory.join(name).exists());
    candidates.into_iter().find(has_programs).expect("the programs of a Postgres server are installed")
}

/// A user of this machine.
#[derive(Clone, Copy)]
pub struct User {
    pub name: &'static str,
    pub id: u32,
    pub group: u32,
}

/// The user that runs the server if this process is root's.
pub fn server_user() -> Option<User> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some(User { name, id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    })
}
