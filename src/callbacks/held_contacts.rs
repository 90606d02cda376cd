//! Contacts whose time a hold covers: they are moved or withdrawn, where CXone can do so. A skill that is stopped in CXone may
//! still call them later, or lose them.

use super::model::{Callback, Change, ChangeKind, Status};
use super::risk_marker::RiskMarker;
use crate::audit::{Action, Entry, Outcome};
use crate::campaigns::HeldPeriod;

impl RiskMarker {
    /// Asks for another time of each callback whose contact lies in one of these periods. The attempts choose it, or withdraw the
    /// contact if there is none.
    pub(super) async fn move_out_of(&self, periods: &[HeldPeriod]) -> Result<(), sqlx::Error> {
        if periods.is_empty() || self.cxone.contact_changes().is_none() {
            return Ok(());
        }
        loop {
            let now = self.clock.now();
            let found = self.callbacks.contacts_in(periods, now).await?;
            if found.is_empty() {
                return Ok(());
            }
            let entries = found.into_iter().map(|callback| {
                let change = Some(Box::new(Change::new(ChangeKind::Move, None, None)));
                let callback = Callback { change, ..callback };
                let (id, action) = (self.clock.new_id(), Action::CallbackChangeRequested);
                let entry = callback.entry(id, now, action, Outcome::Pending, Status::Scheduled);
                (callback.id, Entry { latency_ms: None, ..entry })
            });
            let requested = self.callbacks.request_moves(entries.collect(), now).await?;
            metrics::counter!("ringback_callback_moves_total").increment(requested);
            if requested == 0 {
                return Ok(());
            }
        }
    }
}
