//! The program's other commands, each as a process of its own.

use std::process::Stdio;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Answer, BINARY, Database, has_program, serve};

/// The program, with no settings but these.
fn program(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A signal, and the status with which the program ends on it.
async fn ended_by(signal: &str, mut child: Child) -> std::process::ExitStatus {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    child.wait().await.unwrap()
}

#[tokio::test]
async fn an_invalid_setting_is_named_and_its_value_is_never_shown() {
    let database = ("DATABASE_URL", "postgres://nobody@localhost/nothing");
    for (arguments, settings, named) in [
        (&["migrate"][..], &[][..], "DATABASE_URL"),
        (&["migrate"], &[("DATABASE_URL", "postgres://nobody:hush-hush@[/x")], "DATABASE_URL"),
        (&["migrate"], &[("DATABASE_URL_FILE", "/nowhere")], "DATABASE_URL_FILE"),
        (&["keys", "list"], &[], "DATABASE_URL"),
        (&["keys", "create", "--name", "x", "--scope", "hush-hush"], &[database], "--scope"),
        (&["keys", "create", "--name", "x", "--scope", "audit:read", "--expires-in=-1d"], &[database], "--expires-in"),
        (&["keys", "create", "--name", "", "--scope", "audit:read"], &[database], "--name"),
        (&["keys", "revoke", "hush-hush"], &[database], "<ID>"),
        (&["demo"], &[], "DATABASE_URL"),
        (&["demo"], &[database, ("LISTEN_ADDR", "hush-hush")], "LISTEN_ADDR"),
        (&["demo", "--api", "hush-hush"], &[database], "--api"),
        (&["simulator", "--listen", "hush-hush"], &[], "SIMULATOR_LISTEN (--listen)"),
        (&["simulator"], &[("SIMULATOR_LISTEN", "hush-hush")], "SIMULATOR_LISTEN (--listen)"),
    ] {
        let output = program(arguments, settings).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {settings:?}: {said}");
        assert!(said.contains(named) && said.lines().count() == 1, "{arguments:?} {settings:?}: {said}");
        assert!(!said.contains("hush-hush") && output.stdout.is_empty(), "{arguments:?} {settings:?}: {said}");
    }
}

/// The errors of `ringback serve` with some invalid settings and without the required ones.
const ERRORS_OF_SERVE: [&str; 8] = [
    "DATABASE_URL (--database-url) is required and not set",
    "CXONE_CLIENT_ID (--cxone-client-id) is required and not set",
    "CXONE_CLIENT_SECRET (--cxone-client-secret) is required and not set",
    "CXONE_ALLOW_HTTP (--cxone-allow-http) must be one of true, false",
    "CXONE_BASE_URL (--cxone-base-url) or CXONE_REGION (--cxone-region) is required and not set",
    "CXONE_TIMEOUT_MS (--cxone-timeout-ms) must be 100 to 60000",
    "ENCRYPTION_KEY (--encryption-key) must be 32 bytes in base64",
    "LOG_FORMAT (--log-format) must be one of json, pretty",
];

#[tokio::test]
async fn each_missing_and_invalid_setting_is_one_line_of_error() {
    let invalid_url = "postgres://nobody:hush-hush@[/x";
    for (arguments, settings, named) in [
        (
            &["serve", "--cxone-timeout-ms", "99"][..],
            &[("CXONE_ALLOW_HTTP", "hush-hush"), ("ENCRYPTION_KEY", "hush-hush"), ("LOG_FORMAT", "xml")][..],
            &ERRORS_OF_SERVE[..],
        ),
        (
            &["demo", "--listen-addr=nowhere"],
            &[],
            &[
                "DATABASE_URL (--database-url) is required and not set",
                "LISTEN_ADDR (--listen-addr) must be an address and a port, such as 127.0.0.1:8080",
            ],
        ),
        (
            &["keys", "create", "--name", "", "--scope", "audit:read", "--expires-in", "soon"],
            &[("DATABASE_URL", invalid_url)],
            &[
                "DATABASE_URL (--database-url) must be a postgres:// URL",
                "--name must be 1 to 100 characters",
                "--expires-in must be a time such as 90d or 12h",
            ],
        ),
        (
            &["simulator", "--latency-ms", "x", "--seed=-1"],
            &[("SIMULATOR_LISTEN", "nowhere")],
            &[
                "SIMULATOR_LISTEN (--listen) must be an address and a port, such as 127.0.0.1:8080",
                "--latency-ms must be 0 to 18446744073709551615",
                "--seed must be 0 to 18446744073709551615",
            ],
        ),
    ] {
        let output = program(arguments, settings).output().await.unwrap();
        let lines: String = named.iter().flat_map(|line| ["error: ", line, "\n"]).collect();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(2), lines));
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_setting_that_does_not_work_is_one_line_of_error_without_its_password() {
    let nowhere = "postgres://nobody:hush-hush@127.0.0.1:1/nothing";
    let database = Database::create().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = "http://127.0.0.1:1";
    for (mut command, named) in [
        (program(&["migrate"], &[("DATABASE_URL", nowhere)]), "Postgres"),
        (program(&["keys", "list"], &[("DATABASE_URL", nowhere)]), "Postgres"),
        (serve(nowhere, url, &[("RUST_LOG", "off")]), "Postgres"),
        (serve(&database.url, url, &[("LISTEN_ADDR", &address), ("RUST_LOG", "off")]), "LISTEN_ADDR"),
        (program(&["simulator", "--listen", &address], &[]), "--listen"),
    ] {
        let output = command.output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{named}: {said}");
        assert!(said.contains(named) && said.lines().count() == 1 && !said.contains("hush-hush"), "{named}: {said}");
    }
    database.drop().await;
}

#[tokio::test]
async fn replicas_that_migrate_at_the_same_time_all_succeed() {
    let database = Database::create_empty().await;

    let migrations =
        (0..4).map(async |_| program(&["migrate"], &[("DATABASE_URL", &database.url)]).output().await.unwrap());
    for output in join_all(migrations).await {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    assert_eq!(database.count("from callbacks").await, 0);
    database.drop().await;
}

#[tokio::test]
async fn a_key_is_stored_as_a_hash_and_shown_once() {
    let database = Database::create().await;
    let settings = [("DATABASE_URL", database.url.as_str())];

    let made =
        program(&["keys", "create", "--name", "ivr", "--scope", "audit:read"], &settings).output().await.unwrap();
    let unknown =
        program(&["keys", "revoke", "01935d3c-7f2a-7000-8000-000000000000"], &settings).output().await.unwrap();

    let key = String::from_utf8(made.stdout).unwrap();
    let secret = key.trim_end();
    assert!(secret.len() > 40 && key == format!("{secret}\n"), "{key}");
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(1), 0));
    for table in ["api_keys", "audit_entries"] {
        assert_eq!(
            database.count(&format!("from {table} as kept where kept::text like '%{secret}%'")).await,
            0,
            "{table}"
        );
    }
    assert_eq!(database.count("from api_keys").await, 1);
    database.drop().await;
}

#[tokio::test]
async fn the_simulator_runs_without_a_database() {
    let mut child = program(&["simulator", "--listen", "127.0.0.1:0", "--campaign", "mine"], &[])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let url = &line[line.find("http://").unwrap()..];
    let http = crate::support::http_client();

    let form =
        [("grant_type", "client_credentials"), ("client_id", "simulator"), ("client_secret", "simulator-secret")];
    let form = form.map(|(name, value)| format!("{name}={value}")).join("&");
    let token = http.post(format!("{url}/oauth/token")).header("content-type", "application/x-www-form-urlencoded");
    let token = Answer::to(token.body(form)).await;
    let campaign = |id: &str| {
        let request = http.request(Method::GET, format!("{url}/api/v2/outbound/campaigns/{id}"));
        Answer::to(request.bearer_auth(token.body["access_token"].as_str().unwrap_or("none")))
    };
    let (mine, other) = (campaign("mine").await, campaign("other").await);

    assert_eq!(token.status, 200, "{token:?}");
    assert_eq!((mine.status, &mine.body["state"]), (200, &json!("ACTIVE")));
    assert_eq!(other.status, 404);
    assert!(ended_by("-TERM", child).await.success());
}

fn exported_key(said: &str) -> &str {
    said.lines().find_map(|line| line.strip_prefix("export KEY=")).unwrap()
}

/// The blocks of README and docs/ that send requests, with their files.
fn documented_curls() -> Vec<(&'static str, &'static str)> {
    let files = [
        ("README.md", include_str!("../../../README.md")),
        ("docs/campaigns.md", include_str!("../../../docs/campaigns.md")),
        ("docs/webhooks.md", include_str!("../../../docs/webhooks.md")),
    ];
    let blocks = files.into_iter().flat_map(|(file, text)| {
        text.split("```sh\n").skip(1).filter_map(move |rest| Some((file, rest.split_once("```")?.0)))
    });
    blocks.filter(|(_, commands)| commands.contains("curl ")).collect()
}

#[tokio::test]
async fn the_demo_shows_its_callbacks_and_a_pause_and_its_curl_lines_work_when_pasted() {
    if !has_program("curl").await {
        return;
    }
    let database = Database::create().await;
    let settings = [("DATABASE_URL", database.url.as_str()), ("LISTEN_ADDR", "127.0.0.1:0")];
    let mut child = program(&["demo"], &settings).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut said, mut pasted) = (String::new(), Vec::new());
    while pasted.len() < 3 {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no curl line: {said}"));
        said.extend([line.as_str(), "\n"]);
        if line.starts_with("curl ") {
            pasted.push(line);
        }
    }

    let mut answers = Vec::new();
    for line in &pasted {
        let output = Command::new("sh").args(["-c", line]).output().await.unwrap();
        answers.push(serde_json::from_slice::<Value>(&output.stdout).unwrap());
    }
    let (base_url, key) = (pasted[0].split(&[' ', '/'][..]).nth(4).unwrap(), exported_key(&said));
    for (file, commands) in documented_curls() {
        let commands = commands.replace("127.0.0.1:8080", base_url);
        let output = Command::new("sh").args(["-c", &commands]).env("KEY", key).output().await.unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{file}: {commands}"));
        assert!(answer["type"].is_null(), "{file}: {commands}\n{answer}");
    }
    let status = ended_by("-INT", child).await;

    assert!(said.contains("confirmed") && said.contains("CXone: PAUSED → ACTIVE"), "{said}");
    assert!(!said.contains('\u{1b}'), "colour is for terminals: {said}");
    assert_eq!((&answers[0]["status"], &answers[0]["confirmation"]["status"]), (&json!("scheduled"), &json!("sent")));
    assert_eq!((&answers[1]["status"], &answers[1]["newState"]), (&json!("applied"), &json!("PAUSED")));
    let entries = answers[2]["data"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["callbackId"] == answers[0]["id"]));
    assert_eq!(entries[0]["id"], answers[1]["auditId"]);
    assert!(status.success(), "{status}");
    database.drop().await;
}

#[tokio::test]
async fn the_demo_of_the_api_of_nice_shows_a_callback_that_is_called_and_reached() {
    let database = Database::create().await;
    let settings = [("DATABASE_URL", database.url.as_str()), ("LISTEN_ADDR", "127.0.0.1:0")];
    let mut demo = program(&["demo", "--api", "nice"], &settings);
    let mut child = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("Everything runs.") {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it has ended: {said}"));
        said.extend([line.as_str(), "\n"]);
    }
    let status = ended_by("-INT", child).await;

    assert!(said.contains("90000000") && said.contains("SMS"), "{said}");
    assert!(said.contains("called") && said.contains("reached at") && said.contains("120 s with an agent"), "{said}");
    assert!(said.contains("CXone: PAUSED → ACTIVE") && said.contains("campaign.resumed, signed"), "{said}");
    assert!(status.success(), "{status}");
    database.drop().await;
}
