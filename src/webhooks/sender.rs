//! Signs an event and sends it to an endpoint.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use secrecy::SecretString;

use super::address_policy::{AddressPolicy, GuardedResolver};
use super::model::Claimed;
use super::retry::Answered;
use super::signing::{SecretCipher, SecretError, SigningSecret};
use crate::clock::Clock;
use crate::trace::{Span, Traceparent};
use crate::types::{mask_phone_numbers, parse_retry_after};

/// The timeout of a delivery (Standard Webhooks suggests 15 to 30 s).
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes that are read of a response …
const MAX_READ: usize = 16 * 1024;
/// … and the most that are stored.
const MAX_STORED: usize = 1024;

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Which addresses are allowed.
    pub address_policy: AddressPolicy,
    /// Decrypts signing secrets. Without it, only the endpoint of the configuration receives events.
    pub cipher: Option<SecretCipher>,
    /// The URL and the secret of the endpoint of the configuration.
    pub configured: Option<(String, SigningSecret)>,
    /// The URL of the proxy for all deliveries.
    pub proxy: Option<SecretString>,
}

/// The client for deliveries.
pub struct Sender {
    settings: WebhookSettings,
    http: reqwest::Client,
    clock: Clock,
}

/// The result of sending an event.
pub struct Sent {
    /// What decides the verdict.
    pub answered: Answered,
    /// The status of the response, even where its body was incomplete.
    pub status: Option<u16>,
    /// The beginning of the response's body.
    pub body: Option<String>,
    /// Why there is no complete response.
    pub error: Option<String>,
}

impl Sender {
    /// A client with these settings.
    ///
    /// # Errors
    /// Where the machine's TLS cannot be set up, or the proxy's URL is invalid.
    pub fn new(settings: WebhookSettings, clock: Clock) -> Result<Self, reqwest::Error> {
        let mut http = crate::tls::client_builder_through(settings.proxy.as_ref())?
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ringback/", env!("CARGO_PKG_VERSION")));
        // A proxy resolves the names of receivers itself, and its own address is usually private.
        if settings.proxy.is_none() {
            http = http.dns_resolver(Arc::new(GuardedResolver(settings.address_policy)));
        }
        Ok(Self { http: http.build()?, settings, clock })
    }

    /// The URL of the endpoint of the configuration.
    pub fn configured_url(&self) -> Option<&str> {
        self.settings.configured.as_ref().map(|(url, _)| url.as_str())
    }

    /// A signature by each secret that is valid. A previous secret that cannot be decrypted is left out: the receiver accepts the
    /// signature of the current one.
    pub fn signature(&self, claimed: &Claimed, at: Timestamp) -> Result<String, SecretError> {
        let sign = |secret: &SigningSecret| secret.sign(claimed.event_id, at.as_second(), &claimed.body);
        if claimed.is_configured {
            let configured = self.settings.configured.as_ref().filter(|(url, _)| *url == claimed.url);
            return configured.map_or(Err(SecretError::NoKey), |(_, secret)| sign(secret));
        }
        let cipher = self.settings.cipher.as_ref().ok_or(SecretError::NoKey)?;
        let current = claimed.secret.as_ref().ok_or(SecretError::NoKey)?;
        let by = |secret: &[u8]| cipher.decrypt(claimed.endpoint, secret).and_then(|secret| sign(&secret));
        let mut signatures = vec![by(current)?];
        for previous in &claimed.previous_secrets {
            match by(previous) {
                Ok(signature) => signatures.push(signature),
                Err(error) => {
                    tracing::warn!(webhook.id = %claimed.endpoint, error = %error, "a previous secret signs nothing");
                }
            }
        }
        Ok(signatures.join(" "))
    }

    /// Asks for the head of the receiver's page: no event is sent. The status of any answer.
    pub async fn reach(&self, url: &str) -> Result<u16, String> {
        let url = self.settings.address_policy.parse(url).map_err(|fault| format!("the URL {}", fault.detail))?;
        let sent = self.http.head(url).send().await;
        sent.map(|answer| answer.status().as_u16()).map_err(|error| reason(&error))
    }

    /// Sends an event that was signed at `at`, and reads the response.
    pub async fn send(&self, claimed: &Claimed, at: Timestamp, signature: String) -> Sent {
        // Checked again: the settings may have changed since the endpoint was created.
        let url = match self.settings.address_policy.parse(&claimed.url) {
            Ok(url) => url,
            Err(fault) => return Sent::failed(format!("the URL {}", fault.detail)),
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", claimed.event_id.to_string())
            .header("webhook-timestamp", at.as_second().to_string())
            .header("webhook-signature", signature)
            .body(claimed.body.clone());
        let mut span = claimed.trace.as_ref().map(|trace| client_span(trace, host)).unwrap_or_default();
        // The receiver may continue the trace also where this service exports none.
        let trace = claimed.trace.as_ref();
        let trace = trace.map(|trace| span.traceparent().unwrap_or_else(|| trace.child(self.clock.new_id())));
        let request = match &trace {
            Some(trace) => request.header("traceparent", trace.as_str()),
            None => request,
        };
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                span.set(HTTP_RESPONSE_STATUS_CODE, i64::from(status));
                if status >= 400 {
                    span.fail(status.to_string());
                }
                let retry_after = retry_after(response.headers(), self.clock.now());
                let (body, is_complete) = read(response).await;
                let error = (!is_complete).then(|| "the answer broke off, or took longer than 15 seconds".to_owned());
                let answered = Answered { status: is_complete.then_some(status), retry_after };
                Sent { answered, status: Some(status), body, error }
            }
            Err(error) => {
                span.fail(if error.is_timeout() { "timeout" } else { "connection" });
                Sent::failed(reason(&error))
            }
        }
    }
}

impl Sent {
    fn failed(error: String) -> Self {
        let answered = Answered { status: None, retry_after: None };
        Self { answered, status: None, body: None, error: Some(error) }
    }
}

/// The host only: the path of a receiver may be secret.
fn client_span(parent: &Traceparent, host: String) -> Span {
    Span::client(parent, "webhook", || {
        vec![KeyValue::new(HTTP_REQUEST_METHOD, "POST"), KeyValue::new(SERVER_ADDRESS, host)]
    })
}

/// Reads the beginning of a response. False where the response broke off before its end or the limit.
async fn read(mut response: reqwest::Response) -> (Option<String>, bool) {
    let mut body = Vec::new();
    let is_complete = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_READ => body.extend_from_slice(&chunk),
            Ok(Some(_) | None) => break true,
            Err(_) => break false,
        }
    };
    body.truncate(MAX_STORED);
    // Postgres stores no NUL in text.
    let text: String = mask_phone_numbers(&String::from_utf8_lossy(&body)).chars().filter(|c| *c != '\0').collect();
    ((!text.is_empty()).then_some(text), is_complete)
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

/// The innermost cause: the outer errors only repeat the URL.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within 15 seconds".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;

    fn claimed(url: &str) -> Claimed {
        Claimed {
            id: Uuid::nil(),
            claim: 1,
            attempts: 0,
            event_id: Uuid::nil(),
            body: "{}".into(),
            endpoint: Uuid::nil(),
            url: url.into(),
            is_configured: true,
            secret: None,
            previous_secrets: Vec::new(),
            failing_since: None,
            trace: None,
        }
    }

    #[test]
    fn a_previous_secret_that_cannot_be_decrypted_is_left_out_and_the_current_one_must_be_decrypted() {
        let (cipher, other) = (SecretCipher::new(&[7; 32]).unwrap(), SecretCipher::new(&[8; 32]).unwrap());
        let encrypted = |cipher: &SecretCipher| cipher.encrypt(Uuid::nil(), &SigningSecret::new().unwrap()).unwrap();
        let (current, previous, lost) = (encrypted(&cipher), encrypted(&cipher), encrypted(&other));
        let at = "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap();
        let address_policy = AddressPolicy { allow_loopback: false };
        let settings = WebhookSettings { address_policy, cipher: Some(cipher), configured: None, proxy: None };
        let sender = Sender::new(settings, Clock::manual(move || at, 1)).unwrap();
        let signature = |current: &[u8], previous: &[&[u8]]| {
            let previous_secrets = previous.iter().map(|secret| secret.to_vec()).collect();
            let created = claimed("https://wfo.invalid/hooks");
            let created = Claimed { is_configured: false, secret: Some(current.to_vec()), previous_secrets, ..created };
            sender.signature(&created, at)
        };

        let both = signature(&current, &[&previous]).unwrap();
        assert_eq!(signature(&current, &[&lost, &previous]).unwrap(), both);
        assert_eq!(both.split(' ').count(), 2);
        assert!(matches!(signature(&lost, &[&previous]), Err(SecretError::WrongKey)));
    }

    /// The proxy has a name that resolves to loopback, which no receiver may have.
    #[tokio::test]
    async fn a_delivery_goes_through_the_proxy_which_resolves_the_name_of_the_receiver() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:pass@localhost:{}", listener.local_addr().unwrap().port());
        let address_policy = AddressPolicy { allow_loopback: false };
        let settings = WebhookSettings { address_policy, cipher: None, configured: None, proxy: Some(proxy.into()) };
        let at = "2026-11-20T15:00:00Z".parse::<Timestamp>().unwrap();
        let sender = Sender::new(settings, Clock::manual(move || at, 1)).unwrap();
        let accepted = async {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            line
        };

        let forbidden = sender.send(&claimed("https://10.0.0.1/hooks"), at, String::new()).await;
        let public = claimed("https://wfo.invalid/hooks");
        let (sent, line) = tokio::join!(sender.send(&public, at, String::new()), accepted);

        assert_eq!(line, "CONNECT wfo.invalid:443 HTTP/1.1\r\n");
        assert!(sent.status.is_none() && sent.error.is_some_and(|error| !error.contains("pass")));
        assert!(forbidden.error.is_some_and(|error| error.contains("private or special network")));
    }
}
