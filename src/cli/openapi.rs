//! `ringback openapi`

use std::io::Write as _;

/// Prints the OpenAPI document.
pub fn run() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(crate::app::openapi_text()?.as_bytes())?)
}
