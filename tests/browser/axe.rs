//! The rules of WCAG that a program can check, by axe-core.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::{env, fs};

use serde_json::Value;

use crate::page::{Page, Screen, Theme};

/// `scripts/with-tool chromium` puts it beside the browser.
static AXE: LazyLock<String> = LazyLock::new(|| {
    let directories = env::var_os("PATH").unwrap_or_default();
    let files: Vec<PathBuf> = env::split_paths(&directories).map(|path| path.join("axe.min.js")).collect();
    let file = files.iter().find(|file| file.is_file()).expect("axe.min.js is in PATH: use scripts/with-tool chromium");
    fs::read_to_string(file).unwrap()
});

const CHECK: &str = r"
const done = arguments[arguments.length - 1];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const node = (node) => node.target.join(' ') + ': ' + node.failureSummary;
axe.run({ runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] }).then(
    (found) => done(found.violations.map((rule) => [rule.impact, rule.id, rule.help, ...rule.nodes.map(node)].join('\n  '))),
    (error) => done([String(error)]),
);
";

impl Page {
    /// Fails if the page breaks a rule of WCAG 2.2, level A or AA, of any impact.
    pub async fn assert_accessible(&self) {
        self.script(&AXE).await;
        let found = self.web.execute_async(CHECK, Vec::new()).await.unwrap().json().clone();
        let found: Vec<String> =
            found.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect();
        assert!(found.is_empty(), "{}:\n{}", self.address().await, found.join("\n"));
    }

    /// The same in both themes, on a desktop and on a phone, where the page must also fit. Ends on a desktop in light colours.
    pub async fn assert_accessible_everywhere(&self) {
        for screen in Screen::ALL.into_iter().rev() {
            for theme in Theme::ALL.into_iter().rev() {
                self.show(screen, theme).await;
                self.assert_accessible().await;
            }
            self.assert_fits().await;
        }
    }
}
