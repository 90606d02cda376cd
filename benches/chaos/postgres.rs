//! A Postgres server of its own, that syncs to disk and may be killed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ringback::clock::Clock;
use tokio::process::{Child, Command};

use super::processes::{children, signal};

/// It starts, and recovers from a crash, much sooner.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Reached by a socket in its directory. Killed and removed when it is dropped.
pub struct Postgres {
    pub url: String,
    directory: PathBuf,
    programs: PathBuf,
    /// Postgres refuses to run as root.
    user: Option<(u32, u32)>,
    server: Option<Child>,
}

impl Postgres {
    /// With an empty database.
    pub async fn start() -> anyhow::Result<Self> {
        let programs = programs().context("no Postgres programs in PATH: run this with `make chaos`")?;
        // A socket's path has room for about 100 bytes; /tmp is often kept in memory.
        let directory = PathBuf::from(format!("/var/tmp/ringback-chaos.{}", Clock::system().new_id().simple()));
        fs::create_dir(&directory)?;
        let url = format!("postgres://ringback@localhost/ringback?host={}", directory.display());
        let mut postgres = Self { url, directory, programs, user: unprivileged().await?, server: None };
        postgres.make_cluster().await?;
        postgres.serve().await?;
        let host = format!("--host={}", postgres.directory.display());
        postgres.run("createdb", &[&host, "--username=ringback", "--no-password", "ringback"]).await?;
        Ok(postgres)
    }

    /// SIGKILL for all its processes at once, as when the machine dies.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut server = self.server.take().context("Postgres is not running")?;
        let id = server.id().context("Postgres has ended")?;
        // It starts no more processes while it is listed and killed.
        signal("STOP", &[id]).await?;
        let children = children(id)?;
        if !children.is_empty() {
            // One that has just ended by itself is as good as killed.
            let _ = signal("KILL", &children).await;
        }
        signal("KILL", &[id]).await?;
        server.wait().await?;
        Ok(())
    }

    /// A fast shutdown: clients are cut off.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut server = self.server.take().context("Postgres is not running")?;
        signal("INT", &[server.id().context("Postgres has ended")?]).await?;
        let status = tokio::time::timeout(PATIENCE, server.wait()).await.context("Postgres does not stop")??;
        ensure!(status.success(), "Postgres ended with {status}");
        Ok(())
    }

    /// Stops all its processes where they are, for so long.
    pub async fn freeze(&mut self, lasting: Duration) -> anyhow::Result<()> {
        let id = self.server.as_ref().and_then(Child::id).context("Postgres is not running")?;
        signal("STOP", &[id]).await?;
        let children = children(id)?;
        let stopped = if children.is_empty() { Ok(()) } else { signal("STOP", &children).await };
        tokio::time::sleep(lasting).await;
        if !children.is_empty() {
            let _ = signal("CONT", &children).await;
        }
        signal("CONT", &[id]).await?;
        // One of them may have ended in the very moment.
        let _ = stopped;
        Ok(())
    }

    /// Starts the server, and returns once it takes connections.
    pub async fn serve(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let data = self.directory.join("data");
        loop {
            let log = fs::File::options().append(true).create(true).open(self.log())?;
            let mut command = self.command("postgres");
            command.arg("-D").arg(&data).stdout(log.try_clone()?).stderr(log);
            let mut server = command.kill_on_drop(true).process_group(0).spawn()?;
            if ready(&mut server, &data, deadline).await? {
                self.server = Some(server);
                return Ok(());
            }
            // What was killed a moment ago may still hold its shared memory.
            ensure!(Instant::now() < deadline, "Postgres does not start; see {}", self.log().display());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the server and removes all of it.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.kill().await
    }

    async fn make_cluster(&self) -> anyhow::Result<()> {
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o700))?;
        if let Some((user, group)) = self.user {
            chown(&self.directory, Some(user), Some(group))?;
        }
        let data = self.directory.join("data");
        let pgdata = format!("--pgdata={}", data.display());
        let options = ["--username=ringback", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"];
        self.run("initdb", &[&pgdata, options[0], options[1], options[2], options[3]]).await?;
        let mut configuration = fs::File::options().append(true).open(data.join("postgresql.conf"))?;
        writeln!(configuration, "listen_addresses = ''")?;
        writeln!(configuration, "unix_socket_directories = '{}'", self.directory.display())?;
        writeln!(configuration, "port = 5432\nmax_connections = 300\nshared_buffers = 128MB")?;
        Ok(())
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.command(program).args(arguments).output().await?;
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory).env_clear().env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Its other processes end when they see that it is gone.
            let _ = server.start_kill();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether a server that was just started takes connections; false where it has ended.
async fn ready(server: &mut Child, data: &Path, deadline: Instant) -> anyhow::Result<bool> {
    let id = server.id().context("Postgres has ended")?.to_string();
    while Instant::now() < deadline {
        if server.try_wait()?.is_some() {
            return Ok(false);
        }
        let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let is_its_own = state.lines().next() == Some(id.as_str());
        if is_its_own && state.lines().any(|line| line.trim_end() == "ready") {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("Postgres is not ready after {} s", PATIENCE.as_secs())
}

/// The directory of the server's programs.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let has_all =
        |directory: &PathBuf| ["initdb", "postgres", "createdb"].iter().all(|name| directory.join(name).exists());
    std::env::split_paths(&path).find(has_all)
}

/// Who is to run the server where this is root.
async fn unprivileged() -> anyhow::Result<Option<(u32, u32)>> {
    if id(&["-u"]).await? != Some(0) {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let (Some(user), Some(group)) = (id(&["-u", name]).await?, id(&["-g", name]).await?) {
            return Ok(Some((user, group)));
        }
    }
    bail!("root has no user to run Postgres as")
}

async fn id(arguments: &[&str]) -> anyhow::Result<Option<u32>> {
    let output = Command::new("id").args(arguments).output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().parse().ok())
}
