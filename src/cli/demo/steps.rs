//! The lines that the demo prints for audit entries.

use anstyle::Style;
use jiff::Timestamp;
use serde_json::Value;

use super::{BOLD, DIM, GREEN, RED};

/// The step of an entry of a campaign.
pub fn campaign_step(entry: &Value) -> (String, Style, String) {
    let (domain, name) = entry["action"].as_str().unwrap_or("").split_once('.').unwrap_or_default();
    let (previous, new) = (entry["previousState"].as_str(), entry["newState"].as_str());
    let by = entry["actor"]["name"].as_str().unwrap_or("");
    match (domain, previous.zip(new)) {
        ("hold", _) => (name.to_owned(), BOLD, format!("the hold, by {by}")),
        (_, Some((previous, new))) => (name.to_owned(), GREEN, format!("CXone: {previous} → {new}, by {by}")),
        _ => (name.to_owned(), RED, entry["outcome"].as_str().unwrap_or("").to_owned()),
    }
}

/// The steps of an entry: the name of each, its colour, and what there is to say about it.
pub fn steps(entry: &Value) -> Vec<(&str, Style, String)> {
    let name = entry["action"].as_str().unwrap_or("").trim_start_matches("callback.");
    let detail = |name: &str| entry["detail"][name].as_str().unwrap_or("");
    match name {
        "accepted" => vec![(name, BOLD, format!("stored for {}", detail("phoneNumber")))],
        "scheduled" => {
            let hour = "in the hour of the forecast with the most free agents";
            let mut steps = vec![
                ("placed", BOLD, format!("{}, {hour}", detail("dispatchTime"))),
                ("contact", BOLD, format!("{} in CXone", detail("contactId"))),
            ];
            if !detail("confirmationSkipped").is_empty() {
                steps.push(("no SMS", DIM, "the number is a landline".to_owned()));
            }
            steps
        }
        "called" | "missed" => {
            let (style, text) = called(entry);
            vec![(name, style, text)]
        }
        "confirmed" => vec![("SMS", GREEN, format!("sent, session {}", detail("smsSessionId")))],
        _ => vec![(name, RED, entry["detail"]["failure"]["detail"].as_str().unwrap_or("").to_owned())],
    }
}

/// What became of a call: the text of its step, and its colour.
fn called(entry: &Value) -> (Style, String) {
    let outcome = &entry["detail"]["outcome"];
    let status = outcome["status"].as_str().unwrap_or("");
    let at = outcome["calledAt"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let at = at.map(|at| format!(" at {}", at.strftime("%H:%M:%S"))).unwrap_or_default();
    let seconds = outcome["agentSeconds"].as_u64().map(|seconds| format!(", {seconds} s with an agent"));
    let style = if status == "reached" { GREEN } else { RED };
    (style, format!("{status}{at}{}", seconds.unwrap_or_default()))
}
