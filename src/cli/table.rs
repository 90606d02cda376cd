//! Tables for people, and what listing commands share.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

/// The width of the terminal; none where stdout is not one.
pub fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size().filter(|_| io::stdout().is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}

/// A header and rows. Lines are shortened to the width of the terminal; elsewhere they are whole.
pub fn render<const N: usize>(head: [&str; N], rows: Vec<[Cow<'_, str>; N]>, width: Option<usize>) -> String {
    let rows: Vec<_> = std::iter::once(head.map(Cow::Borrowed)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.extend([&format!("{cell:width$}"), "  "]);
        }
        text.extend([&shortened(line.trim_end(), width), "\n"]);
    }
    text
}

/// A terminal interprets control characters.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, "\u{fffd}").into() } else { text.into() }
}

/// Writes to stdout. Returns whether anyone reads on: a reader that has seen enough, such as `head`, does not.
pub fn written(text: &[u8]) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

fn shortened(line: &str, width: Option<usize>) -> Cow<'_, str> {
    match width {
        Some(width) if width > 0 && line.chars().count() > width => {
            let kept: String = line.chars().take(width - 1).collect();
            format!("{kept}…").into()
        }
        _ => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_fit_the_terminal() {
        let rows = vec![[Cow::from("1"), "first".into()], ["22".into(), "-".into()]];
        assert_eq!(render(["ID", "NAME"], rows.clone(), None), "ID  NAME\n1   first\n22  -\n");
        assert_eq!(render(["ID", "NAME"], rows, Some(6)), "ID  N…\n1   f…\n22  -\n");
        assert_eq!(printable("a\u{1b}[31m"), "a\u{fffd}[31m");
    }
}
