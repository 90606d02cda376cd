//! Commands to campaigns, as a WFO system sends them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DIALING, World, create_key, eventually};

/// A day's window in UTC, from so many minutes from now to so many minutes from now.
pub fn window(from: i64, to: i64) -> Value {
    let time = |minutes: i64| {
        let seconds = jiff::Timestamp::now().as_second() + minutes * 60;
        let at = jiff::Timestamp::from_second(seconds).unwrap();
        at.strftime("%H:%M").to_string()
    };
    json!({ "startTime": time(from), "endTime": time(to), "timezone": "UTC" })
}

/// A pause that nothing is wrong with, in a window that is open for hours.
pub fn pause() -> Value {
    json!({
        "pauseReason": "CARRIER_THROTTLE", "complianceHold": false, "maxAgents": 25,
        "regulatoryWindow": window(-120, 360), "carrierLimit": { "maxConcurrentCalls": 100, "maxAgents": 30 },
    })
}

/// The same pause, with some members replaced.
pub fn pause_with(members: Value) -> Value {
    let mut pause = pause();
    pause.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    pause
}

/// So many milliseconds from now.
pub fn in_ms(milliseconds: i64) -> String {
    let at = jiff::Timestamp::now().as_millisecond() + milliseconds;
    jiff::Timestamp::from_millisecond(at).unwrap().to_string()
}

impl World {
    /// With a key for campaigns, their settings and the audit log, and these settings of the service.
    pub async fn of_campaigns(settings: &[(&str, &str)]) -> Self {
        let mut world = Self::with(settings).await;
        world.key =
            create_key(&world.database, &["campaigns:write", "campaigns:read", "events:write", "audit:read"]).await;
        world
    }

    /// Sends a command to the dialing campaign.
    pub async fn command(&self, verb: &str, body: &Value) -> (u16, Value) {
        self.command_to(&self.service.base_url, &format!("/v1/campaigns/{DIALING}/{verb}"), body).await
    }

    /// Sends a command to a campaign, through a replica.
    pub async fn command_to(&self, replica: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{replica}{path}")).bearer_auth(&self.key).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Reports so many attempts and answers of the dialing campaign to a replica.
    pub async fn report(&self, replica: &str, attempts: u32, answers: u32) {
        let events = json!({"events": [
            {"type": "ATTEMPT", "count": attempts}, {"type": "ANSWER", "count": answers},
        ]});
        let (status, answer) = self.command_to(replica, &format!("/v1/campaigns/{DIALING}/events"), &events).await;
        assert_eq!((status, answer), (202, json!({"accepted": 2})));
    }

    /// Sets the settings of the dialing campaign.
    pub async fn set(&self, settings: &Value) {
        let path = format!("/v1/campaigns/{DIALING}/settings");
        let answer = self.request(Method::PUT, &path).json(settings).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// The dialing campaign's entries of this action, oldest first.
    pub async fn entries(&self, action: &str) -> Vec<Value> {
        let log = self.get(&format!("/v1/audit?campaignId={DIALING}&action={action}&limit=200")).await;
        log["data"].as_array().unwrap().iter().rev().cloned().collect()
    }

    /// The actions of the dialing campaign's entries, oldest first.
    pub async fn actions(&self) -> Vec<String> {
        let log = self.get(&format!("/v1/audit?campaignId={DIALING}&limit=200")).await;
        let entries = log["data"].as_array().unwrap().iter().rev();
        entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns once the log has an entry of this action for the dialing campaign.
    pub async fn entry_when(&self, action: &str) -> Value {
        eventually(&format!("an entry {action}"), async || {
            self.entries(action).await.pop().ok_or_else(|| "there is none".to_owned())
        })
        .await
    }
}
