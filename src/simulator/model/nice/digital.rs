//! The messages sent through the Digital channels.

use jiff::Timestamp;
use uuid::Uuid;

use crate::simulator::model::ring::Ring;

/// Enough for a long benchmark.
const KEPT: usize = 100_000;

/// The only channel, of SMS.
pub(in crate::simulator) const CHANNEL: &str = "sms_1";

/// One message.
pub(in crate::simulator) struct DigitalMessage {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) at: Timestamp,
    /// When searches find it.
    pub(in crate::simulator) found_from: Timestamp,
    /// The thread's id, which the client chose.
    pub(in crate::simulator) thread: String,
    pub(in crate::simulator) to: String,
    pub(in crate::simulator) text: String,
}

/// The last messages.
pub(in crate::simulator) struct Digital(Ring<DigitalMessage>);

impl Default for Digital {
    fn default() -> Self {
        Self(Ring::new(KEPT))
    }
}

impl Digital {
    pub(in crate::simulator) fn add(&mut self, message: DigitalMessage) {
        self.0.push(message);
    }

    pub(in crate::simulator) fn iter(&self) -> impl Iterator<Item = &DigitalMessage> {
        self.0.iter()
    }

    /// The messages that searches find.
    pub(in crate::simulator) fn found(&self, now: Timestamp) -> impl Iterator<Item = &DigitalMessage> {
        self.0.iter().filter(move |message| message.found_from <= now)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
