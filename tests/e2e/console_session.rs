//! Signing in to the console and out of it, and what protects a session.

use futures::future::join_all;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::{BINARY, Browser, Service, World, create_key, eventually};

const COOKIE: &str = "__Host-ringback-session";

impl World {
    async fn browser(&self) -> Browser {
        Browser::signed_in(&self.service.base_url, &self.key).await
    }
}

/// The actions of entries about the console, the oldest first.
async fn recorded(world: &World) -> Vec<String> {
    let select = "select action || ' ' || actor_name from audit_entries where action like 'console.%' order by seq";
    sqlx::query_scalar(select).fetch_all(&world.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_key_signs_in_until_the_sign_out_and_both_are_recorded_with_its_name() {
    let world = World::start().await;
    let browser = Browser::new(&world.service.base_url);
    let wanted = "/console/callbacks?status=failed";
    let next = "/console/sign-in?next=%2Fconsole%2Fcallbacks%3Fstatus%3Dfailed";
    assert_eq!(browser.get(wanted).await.location(), next);
    let form = browser.get(next).await;
    assert!(form.status == 200 && form.has("type=\"password\"") && form.hidden("next") == wanted, "{form:?}");

    let answer = browser.post("/console/sign-in", &[("key", &world.key), ("next", wanted)]).await;
    assert_eq!(answer.location(), wanted);
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    for attribute in ["; HttpOnly", "; Secure", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.starts_with(COOKIE) && cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let overview = browser.get("/console").await;
    assert!(overview.status == 200 && overview.has(">test</p>") && overview.has("Sign out"), "{overview:?}");
    assert_eq!(browser.get("/console/sign-in?next=/console").await.location(), "/console");

    let old = browser.at(&browser.base_url);
    let after = browser.post("/console/sign-out", &[]).await;
    assert_eq!((after.location(), browser.cookie(COOKIE)), ("/console/sign-in?done=signed-out", None));
    assert!(browser.get(after.location()).await.has("You are signed out."));
    assert_eq!(old.get("/console").await.location(), "/console/sign-in?next=%2Fconsole");
    assert_eq!(recorded(&world).await, ["console.signed_in test", "console.signed_out test"]);
    world.end().await;
}

#[tokio::test]
async fn a_sign_in_without_a_valid_key_is_refused_and_recorded_and_leads_nowhere_else() {
    let world = World::start().await;
    let browser = Browser::new(&world.service.base_url);
    for key in ["rbk_unknown", "", &"k".repeat(10_000)] {
        let answer = browser.post("/console/sign-in", &[("key", key)]).await;
        let fault = "This API key is unknown, revoked or expired.";
        assert!(answer.status == 401 && answer.has(fault) && !answer.has("unknown\""), "{answer:?}");
        assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    }
    let refused = world.get("/v1/audit?action=request.refused").await;
    assert_eq!(refused["data"].as_array().unwrap().len(), 3, "{refused}");
    assert_eq!(refused["data"][0]["detail"]["route"], "/console/sign-in", "{refused}");
    assert_eq!(refused["data"][0]["actor"]["type"], "anonymous", "{refused}");
    for next in ["https://evil.example/", "//evil.example", "/v1/keys"] {
        let answer = browser.post("/console/sign-in", &[("key", &world.key), ("next", next)]).await;
        assert_eq!(answer.location(), "/console", "{next}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused() {
    let world = World::start().await;
    let browser = world.browser().await;
    let sign_out = || browser.request(Method::POST, "/console/sign-out");
    for request in [
        sign_out().header("sec-fetch-site", "cross-site"),
        sign_out().header("sec-fetch-site", "same-site"),
        sign_out().header("origin", "https://evil.example"),
        sign_out().header("origin", "null"),
    ] {
        let answer = browser.page(request).await;
        assert_eq!((answer.status, answer.has("another site")), (403, true), "{answer:?}");
    }
    assert_eq!(browser.get("/console").await.status, 200);
    assert_eq!(browser.page(sign_out().header("origin", &browser.base_url)).await.status, 303);
    world.end().await;
}

#[tokio::test]
async fn a_form_is_accepted_behind_a_proxy_that_changes_the_host_if_its_address_is_known() {
    let world = World::with(&[("CONSOLE_URL", "https://ringback.example.com/")]).await;
    let browser = world.browser().await;
    let sign_out = |origin: &str| browser.request(Method::POST, "/console/sign-out").header("origin", origin);
    assert_eq!(browser.page(sign_out("https://ringback.example.com.evil.example")).await.status, 403);
    assert_eq!(browser.page(sign_out("https://ringback.example.com")).await.status, 303);
    world.end().await;
}

#[tokio::test]
async fn an_address_or_a_form_that_cannot_be_read_is_answered_by_a_page() {
    let world = World::start().await;
    let browser = world.browser().await;
    let form = |body: String| {
        let request = browser.request(Method::POST, "/console/callbacks/search").body(body);
        request.header("content-type", "application/x-www-form-urlencoded")
    };
    let repeated = browser.get("/console/callbacks?status=failed&status=failed").await;
    let not_a_form = browser.request(Method::POST, "/console/callbacks/search").body("{}");
    for (status, answer) in [
        (422, repeated),
        (422, browser.page(not_a_form).await),
        (413, browser.page(form(format!("number={}", "1".repeat(70_000)))).await),
    ] {
        assert_eq!((answer.status, answer.has("<nav")), (status, true), "{answer:?}");
    }
    world.end().await;
}

/// Sends the head of a sign-in, and not its form.
async fn slow_sign_in(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.service.base_url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /console/sign-in HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn slow_forms_of_anybody_keep_others_from_signing_in_for_ten_seconds_and_delay_nobody_else() {
    let world = World::start().await;
    let (browser, anybody) = (world.browser().await, Browser::new(&world.service.base_url));
    let slow = join_all((0..80).map(|_| slow_sign_in(&world))).await;
    let sign_in = async |status: u16| {
        eventually("the answer to a sign-in", async || {
            let page = anybody.post("/console/sign-in", &[("key", "rbk_unknown")]).await;
            if page.status == status { Ok(page) } else { Err(format!("{page:?}")) }
        })
        .await
    };
    let refused = sign_in(503).await;
    assert!(refused.header("retry-after") == Some("1") && refused.has("too many requests"), "{refused:?}");
    assert_eq!(browser.post("/console/callbacks/search", &[("phoneNumber", "+12025550198")]).await.status, 200);
    let answers = slow.into_iter().map(async |mut stream| {
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        status
    });
    let answers = join_all(answers).await;
    let count = |status: &[u8; 12]| answers.iter().filter(|answer| *answer == status).count();
    // A sign-in of this test may have had the place of a slow one.
    let (slow, refused) = (count(b"HTTP/1.1 408"), count(b"HTTP/1.1 503"));
    assert!((60..=64).contains(&slow) && slow + refused == 80, "{answers:?}");
    sign_in(401).await;
    world.end().await;
}

#[tokio::test]
async fn a_page_loads_only_what_this_host_serves_and_is_not_stored() {
    let world = World::start().await;
    let browser = world.browser().await;
    for path in ["/console", "/console/sign-in", "/console/nowhere", "/console/enter?token=x"] {
        let page = browser.get(path).await;
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("same-origin"), "{path}");
        for inline in [" style=", "<style", " onclick=", "javascript:", "<script>"] {
            assert!(!page.has(inline), "{path}: {inline}");
        }
    }
    let missing = browser.get("/console/nowhere").await;
    assert!(missing.status == 404 && missing.has("no such page") && missing.has("Sign out"), "{missing:?}");
    let page = browser.get("/console").await;
    for extension in ["css", "js", "svg"] {
        let (before, _) = page.html.split_once(&format!(".{extension}\"")).unwrap();
        let path = format!("{}.{extension}", before.rsplit('"').next().unwrap());
        let asset = Browser::new(&world.service.base_url).get(&path).await;
        assert_eq!((asset.status, asset.header("cache-control").unwrap().contains("immutable")), (200, true), "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_revoked_or_expires_ends_its_sessions_on_every_replica() {
    let world = World::start().await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    let (browser, there) = (world.browser().await, Browser::signed_in(&second.base_url, &world.key).await);
    let doomed = create_key(&world.database, &["callbacks:read"]).await;
    let expiring = Browser::signed_in(&second.base_url, &doomed).await;
    assert_eq!(browser.at(&second.base_url).get("/console").await.status, 200);
    assert_eq!(expiring.get("/console").await.status, 200);

    let newest = "(select id from api_keys order by created_at desc limit 1)";
    world.database.run(&format!("update api_keys set expires_at = now() where id = {newest}")).await;
    world.database.run(&format!("update api_keys set revoked_at = now() where id <> {newest}")).await;
    for browser in [browser, there, expiring] {
        eventually("the end of the session", async || {
            let page = browser.get("/console").await;
            if page.status == 303 { Ok(()) } else { Err(format!("{page:?}")) }
        })
        .await;
    }
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn a_session_that_ends_on_one_replica_ends_on_the_others() {
    let world = World::start().await;
    let second = Service::start(&world.database, &world.cxone, &[]).await;
    let browser = world.browser().await;
    let there = browser.at(&second.base_url);
    assert_eq!(there.get("/console").await.status, 200);
    browser.post("/console/sign-out", &[]).await;
    eventually("the end of the session", async || {
        let page = there.get("/console").await;
        if page.status == 303 { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;
    let script = there.request(Method::GET, "/console/fragments/overview");
    assert_eq!(there.page(script).await.status, 401);
    second.kill().await;
    world.end().await;
}

#[tokio::test]
async fn the_scopes_of_a_key_decide_which_sections_its_holder_sees() {
    let world = World::start().await;
    let all = ["callbacks:read", "campaigns:read", "webhooks:read", "audit:read"];
    for (scopes, sections) in
        [(&all[..], &["callbacks", "campaigns", "webhooks", "audit"][..]), (&all[..1], &["callbacks"])]
    {
        let key = create_key(&world.database, scopes).await;
        let page = Browser::signed_in(&world.service.base_url, &key).await.get("/console").await;
        for section in ["callbacks", "campaigns", "webhooks", "audit"] {
            let link = format!("href=\"/console/{section}\"");
            assert_eq!(page.has(&link), sections.contains(&section), "{section}: {page:?}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn the_name_of_a_key_and_an_address_are_shown_as_text() {
    let world = World::start().await;
    let hostile = "\"><script>alert(1)</script>";
    world.database.run(&format!("update api_keys set name = '{hostile}'")).await;
    let page = world.browser().await.get("/console").await;
    assert!(page.has("&#60;script&#62;alert(1)&#60;/script&#62;") && !page.has("<script>"), "{page:?}");
    let address = "/console/sign-in?next=/console/%22%3E%3Cscript%3Ealert(1)%3C/script%3E&done=%3Cscript%3E";
    let page = Browser::new(&world.service.base_url).get(address).await;
    assert!(page.status == 200 && !page.has("<script>"), "{page:?}");
    let link = Browser::new(&world.service.base_url).get("/console/enter?token=%22%3E%3Cscript%3E").await;
    assert!(link.status == 200 && !link.has("<script>"), "{link:?}");
    world.end().await;
}

#[tokio::test]
async fn a_link_signs_in_once_with_the_scopes_of_its_key_and_fetching_it_does_not_use_it_up() {
    let world = World::start().await;
    let key: uuid::Uuid = sqlx::query_scalar("select id from api_keys").fetch_one(&world.database.pool).await.unwrap();
    let link = async |key: &str| {
        let mut command = Command::new(BINARY);
        command.env("DATABASE_URL", &world.database.url).args(["console", "link", key]);
        let output = command.args(["--console-url", &world.service.base_url]).output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_created, address) = link(&key.to_string()).await;
    assert!(is_created && !link("0192f0c4-1111-7000-8000-000000000001").await.0);
    let path = address.trim().strip_prefix(&world.service.base_url).unwrap();
    let browser = Browser::new(&world.service.base_url);
    let token = browser.get(path).await.hidden("token");
    assert!(browser.get(path).await.hidden("token") == token && path.ends_with(&token));

    assert!(browser.submit("/console/enter", &[("token", &token)]).await.has(">test</p>"));
    let again = Browser::new(&world.service.base_url).post("/console/enter", &[("token", &token)]).await;
    assert!(again.status == 401 && again.has("This link was used before"), "{again:?}");
    assert_eq!(recorded(&world).await, ["console.link_created command line", "console.signed_in test"]);
    world.end().await;
}
