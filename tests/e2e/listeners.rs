//! What the service listens on, and the commands that check it.

use std::path::PathBuf;
use std::process::Output;

use reqwest::{Certificate, Client};
use serde_json::Value;
use tokio::process::Command;

use crate::harness::plain_http;
use crate::support::{BINARY, World, eventually, serve};

/// Files that are removed with it.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("ringback-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a new certificate and its key. Returns a client that trusts no other.
    fn certify(&self) -> Client {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(self.path("cert"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key"), made.signing_key.serialize_pem()).unwrap();
        let certificate = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        plain_http().tls_certs_only([certificate]).build().unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_connections_with_the_old_one_stay() {
    let files = Files::new();
    let old = files.certify();
    let (certificate, key) = (files.path("cert"), files.path("key"));
    let world = World::with(&[("TLS_CERT_FILE", &certificate), ("TLS_KEY_FILE", &key)]).await;
    let url = world.service.base_url.replace("http://", "https://") + "/readyz";
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);

    std::fs::write(files.path("key"), "no key").unwrap();
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
    let new = files.certify();
    eventually("the new certificate", async || {
        // Only its connection from before is accepted: it trusts the old certificate alone.
        assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
        new.get(&url).send().await.map_err(|error| format!("{error:?}"))
    })
    .await;
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
    let address = world.service.base_url.replace("http://", "");
    let health = [("LISTEN_ADDR", address.as_str()), ("TLS_CERT_FILE", &certificate), ("TLS_KEY_FILE", &key)];
    assert!(run(&["health"], &health).await.status.success());
    world.end().await;
}

#[tokio::test]
async fn metrics_and_health_checks_are_only_on_their_own_port_where_it_is_set() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let world = World::with(&[("METRICS_ADDR", &port)]).await;
    for path in ["/metrics", "/healthz", "/readyz"] {
        let status = async |base: &str| world.http.get(format!("{base}{path}")).send().await.unwrap().status();
        assert_eq!(status(&format!("http://{port}")).await, 200, "{path}");
        assert_eq!(status(&world.service.base_url).await, 404, "{path}");
    }
    let health = async || run(&["health"], &[("METRICS_ADDR", port.as_str())]).await.status.success();
    assert!(health().await);
    world.end().await;
    assert!(!health().await);
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_and_what_to_do_without_secrets() {
    let world = World::start().await;
    let healthy = doctor(&world, &[]).await;
    assert!(healthy.status.success(), "{healthy:?}");
    let report: Value = serde_json::from_slice(&healthy.stdout).unwrap();
    let checks: Vec<&str> = report["checks"].as_array().unwrap().iter().map(|c| c["check"].as_str().unwrap()).collect();
    for name in ["settings", "database", "database role", "schema", "clock", "webhooks", "CXone"] {
        assert!(checks.contains(&name), "{name}: {report}");
    }

    let sick = doctor(&world, &[("WFO_WEBHOOK_URL", "https://127.0.0.1:1"), ("WFO_WEBHOOK_SECRET", "hush-hush")]).await;
    let unreachable = [
        ("WFO_WEBHOOK_URL", "https://wfo.invalid/hush-hush"),
        ("WFO_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ];
    let failed = doctor(&world, &unreachable).await;
    for (output, found) in [(&sick, "WFO_WEBHOOK_"), (&failed, "wfo.invalid cannot be reached")] {
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(found) && !text.contains("hush-hush"), "{text}");
    }
    world.end().await;
}

pub async fn doctor(world: &World, settings: &[(&str, &str)]) -> Output {
    let service = serve(&world.database.url, &world.cxone.base_url, settings);
    let variables = service.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    Command::new(BINARY).args(["doctor", "--json"]).envs(variables).output().await.unwrap()
}

async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(BINARY).args(arguments).envs(settings.iter().copied()).output().await.unwrap()
}
