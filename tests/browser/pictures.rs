//! The pictures in docs/console, of the demo.

use std::path::Path;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::page::{Page, Screen, Theme};
use crate::run::{SCOPES, run};
use crate::support::create_key;

/// The screens. A detail page is the first that the list links to.
const LISTS: [(&str, &str); 5] = [
    ("overview", "/console"),
    ("campaigns", "/console/campaigns"),
    ("callbacks", "/console/callbacks"),
    ("webhooks", "/console/webhooks"),
    ("audit", "/console/audit"),
];
/// In bytes, of a file.
const LARGEST: usize = 250_000;

/// `make console-pictures` names a demo, whose pictures go to docs/console. Others are of a service without content.
#[test]
fn every_screen_has_a_picture_in_both_themes() {
    run(async |world, page| {
        let demo = env::var("RINGBACK_URL").ok().zip(env::var("RINGBACK_KEY").ok());
        let (directory, (url, key)) = match demo {
            Some(demo) => (Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/console"), demo),
            None => (
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures"),
                (world.service.base_url.clone(), create_key(&world.database, &SCOPES).await),
            ),
        };
        fs::create_dir_all(&directory).unwrap();
        page.visit(&format!("{url}/console/sign-in")).await;
        page.save(&directory, "sign-in").await;
        page.sign_in(&url, &key).await;
        for (name, path) in LISTS {
            page.visit(&format!("{url}{path}")).await;
            page.save(&directory, name).await;
            if let Some(detail) = page.first_link_below(path).await {
                page.visit(&detail).await;
                page.save(&directory, name.trim_end_matches('s')).await;
            }
        }
    });
}

impl Page {
    /// The address of the first page that the content links to and whose path continues this one.
    async fn first_link_below(&self, path: &str) -> Option<String> {
        if path == "/console" {
            return None;
        }
        let link =
            self.script(&format!("return document.querySelector('main a[href^=\"{path}/\"]')?.href ?? null")).await;
        link.as_str().map(str::to_owned)
    }

    /// Saves a picture of the window in each theme.
    async fn save(&self, directory: &Path, name: &str) {
        for theme in Theme::ALL.into_iter().rev() {
            self.show(Screen::Desktop, theme).await;
            let taken = self.cdp("Page.captureScreenshot", json!({"format": "png", "optimizeForSpeed": false})).await;
            let picture = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
            assert!(picture.len() < LARGEST, "{name}: {} bytes", picture.len());
            fs::write(directory.join(format!("{name}-{}.png", theme.name())), picture).unwrap();
        }
    }
}
