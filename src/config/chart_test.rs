//! The Helm chart accepts the settings of the service, and no other names.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use serde_json::Value;

use super::ServiceArgs;

/// What the templates of the chart set.
const OF_TEMPLATES: [&str; 4] = ["LISTEN_ADDR", "METRICS_ADDR", "TLS_CERT_FILE", "TLS_KEY_FILE"];

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    service: ServiceArgs,
}

#[test]
fn the_chart_accepts_every_setting_of_the_service_and_no_other() {
    let command = Command::command();
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let names: BTreeSet<&str> = shown.filter_map(|argument| argument.get_env()?.to_str()).collect();
    let files: BTreeSet<&str> = names
        .iter()
        .copied()
        .filter(|name| name.strip_suffix("_FILE").is_some_and(|name| names.contains(name)))
        .collect();
    let secrets: BTreeSet<&str> = files.iter().filter_map(|name| name.strip_suffix("_FILE")).collect();
    let plain = names.iter().copied().filter(|name| !files.contains(name) && !secrets.contains(name));
    let plain = plain.filter(|name| !OF_TEMPLATES.contains(name)).chain(["RUST_LOG"]).collect();

    let schema: Value = serde_json::from_str(include_str!("../../deploy/helm/ringback/values.schema.json")).unwrap();
    let properties = &schema["properties"];
    let accepted = properties["settings"]["properties"].as_object().unwrap().keys().map(String::as_str);
    assert_eq!(accepted.collect::<BTreeSet<_>>(), plain, "settings in values.schema.json");
    let accepted = properties["secretSettings"]["items"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str);
    assert_eq!(accepted.collect::<BTreeSet<_>>(), secrets, "secretSettings in values.schema.json");
}
