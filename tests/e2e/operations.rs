//! What those who run the service see of it, Postgres going away included.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::harness::PATIENCE;
use crate::support::{Answer, Cxone, Database, Service, World, create_key, eventually, payload, processes, serve};

/// A way to Postgres that can be cut.
struct Line {
    url: String,
    cut: CancellationToken,
    address: std::net::SocketAddr,
    server: PgConnectOptions,
}

impl Line {
    async fn to(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server: PgConnectOptions = database.url.parse().unwrap();
        let mut url = reqwest::Url::parse(&database.url).unwrap();
        url.set_query(None);
        url.set_ip_host(address.ip()).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let line = Self { url: format!("{url}?sslmode=disable"), cut: CancellationToken::new(), address, server };
        line.carry(listener);
        line
    }

    fn carry(&self, listener: TcpListener) {
        let (cut, server) = (self.cut.clone(), self.server.clone());
        tokio::spawn(self.cut.clone().run_until_cancelled_owned(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (cut, server) = (cut.clone(), server.clone());
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    let socket = server.get_socket().cloned();
                    let host = server.get_host().to_owned();
                    let directory = socket.or_else(|| host.starts_with('/').then(|| host.clone().into()));
                    let _ = match directory {
                        Some(directory) => {
                            let path = directory.join(format!(".s.PGSQL.{}", server.get_port()));
                            let mut far = UnixStream::connect(path).await.unwrap();
                            copy_bidirectional(&mut near, &mut far).await
                        }
                        None => {
                            let mut far = TcpStream::connect((host, server.get_port())).await.unwrap();
                            copy_bidirectional(&mut near, &mut far).await
                        }
                    };
                }));
            }
        }));
    }

    async fn heal(&mut self) {
        self.cut = CancellationToken::new();
        self.carry(TcpListener::bind(self.address).await.unwrap());
    }
}

#[tokio::test]
async fn without_postgres_the_service_is_alive_and_not_ready() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let mut line = Line::to(&database).await;
    let service = Service::at(&line.url, &cxone, &[]).await;
    let key = create_key(&database, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let world = World { database, cxone, service, key, http: crate::support::http_client() };
    let probe = async |path: &str| Answer::to(world.request(Method::GET, path)).await;
    assert_eq!(probe("/readyz").await.status, 200);

    line.cut.cancel();
    let unready = eventually("not ready", async || {
        let ready = probe("/readyz").await;
        if ready.status == 503 { Ok(ready) } else { Err(ready.body.to_string()) }
    })
    .await;
    let refused = world.answer("/v1/callbacks", &payload(), &[]).await;

    assert!(unready.body["status"].as_str().unwrap().contains("database"), "{}", unready.body);
    assert_eq!(probe("/healthz").await.status, 200);
    assert_eq!(refused.problem(), (503, "unavailable"), "{}", refused.body);
    assert!(refused.header("retry-after").is_some());

    line.heal().await;
    eventually("ready again", async || {
        let ready = probe("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.body.to_string()) }
    })
    .await;
    let (status, callback) = world.ask(&payload()).await;
    assert_eq!(status, 201, "{callback}");
    world.end().await;
}

#[tokio::test]
async fn a_service_that_waits_for_postgres_at_its_start_ends_at_sigterm() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", silent.local_addr().unwrap());
    let mut service = serve(&url, "http://127.0.0.1:1", &[]).spawn().unwrap();
    let (_connection, _) = tokio::time::timeout(PATIENCE, silent.accept()).await.expect("no connection").unwrap();
    assert!(processes::signal("TERM", &[service.id().unwrap()]).await);
    let status = tokio::time::timeout(PATIENCE, service.wait()).await.expect("it does not end").unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn every_problem_has_a_page_and_every_route_is_in_the_openapi_document() {
    let world = World::start().await;
    let get = async |path: &str| Answer::to(world.http.get(format!("{}{path}", world.service.base_url))).await;

    let document = get("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/v1/callbacks", "/v1/callbacks/{id}", "/v1/callbacks/{id}/cancel", "/v1/callbacks/batch", "/v1/audit"]
    {
        assert!(document.body["paths"].get(path).is_some(), "{path}");
    }
    let docs = get("/docs/").await;
    assert!(docs.header("content-type").unwrap().starts_with("text/html"), "{docs:?}");
    for slug in [
        "malformed-json",
        "unauthorized",
        "forbidden",
        "not-found",
        "method-not-allowed",
        "duplicate-callback",
        "already-scheduled",
        "idempotency-key-in-use",
        "payload-too-large",
        "unsupported-media-type",
        "invalid-request",
        "cxone-rejected",
        "no-forecast",
        "idempotency-key-reused",
        "internal",
        "unavailable",
    ] {
        let page = get(&format!("/problems/{slug}")).await;
        assert!(
            page.status == 200 && page.header("content-type").unwrap().starts_with("text/html"),
            "{slug}: {page:?}"
        );
    }
    for unknown in ["/problems/nonsense", "/v1", "/v1/nonsense/%FF"] {
        assert_eq!(get(unknown).await.problem(), (404, "not-found"), "{unknown}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_a_problem() {
    let mut world = World::start().await;
    world.key = create_key(&world.database, &["campaigns:read", "callbacks:read"]).await;

    for path in ["/problems/%FF", "/v1/callbacks/%FF", "/v1/campaigns/%FF/settings"] {
        let answer = Answer::to(world.request(Method::GET, path)).await;
        let (status, _) = answer.problem();
        assert!((400..500).contains(&status), "{path}: {answer:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn while_cxone_refuses_the_client_readyz_says_so_and_stays_ready() {
    let world = World::start().await;
    world.cxone.fault(json!({"route": "token", "kind": "status", "status": 401})).await;
    let id = world.accept(&payload()).await;
    world.callback_when(&id, |callback| callback["failure"]["code"] == "cxone-unauthorized").await;
    let ready = async || Answer::to(world.request(Method::GET, "/readyz")).await;

    let refused = ready().await;
    world.cxone.heal().await;
    let callback = world.settled_soon(&id).await;

    assert_eq!((refused.status, &refused.body["status"]), (200, &json!("ok")));
    assert!(refused.body["cxone"].as_str().unwrap().contains("CXONE_CLIENT_ID"), "{}", refused.body);
    assert_eq!(callback["confirmation"]["status"], "sent");
    assert_eq!(ready().await.body, json!({"status": "ok", "cxone": "ok"}));
    let metrics = Answer::to(world.request(Method::GET, "/metrics")).await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let Value::String(text) = &metrics.body else { panic!("{metrics:?}") };
    for name in ["ringback_http_request_seconds", "ringback_cxone_request_seconds", "ringback_callbacks_total"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    world.end().await;
}
