//! Runs one test.

use std::sync::LazyLock;

use tokio::runtime::Runtime;

use crate::harness::has_program;
use crate::page::Page;
use crate::support::World;

/// One for all tests, because the connections to the driver belong to it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Runs a test with a service of its own, and checks at its end that the pages broke no rule of the browser. Skipped where
/// there is no browser.
pub fn run(test: impl AsyncFnOnce(&mut World, &Page)) {
    run_with(&[], test);
}

/// With these settings of the service.
pub fn run_with(settings: &[(&str, &str)], test: impl AsyncFnOnce(&mut World, &Page)) {
    RUNTIME.block_on(async {
        if !has_program("chromedriver").await {
            return;
        }
        // Before the turn of this test begins.
        let mut world = World::with(settings).await;
        let page = Page::open().await;
        test(&mut world, &page).await;
        page.assert_nothing_was_refused().await;
        drop(page);
        world.end().await;
    });
}
