//! README and docs/: their links, their commands and the settings that they list.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::support::{BINARY, World, serve};

const README: &str = include_str!("../../README.md");

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [root.to_path_buf(), root.join("docs"), root.join("docs/decisions")];
    let files = files.iter().flat_map(|directory| fs::read_dir(directory).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn each_link_between_documents_leads_to_a_file() {
    let mut links = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if target.is_empty() || target.contains("://") || target.starts_with('/') {
                continue;
            }
            links += 1;
            let file = document.parent().unwrap().join(target);
            assert!(file.exists(), "{}: {target}", document.display());
        }
    }
    assert!(links > 50, "{links}");
}

#[tokio::test]
async fn each_setting_of_the_service_is_documented() {
    let documented = [include_str!("../../docs/settings.md"), include_str!("../../docs/nice.md")].concat();
    let help = Command::new(BINARY).args(["serve", "--help"]).output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();

    let settings: Vec<_> = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();

    assert!(settings.len() > 30, "{settings:?}");
    for setting in settings {
        assert!(documented.contains(&format!("`{setting}`")), "{setting} is not in docs/settings.md");
    }
}

/// They run until they are stopped, or need the other API.
const WITH_TESTS_OF_THEIR_OWN: [&str; 4] = ["serve", "simulator", "demo", "cxone"];

#[tokio::test]
async fn each_command_in_readme_works() {
    let world = World::start().await;
    let address = world.service.base_url.trim_start_matches("http://").to_owned();
    let lines = README.lines().filter(|line| line.starts_with("ringback "));
    let commands = lines.flat_map(|line| line.split(" #").next().unwrap().split(" | "));
    let mut run = 0;

    for command in commands.map(str::trim) {
        let arguments: Vec<_> = command.split(' ').skip(1).collect();
        let help = WITH_TESTS_OF_THEIR_OWN.contains(&arguments[0]).then_some("--help");
        let settings = [("LISTEN_ADDR", address.as_str())];
        let program = serve(&world.database.url, &world.cxone.base_url, &settings);
        let mut command_line = Command::new(BINARY);
        let settings = program.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
        command_line.args(arguments).args(help).envs(settings).kill_on_drop(true);
        let output = command_line.output().await.unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        run += 1;
    }

    assert!(run > 10, "{run}");
    world.end().await;
}
