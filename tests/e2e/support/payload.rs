//! Requests for callbacks.

use serde_json::{Value, json};

use super::{CALLER, CAMPAIGN};

/// A time this many minutes from now, to the second, as an IVR writes it.
pub fn minutes_from_now(minutes: i64) -> String {
    let seconds = jiff::Timestamp::now().as_second() + minutes * 60;
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

/// The project's first payload, with a window from one to two hours from now.
pub fn payload() -> Value {
    json!({
        "phoneNumber": CALLER, "requestedStart": minutes_from_now(60), "requestedEnd": minutes_from_now(120),
        "campaignId": CAMPAIGN, "language": "en-US",
    })
}

/// The same payload with some members replaced; null leaves a member out.
pub fn payload_with(members: Value) -> Value {
    let mut payload = payload();
    for (name, value) in members.as_object().unwrap() {
        payload[name] = value.clone();
    }
    payload
}

/// `pointer code` of each validation error in a problem, in order.
pub fn faults(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    errors.iter().map(|fault| format!("{} {}", text(fault, "pointer"), text(fault, "code"))).collect()
}

/// The same payload from the n-th caller.
pub fn payload_from(n: usize) -> Value {
    payload_with(json!({"phoneNumber": caller(n)}))
}

/// A different phone number for each `n` below a million.
pub fn caller(n: usize) -> String {
    format!("+12025{n:06}")
}
