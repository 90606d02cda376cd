//! `GET` and `PUT /api/v2/outbound/campaigns/{campaignId}`

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde_json::Value;

use crate::simulator::effect::{Effect, ReceivedAt};
use crate::simulator::fields::{Fields, JsonBody};
use crate::simulator::model::Simulator;
use crate::simulator::model::campaign::{Campaign, CampaignState, with_id};
use crate::simulator::model::tokens::Client;
use crate::simulator::refusal::{Answer, Refusal};

pub(super) async fn read(
    State(simulator): State<Simulator>,
    Extension(Client(client)): Extension<Client>,
    Path(id): Path<String>,
) -> Answer {
    let campaign = simulator.model().campaigns.lock().read(&id, client);
    let campaign = campaign.ok_or_else(|| Refusal::no_campaign(&id))?;
    Ok((StatusCode::OK, Json(with_id(&id, &campaign))))
}

pub(super) async fn update(
    State(simulator): State<Simulator>,
    Extension(Client(client)): Extension<Client>,
    Extension(ReceivedAt(received_at)): Extension<ReceivedAt>,
    Extension(effect): Extension<Effect>,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Answer {
    let wanted = parse(&body)?;
    let mut campaigns = simulator.model().campaigns.lock();
    let unchanged = campaigns.check(&id, &client, &wanted)?;
    match effect {
        Effect::Immediate => {
            campaigns.apply(&id, wanted.clone(), received_at);
            Ok((StatusCode::OK, Json(with_id(&id, &wanted))))
        }
        Effect::Delayed(delay) => {
            let (simulator, id) = (simulator.clone(), id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                simulator.model().campaigns.lock().apply(&id, wanted, received_at);
            });
            Ok((StatusCode::ACCEPTED, Json(Value::Null)))
        }
        Effect::None => Ok((StatusCode::OK, Json(with_id(&id, &unchanged)))),
    }
}

/// The campaign in a client's request. What the request leaves out is cleared; an active campaign has no pause
/// reason and no resume time.
fn parse(body: &Value) -> Result<Campaign, Refusal> {
    let known = ["state", "pauseReason", "scheduledResumeTime", "maxAgents", "dialingMode"];
    let fields = Fields::known(body, "", &known)?;
    let state = fields.text("state")?;
    let pause_reason = fields.optional_text("pauseReason")?;
    let resume = fields.optional_text("scheduledResumeTime")?;
    let dialing_mode = fields.text("dialingMode")?.to_owned();
    let max_agents = fields.count("maxAgents")?;
    if resume.is_some_and(|time| time.parse::<Timestamp>().is_err()) {
        return Err(Refusal::unprocessable("scheduledResumeTime must be an ISO 8601 instant"));
    }
    match state {
        "ACTIVE" => Ok(Campaign { max_agents, dialing_mode, ..Campaign::default() }),
        "PAUSED" => Ok(Campaign {
            state: CampaignState::Paused,
            pause_reason: pause_reason.map(str::to_owned),
            scheduled_resume_time: resume.map(str::to_owned),
            max_agents,
            dialing_mode,
        }),
        _ => Err(Refusal::unprocessable("state must be ACTIVE or PAUSED")),
    }
}
