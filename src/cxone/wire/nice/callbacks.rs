//! Scheduled callbacks: created once, and looked up after every doubt.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;

use super::callback_list::{Scheduled, notes};
use super::callback_times::{PROBE_AHEAD, Reading, TOLERANCE, TimeForm};
use super::reply::{Fields, rows};
use super::{Nice, Request, stored};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::gate::StillWanted;
use crate::cxone::model::{ContactAnswer, ContactId, NewContact, RequestContext};
use crate::cxone::transport::Transport;

/// A request without an answer may take effect this much later: the second look comes after it.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(4);
/// A call that NICE made is in its records this long after the time of the callback.
const RECORDED_AFTER: SignedDuration = SignedDuration::from_mins(20);
/// A callback is sent at least this long before its time: NICE calls one whose time has passed at once.
const SEND_BEFORE: SignedDuration = SignedDuration::from_secs(5);
/// A call may start this much before the time of its callback.
pub(super) const EARLY: SignedDuration = SignedDuration::from_mins(1);
const PERMISSION: &str = "the permission to create and edit scheduled callbacks";
/// What CXone records.
const MISREAD: &str = "its time was misread";

/// What the requests about one callback have in common.
pub(super) struct Wanted<'a> {
    pub transport: &'a Transport,
    pub contact: &'a NewContact<'a>,
    pub skill: i64,
    pub context: RequestContext<'a>,
}

impl Nice {
    pub async fn create_contact(
        &self,
        transport: &Transport,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<ContactAnswer, CxoneError> {
        let skill = self.skill_of_contact(transport, contact, context).await;
        let skill = skill.map_err(|error| if contact.may_exist { in_a_look(error) } else { error })?;
        let wanted = Wanted { transport, contact, skill, context };
        if contact.may_exist
            && let Some(answer) = self.look_up(&wanted).await.map_err(in_a_look)?
        {
            return Ok(answer);
        }
        if let Some((wait, reason)) = self.times.suspended(self.clock.now()) {
            let retry_after = Duration::try_from(wait).ok();
            return Err(CxoneError::Unavailable { retry_after, reason });
        }
        let number = match self.known_form(&wanted).await? {
            Some(form) => self.post(&wanted, contact.at, &form).await?,
            None => self.first_of_tenant(&wanted).await?,
        };
        Ok(ContactAnswer::Created { contact: ContactId::Number(number) })
    }

    /// The skill to which the contact was or is sent.
    pub(super) async fn skill_of_contact(
        &self,
        transport: &Transport,
        contact: &NewContact<'_>,
        context: RequestContext<'_>,
    ) -> Result<i64, CxoneError> {
        match contact.skill {
            Some(skill) => Ok(skill),
            None => self.callback_skill(transport, contact.campaign_id, context).await,
        }
    }

    /// What became of an earlier request. None where it certainly created nothing.
    async fn look_up(&self, wanted: &Wanted<'_>) -> Result<Option<ContactAnswer>, CxoneError> {
        if let Some(existing) = self.existing(wanted).await? {
            return Ok(Some(existing));
        }
        if wanted.contact.at <= self.clock.now() {
            return self.after_its_time(wanted).await.map(Some);
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        self.existing(wanted).await
    }

    /// The form of times that is known to be right.
    pub(super) async fn known_form(&self, wanted: &Wanted<'_>) -> Result<Option<TimeForm>, CxoneError> {
        let known = stored(self.times.form().await)?;
        if known.is_none() && self.times.are_local() {
            let form = TimeForm::Local(self.business_unit_zone(wanted.transport, wanted.context).await?);
            self.times.set(&form);
            return Ok(Some(form));
        }
        Ok(known)
    }

    /// Creates a callback, and learns from it how NICE reads times. A misread time is corrected before it can be dialled.
    async fn first_of_tenant(&self, wanted: &Wanted<'_>) -> Result<i64, CxoneError> {
        let _verifying = self.times.verifying.lock().await;
        if let Some(form) = stored(self.times.form().await)? {
            return self.post(wanted, wanted.contact.at, &form).await;
        }
        let zone = self.business_unit_zone(wanted.transport, wanted.context).await?;
        let at = wanted.contact.at;
        // East of Greenwich, an instant that is read as local time is earlier.
        let is_east = zone.to_offset(at).seconds() > 0;
        let sent = if is_east { at + PROBE_AHEAD } else { at };
        let number = self.post(wanted, sent, &TimeForm::Utc).await?;
        let listed = self.scheduled(wanted.transport, wanted.skill, wanted.context).await.map_err(in_doubt)?;
        let shown = listed.iter().find(|listed| listed.number == number).and_then(|listed| listed.at);
        let Some(shown) = shown else {
            let reason = "CXone does not list the callback that it has just created".into();
            return Err(CxoneError::OutcomeUnknown { reason });
        };
        self.settle_time(wanted, number, shown, sent, &zone).await?;
        Ok(number)
    }

    /// Judges the shown time of a callback that was sent for `sent`, remembers the form, and corrects the callback.
    async fn settle_time(
        &self,
        wanted: &Wanted<'_>,
        number: i64,
        shown: Timestamp,
        sent: Timestamp,
        zone: &TimeZone,
    ) -> Result<(), CxoneError> {
        let form = match Reading::of(shown, sent, zone) {
            Reading::Right => TimeForm::Utc,
            Reading::AsLocal => TimeForm::Local(zone.clone()),
            Reading::Wrong(off) => {
                self.delete(wanted, number, MISREAD).await.map_err(in_doubt)?;
                let minutes = off.as_mins();
                let reason = format!(
                    "CXone reads the time of a callback {minutes} minutes off, which is not the offset of its business \
                     unit: set CXONE_CALLBACK_TIMES, or ask NICE"
                );
                self.times.suspend(reason.clone(), self.clock.now());
                return Err(CxoneError::unavailable(reason));
            }
        };
        // Before the correction: what CXone shows after it says nothing about how it reads times.
        stored(self.times.remember(&form).await).map_err(in_doubt)?;
        if form != TimeForm::Utc || sent != wanted.contact.at {
            self.put(wanted, number, wanted.contact.at, &form, None).await.map_err(in_doubt)?;
        }
        Ok(())
    }

    /// The callback that an earlier request created. Of two, the younger is deleted.
    async fn existing(&self, wanted: &Wanted<'_>) -> Result<Option<ContactAnswer>, CxoneError> {
        let listed = self.scheduled(wanted.transport, wanted.skill, wanted.context).await?;
        let is_ours = |listed: &&Scheduled| listed.callback_id == Some(wanted.contact.callback_id);
        let mut ours: Vec<Scheduled> = listed.iter().filter(is_ours).cloned().collect();
        ours.sort_by_key(|listed| listed.number);
        let Some((oldest, younger)) = ours.split_first() else { return Ok(None) };
        for duplicate in younger {
            self.delete(wanted, duplicate.number, "it was created twice").await?;
        }
        let contact = ContactId::Number(oldest.number);
        let deleted = younger.iter().map(|duplicate| duplicate.number).collect();
        let Some(shown) = oldest.at else { return Ok(Some(ContactAnswer::Exists { contact, at: None, deleted })) };
        let Some(form) = self.known_form(wanted).await? else {
            self.judge(wanted, oldest.number, shown).await?;
            return Ok(Some(ContactAnswer::Exists { contact, at: Some(wanted.contact.at), deleted }));
        };
        let at = wanted.contact.at;
        if self.is_uncorrected(wanted, shown, &form).await? && at - SEND_BEFORE > self.clock.now() {
            self.put(wanted, oldest.number, at, &form, None).await.map_err(in_doubt)?;
            return Ok(Some(ContactAnswer::Exists { contact, at: Some(at), deleted }));
        }
        // With a form that was set, the list may show other times than those of the calls.
        let at = Some(shown).filter(|_| self.times.are_judged());
        Ok(Some(ContactAnswer::Exists { contact, at, deleted }))
    }

    /// Whether this is a first callback of the tenant whose time was misread, or that was sent ahead, and was not corrected since.
    async fn is_uncorrected(&self, wanted: &Wanted<'_>, shown: Timestamp, form: &TimeForm) -> Result<bool, CxoneError> {
        let window = wanted.contact.window;
        let is_in_window = window.start() - TOLERANCE < shown && shown < window.end() + TOLERANCE;
        if is_in_window || !self.times.are_judged() {
            return Ok(false);
        }
        let zone = match form {
            TimeForm::Local(zone) => zone.clone(),
            TimeForm::Utc => self.business_unit_zone(wanted.transport, wanted.context).await?,
        };
        let (at, probe) = (wanted.contact.at, wanted.contact.at + PROBE_AHEAD);
        let readings = [Reading::of(shown, at, &zone), Reading::of(shown, probe, &zone)];
        Ok(readings.contains(&Reading::AsLocal) || readings[1] == Reading::Right)
    }

    /// Judges how the time of the first callback of the tenant was read, which an earlier request created.
    async fn judge(&self, wanted: &Wanted<'_>, number: i64, shown: Timestamp) -> Result<(), CxoneError> {
        let zone = self.business_unit_zone(wanted.transport, wanted.context).await?;
        let probe = wanted.contact.at + PROBE_AHEAD;
        let is_probe = !matches!(Reading::of(shown, probe, &zone), Reading::Wrong(_));
        let sent = if is_probe { probe } else { wanted.contact.at };
        self.settle_time(wanted, number, shown, sent, &zone).await
    }

    /// Whether the call was made, where the callback is not listed after its time.
    pub(super) async fn after_its_time(&self, wanted: &Wanted<'_>) -> Result<ContactAnswer, CxoneError> {
        let contact = wanted.contact;
        let now = self.clock.now();
        let (start, end) = (TimeForm::Utc.write(contact.at - EARLY), TimeForm::Utc.write(now));
        let skill = wanted.skill.to_string();
        let query = [
            ("startDate", start.as_str()),
            ("endDate", end.as_str()),
            ("skillId", skill.as_str()),
            ("mediaTypeId", "4"),
            // All of them: how numbers are compared there is not known.
            ("top", "10000"),
        ];
        let permission = "the permission to view completed contacts";
        let completed = Request::get(Operation::ReadOutcomes, "contacts/completed".into(), permission).query(&query);
        let active = Request::get(Operation::ReadOutcomes, "contacts/active".into(), permission);
        for (request, name) in [(active, "activeContacts"), (completed, "completedContacts")] {
            let read = |body: &[u8]| rows(body, &[name]);
            let calls = self.call(wanted.transport, request, wanted.context, read).await?;
            if let Some(call) = calls.iter().find(|call| is_call_of(call, wanted)) {
                let number = call.integer(&["contactId"]).unwrap_or_default();
                let contact = ContactId::Number(number);
                return Ok(ContactAnswer::Exists { contact, at: None, deleted: Vec::new() });
            }
        }
        if now >= contact.at + RECORDED_AFTER {
            return Ok(ContactAnswer::Absent);
        }
        let reason = "CXone may have called, and its records do not show it yet".into();
        Err(CxoneError::OutcomeUnknown { reason })
    }

    async fn post(&self, wanted: &Wanted<'_>, at: Timestamp, form: &TimeForm) -> Result<i64, CxoneError> {
        let body = body(wanted, at, form);
        let request = Request::new(Operation::CreateContact, Method::POST, "scheduled-callbacks".into(), PERMISSION);
        let send_by = wanted.contact.send_by.unwrap_or(wanted.contact.at - SEND_BEFORE);
        let still_wanted = Some(wanted.contact.still_wanted);
        let request = Request { send_by: Some(send_by), still_wanted, ..request.body(&body) };
        let number = |body: &[u8]| Fields::read(body)?.integer(&["callbackId", "id"]);
        self.call(wanted.transport, request, wanted.context, number).await
    }

    /// Replaces the time of a callback. `NotFound` if it is not waiting any more.
    pub(super) async fn put(
        &self,
        wanted: &Wanted<'_>,
        number: i64,
        at: Timestamp,
        form: &TimeForm,
        send_by: Option<Timestamp>,
    ) -> Result<(), CxoneError> {
        let body = body(wanted, at, form);
        let path = format!("scheduled-callbacks/{number}");
        let request = Request::new(Operation::MoveContact, Method::PUT, path, PERMISSION).body(&body);
        let request = Request { send_by, still_wanted: Some(wanted.contact.still_wanted), ..request };
        self.call(wanted.transport, request, wanted.context, |_| Some(())).await
    }

    /// Deletes a callback that is still to be called. Returns false if it does not exist.
    pub(super) async fn delete(&self, wanted: &Wanted<'_>, number: i64, why: &str) -> Result<bool, CxoneError> {
        let Wanted { transport, contact, context, .. } = *wanted;
        self.delete_number(transport, number, why, context, contact.still_wanted).await
    }

    /// The same, of any callback.
    pub(super) async fn delete_number(
        &self,
        transport: &Transport,
        number: i64,
        why: &str,
        context: RequestContext<'_>,
        still_wanted: &dyn StillWanted,
    ) -> Result<bool, CxoneError> {
        let body = json!({ "description": why });
        let query = [("description", why)];
        let path = format!("scheduled-callbacks/{number}");
        let request = Request::new(Operation::WithdrawContact, Method::DELETE, path, PERMISSION);
        let request = Request { still_wanted: Some(still_wanted), ..request.query(&query).body(&body) };
        match self.call(transport, request, context, |_| Some(())).await {
            Err(CxoneError::NotFound { .. }) => Ok(false),
            deleted => deleted.map(|()| true),
        }
    }
}

/// The failure of a look: a refused look says nothing about the callback.
fn in_a_look(error: CxoneError) -> CxoneError {
    match error {
        CxoneError::Rejected { reason, .. } => CxoneError::UnexpectedAnswer { reason },
        other => other,
    }
}

/// The failure of a step after the callback was created: CXone has it.
fn in_doubt(error: CxoneError) -> CxoneError {
    CxoneError::OutcomeUnknown { reason: format!("the callback was created, and then: {error}") }
}

fn body(wanted: &Wanted<'_>, at: Timestamp, form: &TimeForm) -> serde_json::Value {
    let contact = wanted.contact;
    let phone = contact.phone_number.as_str();
    let last_digits = phone.get(phone.len().saturating_sub(4)..).unwrap_or_default();
    let window =
        format!("{} to {}", TimeForm::Utc.write(contact.window.start()), TimeForm::Utc.write(contact.window.end()));
    json!({
        "firstName": "Callback",
        "lastName": last_digits,
        "phoneNumber": phone,
        "skillId": wanted.skill,
        "targetAgentId": "",
        "scheduleDate": form.write(at),
        "notes": notes(contact.language.as_str(), &window, contact.callback_id),
    })
}

/// Whether a contact is the outbound call of the callback.
fn is_call_of(call: &Fields, wanted: &Wanted<'_>) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let to = call.text(&["toAddress", "toAddr"]).map(|to| digits(&to));
    let started = call.instant(&["contactStartDate", "contactStart", "startDate"]);
    call.flag(&["isOutbound"]).unwrap_or(true)
        && call.integer(&["skillId"]).is_none_or(|skill| skill == wanted.skill)
        && to.is_some_and(|to| to == digits(wanted.contact.phone_number.as_str()))
        && started.is_some_and(|started| started >= wanted.contact.at - EARLY)
}
