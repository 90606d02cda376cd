//! What became of calls: the completed contacts, their dispositions, and the callbacks that still wait.

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::callback_times::TimeForm;
use super::reply::{Fields, next_page, rows};
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::gate::StillWanted;
use crate::cxone::model::{CallPage, Disposition, ReportedCall, RequestContext, WaitingContact};
use crate::cxone::transport::Transport;
use crate::cxone::wire::OutcomeReports;
use crate::types::CampaignId;

/// The contacts of one answer. NICE allows 10,000; an answer must stay under 16 MiB.
const PAGE: u32 = 5_000;
const PHONE: &str = "4";

impl OutcomeReports for Nice {
    fn completed_calls<'a>(
        &'a self,
        transport: &'a Transport,
        since: Timestamp,
        skip: u32,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<CallPage, CxoneError>> {
        Box::pin(async move {
            let (since, skip_text, top) = (TimeForm::Utc.write(since), skip.to_string(), PAGE.to_string());
            let query = [
                ("updatedSince", since.as_str()),
                ("mediaTypeId", PHONE),
                ("skip", skip_text.as_str()),
                ("top", top.as_str()),
            ];
            let permission = "the permission to view completed contacts";
            let request = Request::get(Operation::ReadOutcomes, "contacts/completed".into(), permission).query(&query);
            self.call(transport, request, context, |body| page(body, skip)).await
        })
    }

    fn dispositions<'a>(
        &'a self,
        transport: &'a Transport,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<Disposition>, CxoneError>> {
        Box::pin(async move {
            let permission = "the permission to view dispositions";
            let request = Request::get(Operation::ReadOutcomes, "dispositions".into(), permission);
            let list = |body: &[u8]| rows(body, &["dispositions"]);
            let rows = self.call(transport, request, context, list).await?;
            Ok(rows.iter().filter_map(disposition).collect())
        })
    }

    fn skill_of<'a>(
        &'a self,
        transport: &'a Transport,
        campaign: &'a CampaignId,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<i64, CxoneError>> {
        Box::pin(self.callback_skill(transport, campaign, context))
    }

    fn waiting<'a>(
        &'a self,
        transport: &'a Transport,
        skill: i64,
        context: RequestContext<'a>,
    ) -> BoxFuture<'a, Result<Vec<WaitingContact>, CxoneError>> {
        Box::pin(async move {
            let listed = self.scheduled(transport, skill, context).await?;
            let ours = listed
                .iter()
                .filter_map(|listed| Some(WaitingContact { number: listed.number, callback_id: listed.callback_id? }));
            Ok(ours.collect())
        })
    }

    fn withdraw<'a>(
        &'a self,
        transport: &'a Transport,
        number: i64,
        why: &'a str,
        context: RequestContext<'a>,
        still_wanted: &'a dyn StillWanted,
    ) -> BoxFuture<'a, Result<bool, CxoneError>> {
        Box::pin(self.delete_number(transport, number, why, context, still_wanted))
    }
}

fn page(body: &[u8], skip: u32) -> Option<CallPage> {
    let rows = rows(body, &["completedContacts"])?;
    let answer = Fields::read(body);
    Some(CallPage {
        next: next_page(answer.as_ref(), skip, rows.len(), PAGE),
        polled_at: answer.and_then(|answer| answer.instant(&["lastPollTime"])),
        calls: rows.iter().filter_map(call).collect(),
    })
}

/// An outbound call. None for any other contact.
fn call(fields: &Fields) -> Option<ReportedCall> {
    if fields.flag(&["isOutbound"]) == Some(false) {
        return None;
    }
    let to = fields.text(&["toAddress", "toAddr"])?;
    let reason = fields.text(&["refuseReason"]).is_some_and(|reason| !reason.trim().is_empty());
    Some(ReportedCall {
        contact: fields.integer(&["contactId"])?,
        skill: fields.integer(&["skillId"]),
        to_digits: to.chars().filter(char::is_ascii_digit).collect(),
        started_at: fields.instant(&["contactStartDate", "contactStart", "startDate"])?,
        has_agent: fields.integer(&["agentId"]).is_some_and(|agent| agent > 0),
        agent_seconds: fields.text(&["agentSeconds"]).as_deref().and_then(whole_seconds),
        is_refused: reason || fields.flag(&["isRefused"]).unwrap_or(false),
        disposition: fields.integer(&["primaryDispositionId"]).filter(|id| *id > 0),
    })
}

/// `12`, `12.5`.
fn whole_seconds(text: &str) -> Option<u32> {
    text.split('.').next()?.trim().parse().ok()
}

fn disposition(fields: &Fields) -> Option<Disposition> {
    let name = fields.text(&["dispositionName", "name"]).unwrap_or_default();
    let said = |names: &[&str]| fields.text(names).as_deref().and_then(is_success);
    Some(Disposition {
        id: fields.integer(&["dispositionId", "id"])?,
        name,
        is_success: said(&["classificationName", "classification"]).or_else(|| said(&["systemOutcome"])),
    })
}

/// What the name of a classification or of an outcome says. Neither has published values.
fn is_success(text: &str) -> Option<bool> {
    const NO: [&str; 10] =
        ["unsuccess", "negative", "not ", "no ", "fail", "wrong", "busy", "machine", "abandon", "invalid"];
    const YES: [&str; 5] = ["success", "positive", "reached", "right party", "answered"];
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&NO) { Some(false) } else { has(&YES).then_some(true) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: &serde_json::Value) -> Fields {
        Fields::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_page_has_the_outbound_calls_and_says_where_the_next_begins() {
        let body = json!({"totalRecords": "7", "lastPollTime": "2026-11-20T15:00:00.123Z", "completedContacts": [
            {"contactId": "500000000001", "isOutbound": "True", "toAddr": "+1 (202) 555-0198", "skillId": "4001",
             "contactStart": "2026-11-20T14:00:00", "agentId": 7, "agentSeconds": "12.5", "primaryDispositionId": 0},
            {"contactId": 2, "isOutbound": false, "toAddress": "x", "contactStartDate": "2026-11-20T14:00:00Z"},
            {"contactId": 3, "toAddress": "12", "contactStartDate": "2026-11-20T14:00:00Z", "isRefused": true},
        ]});
        let page = page(body.to_string().as_bytes(), 2).unwrap();
        assert_eq!((page.next, page.polled_at), (Some(5), "2026-11-20T15:00:00.123Z".parse().ok()));
        let expected = ReportedCall {
            contact: 500_000_000_001,
            skill: Some(4001),
            to_digits: "12025550198".into(),
            started_at: "2026-11-20T14:00:00Z".parse().unwrap(),
            has_agent: true,
            agent_seconds: Some(12),
            is_refused: false,
            disposition: None,
        };
        assert_eq!((page.calls.len(), &page.calls[0], page.calls[1].is_refused), (2, &expected, true));
        let last = super::page(br#"{"totalRecords": 3, "completedContacts": [{}, {}, {}]}"#, 0).unwrap();
        assert_eq!((last.next, super::page(b"", 5).unwrap().next), (None, None));
    }

    #[test]
    fn a_classification_or_outcome_says_whether_the_person_was_reached() {
        for (classification, outcome, expected) in [
            ("Positive", "No answer", Some(true)),
            ("Negative", "Reached", Some(false)),
            ("Unsuccessful", "", Some(false)),
            ("Sales", "Right Party Contact", Some(true)),
            ("Sales", "Answering Machine", Some(false)),
            ("Sales", "Other", None),
        ] {
            let row = json!({"dispositionId": "1", "classificationName": classification, "systemOutcome": outcome});
            assert_eq!(disposition(&fields(&row)).unwrap().is_success, expected, "{classification} {outcome}");
        }
    }
}
