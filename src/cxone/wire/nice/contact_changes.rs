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
            let skill = self.callback_skill(transport, contact.campaign_id, context).await?;
            let wanted = Wanted { transport, contact, skill, context };
            let numbers = match id.number() {
                Some(number) if !contact.may_exist => vec![number],
                _ => self.numbers_of(&wanted).await?,
            };
            let mut is_deleted = false;
            for number in numbers {
                is_deleted |= self.delete_waiting(transport, number, WITHDRAWN, context).await?;
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
            let skill = self.callback_skill(transport, contact.campaign_id, context).await?;
            let wanted = Wanted { transport, contact, skill, context };
            let number = match id.number() {
                Some(number) if !contact.may_exist => number,
                _ => match self.kept(&wanted, id).await? {
                    Kept::Moved(number) => return Ok(Some(ContactId::Number(number))),
                    Kept::Waiting(number) => number,
                    Kept::None => return Ok(None),
                },
            };
            if contact.at <= self.clock.now() {
                return Err(CxoneError::NotSentInTime);
            }
            let Some(form) = self.known_form(&wanted).await? else {
                return Err(CxoneError::unavailable("it is not known yet how CXone reads the times of callbacks"));
            };
            match self.put(&wanted, number, contact.at, &form, contact.send_by).await {
                Ok(()) => Ok(Some(ContactId::Number(number))),
                Err(CxoneError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
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
    /// The scheduled callbacks with the marker.
    async fn numbers_of(&self, wanted: &Wanted<'_>) -> Result<Vec<i64>, CxoneError> {
        let listed = self.scheduled(wanted.transport, wanted.skill, wanted.context).await?;
        let is_ours = |id| id == Some(wanted.contact.callback_id);
        Ok(listed.iter().filter(|listed| is_ours(listed.callback_id)).map(|listed| listed.number).collect())
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
            self.delete(wanted.transport, other.number, CREATED_TWICE, wanted.context).await?;
        }
        let is_moved = kept.at.is_some_and(|at| at.duration_since(wanted.contact.at).abs() < SAME_TIME);
        Ok(if is_moved { Kept::Moved(kept.number) } else { Kept::Waiting(kept.number) })
    }
}
