//! Scheduled callbacks that are withdrawn or moved. After a doubt, the callbacks of the skill are listed first.

use futures::future::BoxFuture;
use jiff::SignedDuration;

use super::Nice;
use super::callbacks::{EARLY, Wanted};
use crate::cxone::error::CxoneError;
use crate::cxone::model::{ContactAnswer, ContactId, NewContact, RequestContext, Withdrawal};
use crate::cxone::transport::Transport;
use crate::cxone::wire::ContactUpdates;

/// A shown time may be rounded to a minute.
const SAME_TIME: SignedDuration = SignedDuration::from_mins(1);
/// What CXone records.
const WITHDRAWN: &str = "it was cancelled or put off";
const CREATED_TWICE: &str = "it was created twice";

impl ContactUpdates for Nice {
    fn withdraw<'a>(
        &'a self,
        transport: &'a Transport,
        id: ContactId,
        contact: &'a NewContact<'a>,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Withdrawal, CxoneError>> {
        Box::pin(async move {
            let skill = self.skill_of_contact(transport, contact, context).await?;
            let wanted = Wanted { transport, contact, skill, context };
            let known = id.number().filter(|_| !contact.may_exist);
            let mut is_deleted = match known {
                Some(number) => self.delete(&wanted, number, WITHDRAWN).await?,
                None => false,
            };
            if !is_deleted {
                is_deleted = self.delete_listed(&wanted).await?;
            }
            // One that is not waiting was deleted before, unless its time has come.
            if is_deleted || contact.at - EARLY > self.clock.now() {
                return Ok(Withdrawal::Withdrawn);
            }
            if !contact.may_exist {
                return Ok(Withdrawal::Called);
            }
            match self.after_its_time(&wanted).await? {
                ContactAnswer::Absent => Ok(Withdrawal::Withdrawn),
                ContactAnswer::Created { .. } | ContactAnswer::Exists { .. } => Ok(Withdrawal::Called),
            }
        })
    }

    fn move_to<'a>(
        &'a self,
        transport: &'a Transport,
        id: ContactId,
        contact: &'a NewContact<'a>,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Option<ContactId>, CxoneError>> {
        Box::pin(async move {
            let skill = self.skill_of_contact(transport, contact, context).await?;
            let wanted = Wanted { transport, contact, skill, context };
            let known = id.number().filter(|_| !contact.may_exist);
            if let Some(number) = known
                && self.move_number(&wanted, number).await?
            {
                return Ok(Some(id));
            }
            match self.kept(&wanted, id).await? {
                Kept::Moved(number) => Ok(Some(ContactId::Number(number))),
                Kept::None => Ok(None),
                Kept::Waiting(number) if self.move_number(&wanted, number).await? => {
                    Ok(Some(ContactId::Number(number)))
                }
                Kept::Waiting(_) => Err(listed_and_not_found()),
            }
        })
    }
}

/// The callback that NICE has.
enum Kept {
    /// For the wanted time.
    Moved(i64),
    /// For another time.
    Waiting(i64),
    None,
}

impl Nice {
    /// Deletes all scheduled callbacks with the marker. Returns whether there were any.
    async fn delete_listed(&self, wanted: &Wanted<'_>) -> Result<bool, CxoneError> {
        let listed = self.scheduled(wanted.transport, wanted.skill, wanted.context).await?;
        let ours = || listed.iter().filter(|listed| listed.callback_id == Some(wanted.contact.callback_id));
        for ours in ours() {
            if !self.delete(wanted, ours.number, WITHDRAWN).await? {
                return Err(listed_and_not_found());
            }
        }
        Ok(ours().next().is_some())
    }

    /// Gives a callback the wanted time. Returns false if CXone does not find it.
    async fn move_number(&self, wanted: &Wanted<'_>, number: i64) -> Result<bool, CxoneError> {
        let contact = wanted.contact;
        if contact.at <= self.clock.now() {
            return Err(CxoneError::NotSentInTime);
        }
        let Some(form) = self.known_form(wanted).await? else {
            return Err(CxoneError::unavailable("it is not known yet how CXone reads the times of callbacks"));
        };
        match self.put(wanted, number, contact.at, &form, contact.send_by).await {
            Ok(()) => Ok(true),
            Err(CxoneError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks for the scheduled callback, and deletes others with the same marker.
    async fn kept(&self, wanted: &Wanted<'_>, id: ContactId) -> Result<Kept, CxoneError> {
        let listed = self.scheduled(wanted.transport, wanted.skill, wanted.context).await?;
        let ours = || listed.iter().filter(|listed| listed.callback_id == Some(wanted.contact.callback_id));
        let confirmed = ours().find(|listed| Some(listed.number) == id.number());
        let Some(kept) = confirmed.or_else(|| ours().min_by_key(|listed| listed.number)) else {
            return Ok(Kept::None);
        };
        for other in ours().filter(|listed| listed.number != kept.number) {
            self.delete(wanted, other.number, CREATED_TWICE).await?;
        }
        let is_moved = kept.at.is_some_and(|at| at.duration_since(wanted.contact.at).abs() < SAME_TIME);
        Ok(if is_moved { Kept::Moved(kept.number) } else { Kept::Waiting(kept.number) })
    }
}

/// It may be called at this moment: the next attempt looks again.
fn listed_and_not_found() -> CxoneError {
    CxoneError::OutcomeUnknown { reason: "CXone lists the callback, and does not find it".into() }
}
