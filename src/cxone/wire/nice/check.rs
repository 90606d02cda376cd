//! Checks of a tenant: each is a request that changes nothing.

use jiff::{SignedDuration, Timestamp};

use super::callback_times::TimeForm;
use super::reply::{Fields, rows};
use super::zones::zone;
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{Check, RequestContext};
use crate::cxone::transport::Transport;

/// A list of the API that is checked.
struct List {
    name: &'static str,
    operation: Operation,
    path: &'static str,
    permission: &'static str,
    /// Whether it takes a day as its range.
    has_range: bool,
    query: &'static [(&'static str, &'static str)],
    /// The member whose form the documents leave open.
    open: &'static [&'static str],
}

const LISTS: [List; 8] = [
    List {
        name: "completed contacts",
        operation: Operation::ReadOutcomes,
        path: "contacts/completed",
        permission: "the permission to view completed contacts",
        has_range: true,
        query: &[("mediaTypeId", "4"), ("top", "10")],
        open: &["contactStartDate", "contactStart"],
    },
    List {
        name: "active contacts",
        operation: Operation::ReadOutcomes,
        path: "contacts/active",
        permission: "the permission to view active contacts",
        has_range: false,
        query: &[],
        open: &["contactId"],
    },
    List {
        name: "dispositions",
        operation: Operation::ReadOutcomes,
        path: "dispositions",
        permission: "the permission to view dispositions",
        has_range: false,
        query: &[],
        open: &["systemOutcome", "classificationName"],
    },
    List {
        name: "intervals of skills",
        operation: Operation::Forecast,
        path: "wfm-data/skills/contacts",
        permission: "the permission to view WFM data",
        has_range: true,
        query: &[("mediaTypeId", "4")],
        open: &["intervalStartDate"],
    },
    List {
        name: "intervals of dialers",
        operation: Operation::Forecast,
        path: "wfm-data/skills/dialer-contacts",
        permission: "the permission to view WFM data",
        has_range: true,
        query: &[("mediaTypeId", "4")],
        open: &["intervalStartDate"],
    },
    List {
        name: "activity of skills",
        operation: Operation::Forecast,
        path: "skills/activity",
        permission: "the permission to view the activity of skills",
        has_range: false,
        query: &[("IsOutbound", "true")],
        open: &["agentsLoggedIn"],
    },
    List {
        name: "campaigns",
        operation: Operation::ReadCampaign,
        path: "campaigns",
        permission: "the permission to view campaigns",
        has_range: false,
        query: &[("isActive", "true"), ("top", "10")],
        open: &["id", "campaignId"],
    },
    List {
        name: "do-not-call groups",
        operation: Operation::SearchDoNotCall,
        path: "dnc-groups",
        permission: "the permission to view do-not-call groups",
        has_range: false,
        query: &[],
        open: &["dncGroupId"],
    },
];

impl Nice {
    pub async fn check(&self, transport: &Transport, context: RequestContext<'_>) -> Vec<Check> {
        let token = transport.authorize(context.class).await.map(|()| "granted".to_owned());
        let mut checks = vec![Check { name: "token", result: token }];
        if checks.iter().any(|check| check.result.is_err()) {
            return checks;
        }
        let mut add = |name, result| checks.push(Check { name, result });
        add("address of the API", self.discovery.api(transport, context).await);
        add("business unit", self.check_business_unit(transport, context).await);
        add("clock", self.check_clock(transport, context).await);
        let skills = self.outbound_skills(transport, context).await;
        add("outbound skills", skills.as_ref().map(|skills| shown(skills, &["isRunning"])).map_err(Clone::clone));
        if let Some(skill) = skills.ok().and_then(|skills| skills.first()?.integer(&["skillId", "id"])) {
            let read = self.read_skill(transport, skill, context).await;
            add("one skill", read.map(|skill| format!("active: {}, dialer: {}", skill.is_active, skill.has_dialer)));
            add("scheduled callbacks", self.check_callbacks(transport, skill, context).await);
        }
        for list in &LISTS {
            add(list.name, self.check_list(transport, list, context).await);
        }
        add("channels", self.check_channels(transport, context).await);
        checks
    }

    async fn check_business_unit(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        let permission = "the permission to view the business unit";
        let request = Request::get(Operation::ReadTenant, "business-unit".into(), permission);
        let first = |body: &[u8]| rows(body, &["businessUnits"])?.into_iter().next();
        let unit = self.call(transport, request, context, first).await?;
        let name = unit.text(&["defaultTimeZone", "timeZone"]).unwrap_or_default();
        let known = zone(&name).and_then(|zone| zone.iana_name().map(str::to_owned));
        let limit = unit.text(&["apiPublishedLimit"]).unwrap_or_else(|| "not given".to_owned());
        let zone = known.unwrap_or_else(|| "unknown to Ringback".to_owned());
        Ok(format!("time zone {name} ({zone}), apiPublishedLimit {limit}"))
    }

    async fn check_clock(&self, transport: &Transport, context: RequestContext<'_>) -> Result<String, CxoneError> {
        let request = Request::get(Operation::ReadTenant, "server-time".into(), "any permission");
        let time = |body: &[u8]| Fields::read(body)?.instant(&["ServerTime", "serverTime"]);
        let theirs = self.call(transport, request, context, time).await?;
        let seconds = theirs.duration_since(self.clock.now()).as_secs();
        Ok(format!("{seconds} s ahead of Postgres"))
    }

    async fn outbound_skills(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
    ) -> Result<Vec<Fields>, CxoneError> {
        let query = [("mediaTypeId", "4"), ("isActive", "true"), ("skip", "0"), ("top", "100")];
        let request = Request::get(Operation::ReadCampaign, "skills".into(), "the permission to view skills");
        let list = |body: &[u8]| rows(body, &["skills"]);
        let mut skills = self.call(transport, request.query(&query), context, list).await?;
        skills.retain(|skill| skill.flag(&["isOutbound"]) == Some(true));
        Ok(skills)
    }

    async fn check_callbacks(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        let path = format!("skills/{skill}/scheduled-callbacks");
        let request = Request::get(Operation::FindContact, path, "the permission to view scheduled callbacks");
        let list = |body: &[u8]| rows(body, &["callbacks"]);
        Ok(shown(&self.call(transport, request, context, list).await?, &["callbackTime"]))
    }

    async fn check_list(
        &self,
        transport: &Transport,
        list: &List,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        let (start, end) = yesterday(self.clock.now());
        let range = [("startDate", start.as_str()), ("endDate", end.as_str())];
        let range = if list.has_range { &range[..] } else { &[] };
        let query: Vec<(&str, &str)> = range.iter().chain(list.query).copied().collect();
        let request = Request::get(list.operation, list.path.into(), list.permission).query(&query);
        let read = |body: &[u8]| rows(body, &[]);
        Ok(shown(&self.call(transport, request, context, read).await?, list.open))
    }

    async fn check_channels(&self, transport: &Transport, context: RequestContext<'_>) -> Result<String, CxoneError> {
        let base = self.discovery.digital(transport, context).await?;
        let permission = "the Digital permission to view channels";
        let request = Request::get(Operation::FindSms, "channels".into(), permission);
        let list = |body: &[u8]| rows(body, &["data", "channels"]);
        let channels = self.call_at(transport, &base, request, context, list).await?;
        let is_sms = |channel: &&Fields| channel.text(&["realExternalPlatformId"]).as_deref() == Some("sms");
        let ids: Vec<String> =
            channels.iter().filter(is_sms).filter_map(|channel| channel.text(&["id"])).take(5).collect();
        Ok(format!("{} for SMS: {}", ids.len(), ids.join(", ")))
    }
}

/// The number of rows, and the form of a member in the first one. Never its value.
fn shown(rows: &[Fields], members: &[&str]) -> String {
    let Some(first) = rows.first() else { return "none".to_owned() };
    format!("{}; {} is {}", rows.len(), members.join(" or "), first.form(members))
}

/// The day until an hour ago, in the form of reports.
fn yesterday(now: Timestamp) -> (String, String) {
    let end = now - SignedDuration::from_hours(1);
    (TimeForm::Utc.write(end - SignedDuration::from_hours(24)), TimeForm::Utc.write(end))
}
