//! Text messages, over Digital. A message may not be sent twice: after a doubt it is looked up.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::reply::{Fields, rows};
use super::{Nice, Request};
use crate::cxone::endpoint::Operation;
use crate::cxone::error::CxoneError;
use crate::cxone::model::{RequestContext, Sms, SmsSender};
use crate::cxone::transport::Transport;

/// A message is found this much later, if at all.
const LOOK_AFTER: Duration = Duration::from_secs(3);
/// The most characters of a message's id.
const MAX_ID: usize = 200;

impl Nice {
    pub async fn send_sms(
        &self,
        transport: &Transport,
        sms: &Sms<'_>,
        context: RequestContext<'_>,
    ) -> Result<String, CxoneError> {
        let SmsSender::Channel(channel) = sms.from else {
            return Err(CxoneError::Rejected { status: 422, reason: "an SMS needs a channel".into() });
        };
        let body = json!({
            "thread": {"idOnExternalPlatform": sms.callback_id},
            "messageContent": {"type": "TEXT", "payload": {"text": sms.message}},
            "recipients": [{"idOnExternalPlatform": sms.to.as_str(), "isPrimary": true, "isPrivate": false}],
        });
        let base = Box::pin(self.discovery.digital(transport, context)).await?;
        let path = format!("channels/{}/outbound", escaped(channel));
        let permission = "the Digital permission to send messages";
        let request = Request::new(Operation::SendSms, Method::POST, path, permission).body(&body);
        let request = Request { send_by: sms.send_by, still_wanted: Some(sms.still_wanted), ..request };
        let id = |body: &[u8]| {
            let answer = Fields::read(body)?;
            message_id(&answer.inner(&["message"]).unwrap_or(answer))
        };
        match self.call_at(transport, &base, request, context, id).await {
            Err(
                error @ (CxoneError::OutcomeUnknown { .. }
                | CxoneError::UnexpectedAnswer { .. }
                | CxoneError::ServerError { .. }),
            ) => {
                tokio::time::sleep(LOOK_AFTER).await;
                let found = self.find_sms(transport, sms.reference, context).await;
                found.ok().flatten().ok_or(error)
            }
            sent => sent,
        }
    }

    /// The message that has this reference in its text.
    pub async fn find_sms(
        &self,
        transport: &Transport,
        reference: &str,
        context: RequestContext<'_>,
    ) -> Result<Option<String>, CxoneError> {
        let query = [("contentContains", reference), ("direction", "outbound")];
        let base = Box::pin(self.discovery.digital(transport, context)).await?;
        let permission = "the Digital permission to view messages";
        let request = Request::get(Operation::FindSms, "messages".into(), permission).query(&query);
        let list = |body: &[u8]| rows(body, &["data", "messages"]);
        let found = self.call_at(transport, &base, request, context, list).await?;
        Ok(found.iter().find_map(message_id))
    }
}

fn message_id(message: &Fields) -> Option<String> {
    let id = message.text(&["id", "idOnExternalPlatform"])?;
    ((1..=MAX_ID).contains(&id.len()) && !id.contains('\0')).then_some(id)
}

fn escaped(segment: &str) -> String {
    url::form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>().replace('+', "%20")
}
