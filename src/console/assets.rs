//! The stylesheet, the script and the icon. Their names have a hash of their content, so that browsers keep them.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A year, which is as long as browsers keep anything.
const KEPT: &str = "public, max-age=31536000, immutable";

struct Asset {
    content: &'static [u8],
    content_type: &'static str,
    path: LazyLock<String>,
}

static STYLE: Asset = Asset {
    content: include_bytes!("assets/console.css"),
    content_type: "text/css; charset=utf-8",
    path: LazyLock::new(|| path(&STYLE, "css")),
};
static SCRIPT: Asset = Asset {
    content: include_bytes!("assets/console.js"),
    content_type: "text/javascript; charset=utf-8",
    path: LazyLock::new(|| path(&SCRIPT, "js")),
};
static ICON: Asset = Asset {
    content: include_bytes!("assets/icon.svg"),
    content_type: "image/svg+xml",
    path: LazyLock::new(|| path(&ICON, "svg")),
};

fn path(asset: &Asset, extension: &str) -> String {
    let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(asset.content)[..12]);
    format!("/console/assets/{hash}.{extension}")
}

/// The address of the stylesheet.
pub fn style() -> &'static str {
    &STYLE.path
}

/// The address of the script.
pub fn script() -> &'static str {
    &SCRIPT.path
}

/// The address of the icon.
pub fn icon() -> &'static str {
    &ICON.path
}

/// The routes of all of them.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let assets = [&STYLE, &SCRIPT, &ICON];
    assets.into_iter().fold(Router::new(), |router, asset| router.route(&asset.path, get(async || serve(asset))))
}

fn serve(asset: &'static Asset) -> axum::response::Response {
    ([(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, KEPT)], asset.content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_load_and_the_script_are_small() {
        let bytes: usize = [&STYLE, &SCRIPT, &ICON].iter().map(|asset| asset.content.len()).sum();
        let lines = SCRIPT.content.split(|byte| *byte == b'\n').count();
        assert!(bytes < 80_000 && lines <= 300, "{bytes} bytes, {lines} lines");
    }
}
