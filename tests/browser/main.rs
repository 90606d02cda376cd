//! The console in a real browser: headless Chromium, driven by its `WebDriver`.
//!
//! Each test has its own database, simulator and service; all share one browser, one after the other. Without the browser they
//! are skipped: `scripts/with-tool chromium` brings it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod access;
mod axe;
mod commands;
mod driver;
#[path = "../harness/mod.rs"]
mod harness;
mod keyboard;
mod live;
mod page;
mod pages;
mod pictures;
mod run;
mod sign_in;
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use a part")]
mod support;
