//! Who is signed in. The browser has a random token in a cookie, and Postgres its hash.

use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::problem::ApiProblem;
use super::store::{ConsoleStore, Owner, StoredSession};
use super::token::RandomToken;
use crate::audit::{Action, Actor, Entry, Outcome};
use crate::clock::Clock;
use crate::http::{Problem, ProblemKind};
use crate::keys::{Credentials, KeyStore};

/// `__Host-`: the browser accepts it only from this host, by https, and for all paths.
const COOKIE: &str = "__Host-ringback-session";
/// How long a session of a key lasts. A key that is revoked or expires ends it at once.
const KEY_SESSION: SignedDuration = SignedDuration::from_hours(12);
/// How long a session of a person of the identity provider lasts: Ringback does not hear of a person who loses a role.
const SUBJECT_SESSION: SignedDuration = SignedDuration::from_hours(8);

/// How somebody signed in.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    ApiKey,
    Link,
    Oidc,
}

/// The detail of the entry of a sign-in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedInDetail {
    method: Method,
    expires_at: Timestamp,
}

/// A session that is in force.
#[derive(Clone, Debug)]
pub struct Session {
    hash: [u8; 32],
    pub credentials: Credentials,
}

impl Session {
    /// The id of the key, or of the person of the identity provider.
    pub fn owner(&self) -> Uuid {
        match &self.credentials {
            Credentials::Key(key) => key.id,
            Credentials::Token(token) => token.id,
        }
    }
}

/// Begins, finds and ends sessions.
#[derive(Clone)]
pub struct Sessions {
    store: ConsoleStore,
    keys: KeyStore,
    clock: Clock,
}

impl Sessions {
    pub fn new(store: ConsoleStore, keys: KeyStore, clock: Clock) -> Self {
        Self { store, keys, clock }
    }

    /// The session of the browser, if it is in force.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn find(&self, jar: &CookieJar) -> Result<Option<Session>, sqlx::Error> {
        let token = jar.get(COOKIE).and_then(|cookie| RandomToken::parse(cookie.value()));
        let Some(token) = token else { return Ok(None) };
        self.find_by_hash(token.hash()).await
    }

    /// Whether a session that was found before is still in force.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn is_in_force(&self, session: &Session) -> Result<bool, sqlx::Error> {
        Ok(self.find_by_hash(session.hash).await?.is_some())
    }

    async fn find_by_hash(&self, hash: [u8; 32]) -> Result<Option<Session>, sqlx::Error> {
        let now = self.clock.now();
        let stored = self.store.session(hash).await?.filter(|session| now < session.expires_at);
        let Some(stored) = stored else { return Ok(None) };
        let credentials = match &stored.owner {
            Owner::Key(id) => {
                let key = self.keys.find_by_id(*id).await?.filter(|key| key.is_valid(now));
                key.map(Credentials::Key)
            }
            Owner::Subject(token) => Some(Credentials::Token(token.clone())),
        };
        Ok(credentials.map(|credentials| Session { hash, credentials }))
    }

    /// The key with this secret, if it is valid now.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn credentials_of_key(&self, secret: &str) -> Result<Option<Credentials>, sqlx::Error> {
        let now = self.clock.now();
        Ok(self.keys.find(secret).await?.filter(|key| key.is_valid(now)).map(Credentials::Key))
    }

    /// Uses up a link. Returns its key, if both are valid now.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn credentials_of_link(&self, token: &RandomToken) -> Result<Option<Credentials>, sqlx::Error> {
        let now = self.clock.now();
        let Some(key) = self.store.use_link(token.hash(), now).await? else { return Ok(None) };
        Ok(self.keys.find_by_id(key).await?.filter(|key| key.is_valid(now)).map(Credentials::Key))
    }

    /// Begins a session, and returns its cookie.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn begin(
        &self,
        credentials: &Credentials,
        method: Method,
        request_id: Option<String>,
    ) -> Result<Cookie<'static>, ApiProblem> {
        let no_randomness = |_| Problem::new(ProblemKind::Internal, "the operating system gives no random numbers");
        let (token, now) = (RandomToken::generate().map_err(no_randomness)?, self.clock.now());
        let (owner, lasts) = match credentials {
            Credentials::Key(key) => (Owner::Key(key.id), KEY_SESSION),
            Credentials::Token(token) => (Owner::Subject(token.clone()), SUBJECT_SESSION),
        };
        let session = StoredSession { owner, expires_at: now + lasts };
        let detail = SignedInDetail { method, expires_at: session.expires_at };
        let entry = self.entry(Action::ConsoleSignedIn, credentials, request_id).with_detail(&detail);
        self.store.create_session(token.hash(), &session, now, entry).await?;
        Ok(cookie(token.reveal().to_owned()))
    }

    /// Ends a session, and returns the cookie that replaces its own.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn end(&self, session: &Session, request_id: Option<String>) -> Result<Cookie<'static>, ApiProblem> {
        let entry = self.entry(Action::ConsoleSignedOut, &session.credentials, request_id);
        self.store.end_session(session.hash, entry).await?;
        let mut cookie = cookie(String::new());
        cookie.make_removal();
        Ok(cookie)
    }

    fn entry(&self, action: Action, credentials: &Credentials, request_id: Option<String>) -> Entry {
        let (id, now, actor) = (self.clock.new_id(), self.clock.now(), Actor::caller(&credentials.caller()));
        Entry { request_id, ..Entry::new(id, now, action, actor, Outcome::Succeeded) }
    }

    /// Deletes sessions and links whose time is over.
    ///
    /// # Errors
    /// If Postgres returns an error.
    pub async fn purge(&self) -> Result<(), sqlx::Error> {
        self.store.purge(self.clock.now()).await
    }
}

/// The browser forgets it when it is closed. Browsers treat addresses of this machine as safe, so that `Secure` also works there
/// without TLS.
fn cookie(value: String) -> Cookie<'static> {
    let mut cookie = Cookie::new(COOKIE, value);
    cookie.set_http_only(true);
    cookie.set_secure(true);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_path("/");
    cookie
}
