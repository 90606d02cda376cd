//! The commands beside `serve`, and what they say of bad settings.

use ringback::simulator::Settings;
use tokio::process::Command;

use crate::support::{BINARY, Cxone, Database, World, create_key, serve};

/// Exit status, standard output and standard error.
async fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn an_invalid_setting_ends_with_status_2_and_one_line_that_names_it() {
    let database = "postgres://nobody@localhost/nothing";
    for (name, value) in [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://localhost"),
        ("CXONE_CLIENT_ID", ""),
        ("CXONE_CLIENT_SECRET", ""),
        ("CXONE_BASE_URL", ""),
        ("CXONE_BASE_URL", "http://cxone.example"),
        ("CXONE_AUTH", "digest"),
        ("CXONE_TIMEOUT_MS", "soon"),
        ("CXONE_REQUESTS_PER_MINUTE", "0"),
        ("LISTEN_ADDR", "nowhere"),
        ("SMS_FROM", "nobody"),
        ("CALLBACK_WITHOUT_FORECAST", "guess"),
        ("DEFAULT_TIMEZONE", "Mars/Olympus"),
        ("LOG_FORMAT", "xml"),
        ("ENCRYPTION_KEY", "short"),
        ("CXONE_CLIENT_SECRET_FILE", "/nowhere/to/be/found"),
        ("OUTBOUND_PROXY_URL", "socks5://proxy.example"),
        ("OUTBOUND_PROXY_URL_FILE", "/nowhere/to/be/found"),
    ] {
        let mut command = serve(database, "http://127.0.0.1:1", &[(name, value)]);
        if name == "CXONE_CLIENT_SECRET_FILE" {
            command.env_remove("CXONE_CLIENT_SECRET");
        }
        let (status, _, said) = run(&mut command).await;
        assert_eq!(status, Some(2), "{name}={value}: {said}");
        let flag = name.to_lowercase().replace('_', "-");
        assert!(said.starts_with(&format!("error: {name} (--{flag}) ")), "{name}={value}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{name}={value}: {said}");
    }
}

#[tokio::test]
async fn a_secret_can_be_read_from_a_file() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let file = std::env::temp_dir().join(format!("ringback-secret-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", Settings::default().client_secret)).unwrap();

    let secret = [("CXONE_CLIENT_SECRET", ""), ("CXONE_CLIENT_SECRET_FILE", file.to_str().unwrap())];
    let service = crate::support::Service::start(&database, &cxone, &secret).await;

    std::fs::remove_file(file).unwrap();
    service.kill().await;
    database.drop().await;
}

#[tokio::test]
async fn keys_can_be_created_listed_and_revoked() {
    let world = World::start().await;
    let keys = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.env("DATABASE_URL", &world.database.url).arg("keys").args(arguments);
        command
    };

    let (status, secret, said) =
        run(&mut keys(&["create", "--name", "ivr", "--scope", "callbacks:read", "--expires-in", "90d"])).await;
    let (_, list, _) = run(&mut keys(&["list"])).await;
    let line = list.lines().find(|line| line.contains("ivr")).unwrap();
    let id = line.split_whitespace().next().unwrap();
    let (revoked, _, _) = run(&mut keys(&["revoke", id])).await;
    let (again, _, _) = run(&mut keys(&["revoke", id])).await;
    let (no_scope, _, _) = run(&mut keys(&["create", "--name", "x", "--scope", "everything"])).await;

    assert_eq!((status, secret.trim_end().lines().count(), said.as_str()), (Some(0), 1, ""));
    assert!(line.contains("until") && line.contains("callbacks:read") && !list.contains(secret.trim_end()));
    assert_eq!((revoked, again, no_scope), (Some(0), Some(1), Some(2)));
    let answer = world.http.get(format!("{}/v1/callbacks", world.service.base_url)).bearer_auth(secret.trim_end());
    assert_eq!(answer.send().await.unwrap().status(), 401);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_entries where actor_type = 'operator' order by seq")
            .fetch_all(&world.database.pool)
            .await
            .unwrap();
    assert_eq!(actions, ["key.created", "key.revoked", "request.refused"]);
    world.end().await;
}

#[tokio::test]
async fn openapi_prints_the_committed_document_and_migrate_can_be_repeated() {
    let committed = include_str!("../../openapi/ringback.json");
    let database = Database::create().await;
    let migrate = || {
        let mut command = Command::new(BINARY);
        command.env("DATABASE_URL", &database.url).arg("migrate");
        command
    };

    let (_, printed, _) = run(Command::new(BINARY).arg("openapi")).await;
    let (first, _, _) = run(&mut migrate()).await;
    let (second, _, _) = run(&mut migrate()).await;

    assert!(printed == committed, "openapi/ringback.json is out of date: run make openapi");
    assert_eq!((first, second), (Some(0), Some(0)));
    create_key(&database, &["audit:read"]).await;
    database.drop().await;
}
