//! The receivers in docs/receivers/, which verify signatures with the published libraries.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use super::{Received, eventually, has_program, has_python_module, http_client};

#[derive(Clone, Copy, Debug)]
pub enum Language {
    TypeScript,
    Python,
}

/// A receiver that is running. Killed when it is dropped.
pub struct DocumentedReceiver {
    pub url: String,
    output: Arc<Mutex<Vec<String>>>,
    _child: Child,
}

impl DocumentedReceiver {
    /// `None` if what it needs is not installed.
    pub async fn start(language: Language, secret: &str) -> Option<Self> {
        let mut command = language.command().await?;
        command.env("WEBHOOK_SECRET", secret).env("PORT", "0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut lines, shared) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&output));
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                shared.lock().push(line);
            }
        });
        let receiver = Self { url: String::new(), output, _child: child };
        let first = receiver.output_when("listening", 1).await.remove(0);
        Some(Self { url: first.rsplit(' ').next().unwrap().to_owned(), ..receiver })
    }

    /// The lines of its output that start with `start`, when there are at least `count`.
    pub async fn output_when(&self, start: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines that start with {start}"), async || {
            let output = self.output.lock().clone();
            let found: Vec<_> = output.iter().filter(|line| line.starts_with(start)).cloned().collect();
            if found.len() >= count { Ok(found) } else { Err(output.join("\n")) }
        })
        .await
    }

    /// Sends it a request. Returns the status, or 0 if it closed the connection.
    pub async fn send(&self, request: &Received) -> u16 {
        let mut builder = http_client().post(&self.url).body(request.body.clone());
        for (name, value) in request.headers.iter().filter(|(name, _)| name.starts_with("webhook-")) {
            builder = builder.header(name, value);
        }
        builder.send().await.map_or(0, |answer| answer.status().as_u16())
    }
}

impl Language {
    /// The command that runs its receiver. Its packages are installed once, under target/.
    async fn command(self) -> Option<Command> {
        static TYPESCRIPT: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        match self {
            Self::TypeScript => {
                let directory = TYPESCRIPT.get_or_init(build_typescript).await.as_ref()?;
                let mut command = Command::new("node");
                command.arg(directory.join("build/receiver.js"));
                Some(command)
            }
            Self::Python => {
                let directory = PYTHON.get_or_init(install_python).await.as_ref()?;
                let mut command = Command::new("python3");
                command.arg(directory.join("receiver.py")).env("PYTHONPATH", directory.join("packages"));
                Some(command)
            }
        }
    }
}

async fn build_typescript() -> Option<PathBuf> {
    if !has_program("npm").await {
        return None;
    }
    let files = ["package.json", "package-lock.json", "tsconfig.json", "receiver.ts"];
    let directory = copy("typescript", &files);
    install(&directory, "package-lock.json", Command::new("npm").args(["ci", "--no-audit", "--no-fund"])).await;
    run(&directory, &mut Command::new("node_modules/.bin/tsc")).await;
    Some(directory)
}

async fn install_python() -> Option<PathBuf> {
    if !has_python_module("pip").await {
        return None;
    }
    let directory = copy("python", &["requirements.txt", "receiver.py"]);
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    let mut pip = Command::new("python3");
    pip.args(arguments).args(["--upgrade", "--target", "packages", "--requirement", "requirements.txt"]);
    install(&directory, "requirements.txt", &mut pip).await;
    Some(directory)
}

/// Copies files of a receiver to a directory under target/.
fn copy(language: &str, files: &[&str]) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers").join(language);
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("receivers").join(language);
    std::fs::create_dir_all(&to).unwrap();
    for file in files {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    to
}

/// Runs `command` unless it has succeeded before with the same `requirements`.
async fn install(directory: &Path, requirements: &str, command: &mut Command) {
    let (requirements, installed) = (directory.join(requirements), directory.join("installed"));
    let wanted = std::fs::read(requirements).unwrap();
    if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let _ = std::fs::remove_file(&installed);
    run(directory, command).await;
    std::fs::write(&installed, wanted).unwrap();
}

async fn run(directory: &Path, command: &mut Command) {
    let output = command.current_dir(directory).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&text));
}
