//! Runs one test.

use std::sync::LazyLock;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::harness::has_program;
use crate::page::Page;
use crate::support::{DIALING, ENCRYPTION_KEY, World, create_key};

/// One for all tests, because the connections to the driver belong to it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// How many tests have a world at the same time.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Webhooks to this machine, and a sealed audit log.
pub const SETTINGS: [(&str, &str); 4] = [
    ("WEBHOOKS_ALLOW_LOOPBACK", "true"),
    ("ENCRYPTION_KEY", ENCRYPTION_KEY),
    ("AUDIT_SIGNING_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("AUDIT_LOG_ORIGIN", "audit.example.com/ringback"),
];
/// For everything that the console can do.
pub const SCOPES: [&str; 10] = [
    "callbacks:read",
    "callbacks:write",
    "campaigns:read",
    "campaigns:write",
    "campaigns:override",
    "webhooks:read",
    "webhooks:write",
    "audit:read",
    "privacy:read",
    "keys:write",
];

/// Runs a test with a service of its own, and checks at its end that the pages broke no rule of the browser. Skipped where
/// there is no browser.
pub fn run(test: impl AsyncFnOnce(&mut World, &Page)) {
    RUNTIME.block_on(async {
        if !has_program("chromedriver").await {
            return;
        }
        // The next world starts while a test has the browser; more of them would only slow it down.
        let _place = PLACES.acquire().await.unwrap();
        let mut world = World::with(&SETTINGS).await;
        let page = Page::open().await;
        test(&mut world, &page).await;
        page.assert_nothing_was_refused().await;
        drop(page);
        world.end().await;
    });
}

impl World {
    /// Signs the browser in with a key for everything, which this sends requests with, too. Returns the address of the console.
    pub async fn open_console(&mut self, page: &Page) -> String {
        self.key = create_key(&self.database, &SCOPES).await;
        page.sign_in(&self.service.base_url, &self.key).await;
        format!("{}/console", self.service.base_url)
    }

    /// Pauses the dialing campaign. Returns once CXone has done it.
    pub async fn pause(&self, pause: &Value) {
        let (status, answer) = self.command("pause", pause).await;
        assert!(matches!(status, 200 | 202), "{answer}");
        self.cxone.campaign_when(DIALING, "PAUSED").await;
    }
}
