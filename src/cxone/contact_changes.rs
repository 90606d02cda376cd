//! Changes of contacts that exist, where CXone offers them.

use super::client::Cxone;
use super::error::CxoneError;
use super::model::{ContactId, NewContact, RequestContext, Withdrawal};
use super::wire::ContactUpdates;

/// The operations of a CXone that changes contacts.
#[derive(Clone, Copy)]
pub struct ContactChanges<'a> {
    cxone: &'a Cxone,
    updates: &'a dyn ContactUpdates,
}

impl Cxone {
    /// Changes of contacts. None where a contact that exists cannot be changed.
    pub fn contact_changes(&self) -> Option<ContactChanges<'_>> {
        self.wire.contact_updates().map(|updates| ContactChanges { cxone: self, updates })
    }
}

impl ContactChanges<'_> {
    /// Withdraws a contact. `contact.at` is the earliest time for which CXone may have it, and `contact.may_exist` says whether
    /// an earlier request may have changed or withdrawn it.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat, with `may_exist` after an unknown outcome.
    pub async fn withdraw(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<Withdrawal, CxoneError> {
        let change = self.updates.withdraw(&self.cxone.transport, id, contact, context);
        self.cxone.in_time(unknown, change).await
    }

    /// Moves a contact to `contact.at`, and returns its id. None if CXone does not have it any more: it has called, or somebody
    /// has deleted it. `contact.may_exist` says whether an earlier request may have moved it.
    ///
    /// # Errors
    /// The failure of CXone. The call is safe to repeat, with `may_exist` after an unknown outcome. `NotSentInTime` if
    /// `contact.at` has passed.
    pub async fn move_to(
        &self,
        id: ContactId,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<Option<ContactId>, CxoneError> {
        let change = self.updates.move_to(&self.cxone.transport, id, contact, context);
        self.cxone.in_time(unknown, change).await
    }
}

fn unknown(reason: String) -> CxoneError {
    CxoneError::OutcomeUnknown { reason }
}
