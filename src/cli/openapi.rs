//! `ringback openapi`

use std::io::Write as _;

/// Prints the OpenAPI document.
pub fn run() -> anyhow::Result<()> {
    let document = crate::app::openapi().to_pretty_json()?;
    writeln!(std::io::stdout(), "{document}")?;
    Ok(())
}
