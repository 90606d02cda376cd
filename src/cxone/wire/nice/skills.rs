//! The skills of a campaign.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::reply::{Fields, next_page, rows};
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{RequestContext, SkillMapping};
use crate::cxone::transport::Transport;
use crate::types::CampaignId;

/// How long the skills of a campaign are remembered.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);
/// The campaigns whose skills are remembered.
const MAX_CAMPAIGNS: usize = 1000;
/// The skills of one answer.
const PAGE: u32 = 100;
/// The most skills of a campaign, which has a few. More are an error: the rest would not be stopped.
const MAX_SKILLS: u32 = 1000;
/// The media type of telephone skills.
const PHONE: i64 = 4;

/// A skill as CXone shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as CXone shows it")]
pub struct Skill {
    pub id: i64,
    pub is_active: bool,
    pub is_outbound: bool,
    pub is_phone: bool,
    /// Whether a dialer dials for it, which can be stopped.
    pub has_dialer: bool,
    pub is_running: bool,
    /// Whether CXone shows whether it runs.
    pub shows_running: bool,
}

impl Skill {
    /// Flat, or in a list of one.
    pub fn read(body: &[u8]) -> Option<Self> {
        let fields = Fields::read(body)?;
        let fields = fields.first_of(&["skills"]).unwrap_or(fields);
        let is_outbound = fields.flag(&["isOutbound"]).unwrap_or(true);
        let strategy = fields.text(&["outboundStrategy"]);
        let is_personal_connection = |strategy: &String| strategy.to_ascii_lowercase().contains("personal");
        let is_running = fields.flag(&["isRunning", "isNaturalCallingRunning"]);
        Some(Self {
            id: fields.integer(&["skillId", "id"])?,
            is_active: fields.flag(&["isActive"]).unwrap_or(true),
            is_outbound,
            is_phone: fields.integer(&["mediaTypeId", "mediaType"]).is_none_or(|media| media == PHONE),
            has_dialer: is_outbound && strategy.as_ref().is_none_or(is_personal_connection),
            is_running: is_running.unwrap_or(false),
            shows_running: is_running.is_some(),
        })
    }

    pub fn takes_callbacks(&self) -> bool {
        self.is_active && self.is_outbound && self.is_phone
    }
}

/// The skills of a campaign.
#[derive(Clone, Debug, PartialEq)]
struct CampaignSkills {
    mapping: Option<SkillMapping>,
    members: Vec<i64>,
    at: Timestamp,
}

/// The skills of the campaigns that were asked for.
#[derive(Default)]
pub struct SkillCache {
    campaigns: Mutex<HashMap<CampaignId, CampaignSkills>>,
    /// The skill that takes the callbacks of a campaign without a mapping.
    outbound: Mutex<HashMap<i64, (i64, Timestamp)>>,
}

impl Nice {
    /// The skill that takes the campaign's callbacks.
    pub(super) async fn callback_skill(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<i64, CxoneError> {
        if let Some(mapping) = self.mapping(id).await? {
            return Ok(mapping.skill_id);
        }
        let number = campaign_number(id).ok_or_else(no_skill)?;
        let now = self.clock.now();
        let known = self.skills.outbound.lock().get(&number).copied();
        if let Some((skill, _)) = known.filter(|(_, at)| now < *at + FRESH_FOR) {
            return Ok(skill);
        }
        let skill = self.only_outbound_skill(transport, number, context).await?;
        let mut outbound = self.skills.outbound.lock();
        if outbound.len() >= MAX_CAMPAIGNS {
            outbound.clear();
        }
        outbound.insert(number, (skill, now));
        Ok(skill)
    }

    /// Checks that the skill takes callbacks, and that those to be paused exist.
    pub async fn verify_skills(
        &self,
        transport: &Transport,
        mapping: &SkillMapping,
        context: RequestContext<'_>,
    ) -> Result<(), CxoneError> {
        let skill = self.read_skill(transport, mapping.skill_id, context).await?;
        if !skill.takes_callbacks() {
            let reason = match skill {
                Skill { is_active: false, .. } => "is not active",
                Skill { is_outbound: false, .. } => "is not an outbound skill",
                _ => "is not a telephone skill",
            };
            return Err(refused(format!("skill {} {reason} in CXone", skill.id)));
        }
        for other in mapping.skill_ids.iter().filter(|other| **other != mapping.skill_id) {
            self.read_skill(transport, *other, context).await?;
        }
        Ok(())
    }

    async fn only_outbound_skill(
        &self,
        transport: &Transport,
        campaign: i64,
        context: RequestContext<'_>,
    ) -> Result<i64, CxoneError> {
        let mut outbound = Vec::new();
        for skill in self.members_of(transport, campaign, context).await? {
            let skill = self.read_skill(transport, skill, context).await?;
            if skill.takes_callbacks() {
                outbound.push(skill.id);
            }
        }
        match outbound[..] {
            [only] => Ok(only),
            [] => Err(refused(format!("campaign {campaign} has no active outbound skill for telephone calls"))),
            _ => Err(refused(format!(
                "campaign {campaign} has several outbound skills: name the one for callbacks as nice.skillId in the \
                 campaign's settings"
            ))),
        }
    }

    /// The skills that are stopped and started with the campaign.
    pub(super) async fn skills_of(
        &self,
        transport: &Transport,
        id: &CampaignId,
        context: RequestContext<'_>,
    ) -> Result<Vec<i64>, CxoneError> {
        let mapping = self.mapping(id).await?;
        let now = self.clock.now();
        let known = self.skills.campaigns.lock().get(id).cloned();
        let known = known.filter(|known| known.mapping == mapping);
        if let Some(known) = known.as_ref().filter(|known| now < known.at + FRESH_FOR) {
            return Ok(known.members.clone());
        }
        let number = match &mapping {
            Some(SkillMapping { skill_ids, .. }) if !skill_ids.is_empty() => return Ok(skill_ids.clone()),
            Some(SkillMapping { skill_id, campaign_id: None, .. }) => return Ok(vec![*skill_id]),
            Some(SkillMapping { campaign_id: Some(number), .. }) => *number,
            None => campaign_number(id).ok_or_else(|| CxoneError::NotFound { reason: NO_SKILL.into() })?,
        };
        let members = match self.members_of(transport, number, context).await {
            Ok(members) => members,
            // The skills of a campaign seldom change.
            Err(error) => match known.filter(|_| !error.came_after_authorization()) {
                Some(known) => return Ok(known.members),
                None => return Err(error),
            },
        };
        let mut campaigns = self.skills.campaigns.lock();
        if campaigns.len() >= MAX_CAMPAIGNS {
            campaigns.clear();
        }
        campaigns.insert(id.clone(), CampaignSkills { mapping, members: members.clone(), at: now });
        Ok(members)
    }

    async fn mapping(&self, id: &CampaignId) -> Result<Option<SkillMapping>, CxoneError> {
        super::stored(self.mappings.skills_of(id).await)
    }

    async fn members_of(
        &self,
        transport: &Transport,
        campaign: i64,
        context: RequestContext<'_>,
    ) -> Result<Vec<i64>, CxoneError> {
        let (mut members, mut next) = (Vec::new(), Some(0));
        while let Some(skip) = next {
            if skip >= MAX_SKILLS {
                let reason = format!("campaign {campaign} has more than {MAX_SKILLS} skills");
                return Err(CxoneError::UnexpectedAnswer { reason });
            }
            let path = format!("campaigns/{campaign}/skills");
            let permission = "the permission to view campaigns and their skills";
            let (skip_text, top) = (skip.to_string(), PAGE.to_string());
            let query = [("skip", skip_text.as_str()), ("top", top.as_str())];
            let request = Request::get(Operation::ReadCampaign, path, permission).query(&query);
            let page = self.call(transport, request, context, |body| member_page(body, skip)).await?;
            members.extend(page.0);
            next = page.1;
        }
        Ok(members)
    }

    pub(super) async fn read_skill(
        &self,
        transport: &Transport,
        skill: i64,
        context: RequestContext<'_>,
    ) -> Result<Skill, CxoneError> {
        let path = format!("skills/{skill}");
        let request = Request::get(Operation::ReadCampaign, path, "the permission to view skills");
        let read = self.call(transport, request, context, Skill::read).await?;
        if read.id != skill {
            return Err(CxoneError::unexpected("the answer is about another skill"));
        }
        Ok(read)
    }
}

/// The telephone skills of a page, and the `skip` of the next one.
fn member_page(body: &[u8], skip: u32) -> Option<(Vec<i64>, Option<u32>)> {
    let skills = rows(body, &["skills", "campaignSkills"])?;
    let next = next_page(Fields::read(body).as_ref(), skip, skills.len(), PAGE);
    let is_phone = |skill: &&Fields| skill.integer(&["mediaType", "mediaTypeId"]).is_none_or(|media| media == PHONE);
    let ids = skills.iter().filter(is_phone).filter_map(|skill| skill.integer(&["skillId", "id"])).collect();
    Some((ids, next))
}

const NO_SKILL: &str = "the campaign has no skill in CXone: set nice.skillId in its settings";

fn no_skill() -> CxoneError {
    refused(NO_SKILL.into())
}

fn refused(reason: String) -> CxoneError {
    CxoneError::Rejected { status: 422, reason }
}

/// An id of digits is the number of a campaign in CXone.
fn campaign_number(id: &CampaignId) -> Option<i64> {
    let text = id.as_str();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_members_has_the_telephone_skills_and_says_where_the_next_begins() {
        let body = br#"{"totalRecords": "4", "skills": [{"skillId": "4001", "mediaType": 4}, {"skillId": 4002, "mediaType": 9}]}"#;
        assert_eq!(member_page(body, 0), Some((vec![4001], Some(2))));
        assert_eq!(member_page(body, 2), Some((vec![4001], None)));
        assert_eq!(member_page(br#"{"skills": [{"id": 4001}]}"#, 0), Some((vec![4001], None)));
    }
}
