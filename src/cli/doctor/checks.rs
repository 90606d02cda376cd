//! The checks of `ringback doctor`. None changes anything, and none shows a secret or a phone number.

use std::fmt;
use std::time::Instant;

use jiff::SignedDuration;
use serde::Serialize;

use crate::campaigns::SettingsStore;
use crate::cli::cxone::of_service;
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::cxone::{Class, RequestContext};
use crate::db::{self, DatabaseRole, Db, SchemaError, SharedTime};
use crate::oidc;
use crate::trace::Traceparent;
use crate::webhooks::{self, Probe, WebhookStore};

/// A slower answer of Postgres delays every request, in milliseconds.
const SLOW_MS: f64 = 20.0;
/// A larger difference of the clocks is reported.
const TOLERATED: SignedDuration = SignedDuration::from_secs(1);
/// Statements that are timed; the fastest counts.
const TRIES: usize = 3;

/// The result of a check. The last is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// Nothing has to be done.
    Ok,
    /// The service works, and something should be changed.
    Warn,
    /// The service does not work, or a part of it.
    Fail,
}

/// What a check found, and what to do.
#[derive(Debug, Serialize)]
pub struct Finding {
    check: &'static str,
    pub status: Status,
    found: String,
    /// What to do; none if nothing has to be done.
    advice: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    pub fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}  {:<14}  {}", self.status.to_string(), self.check, self.found)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

/// Runs all checks. Those that need the database end where it cannot be used.
pub async fn run(settings: ServiceSettings) -> Vec<Finding> {
    let db = match db::connect(&settings.database, db::FEW_CONNECTIONS).await {
        Ok(db) => db.with_direct(&settings.direct_database),
        Err(error) => {
            let advice = "check DATABASE_URL, and that Postgres accepts connections from this machine";
            return vec![Finding::fail("database", error.to_string(), advice)];
        }
    };
    let mut findings = vec![latency(&db).await, limits(&db).await, role(&settings).await];
    let schema = schema(&settings).await;
    let is_usable = schema.status == Status::Ok;
    findings.push(schema);
    let machine = Clock::shifted(settings.clock_offset);
    findings.push(clock(&db, &machine).await);
    findings.extend(identity_provider(&settings, &machine).await);
    if is_usable {
        findings.extend(receivers(&db, &settings, &machine).await);
        findings.extend(shared_skills(&db).await);
        findings.extend(cxone(settings, &db, machine).await);
    } else {
        findings.push(Finding::warn("CXone", "not checked", "bring the schema up to date first"));
    }
    db.close().await;
    findings
}

async fn latency(db: &Db) -> Finding {
    let mut fastest = f64::INFINITY;
    for _ in 0..TRIES {
        let asked_at = Instant::now();
        if let Err(error) = sqlx::query_scalar!("select 1").fetch_one(db).await {
            return Finding::fail("database", error.to_string(), "check the log of Postgres");
        }
        fastest = fastest.min(asked_at.elapsed().as_secs_f64() * 1000.0);
    }
    let found = format!("answers within {fastest:.1} ms");
    if fastest > SLOW_MS {
        return Finding::warn("database", found, "run the service close to Postgres, or find out why it is slow");
    }
    Finding::ok("database", found)
}

async fn limits(db: &Db) -> Finding {
    match db::missing_limits(db).await {
        Ok(missing) if missing.is_empty() => {
            Finding::ok("limits", "Postgres limits statements, transactions and locks")
        }
        Ok(missing) => Finding::warn(
            "limits",
            format!("not set: {}", missing.join(", ")),
            "set them for the role of the service: docs/scaling.md, PgBouncer",
        ),
        Err(error) => Finding::fail("limits", error.to_string(), "check the log of Postgres"),
    }
}

async fn role(settings: &ServiceSettings) -> Finding {
    match db::database_role(&settings.direct_database).await {
        Ok(DatabaseRole::Application) => Finding::ok("database role", "cannot change the audit log"),
        Ok(DatabaseRole::Owner) => Finding::warn(
            "database role",
            "owns the tables and could change the audit log",
            "run the service as another role: see docs/database-roles.sql",
        ),
        Err(error) => Finding::fail("database role", with_causes(error), "check the log of Postgres"),
    }
}

async fn schema(settings: &ServiceSettings) -> Finding {
    match db::check_schema(&settings.direct_database).await {
        Ok(()) => Finding::ok("schema", "has the version of this program"),
        Err(error) => {
            let advice = "run `ringback migrate`, or the version of Ringback that fits the schema";
            Finding::fail("schema", with_causes(error), advice)
        }
    }
}

fn with_causes(error: SchemaError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

async fn clock(db: &Db, machine: &Clock) -> Finding {
    let time = match SharedTime::follow(db, machine.clone()).await {
        Ok(time) => time,
        Err(error) => return Finding::fail("clock", error.to_string(), "check the log of Postgres"),
    };
    let offset = machine.now().duration_since(time.clock().now());
    let found = format!("{:.3} s from that of Postgres", offset.as_secs_f64());
    if offset.abs() > TOLERATED {
        return Finding::warn(
            "clock",
            found,
            "synchronise the clocks of both machines; the service uses that of Postgres",
        );
    }
    Finding::ok("clock", found)
}

async fn identity_provider(settings: &ServiceSettings, clock: &Clock) -> Option<Finding> {
    const CHECK: &str = "tokens";
    let oidc = settings.oidc.as_ref()?;
    let issuer = oidc.issuer.as_str();
    let probe = match oidc::probe(oidc, settings.outbound_proxy.as_ref(), clock).await {
        Ok(probe) => probe,
        Err(error) => {
            let advice =
                "check OIDC_ISSUER, which must be exactly as the provider has it, OUTBOUND_PROXY_URL and the firewall";
            return Some(Finding::fail(CHECK, format!("{issuer}: {error}"), advice));
        }
    };
    let found = format!("{issuer}: keys that verify tokens: {}, others: {}", probe.keys, probe.ignored);
    let offset = probe.clock_offset.filter(|offset| offset.abs() > oidc::LEEWAY);
    Some(offset.map_or_else(
        || Finding::ok(CHECK, found),
        |offset| {
            let found = format!("the clock of {issuer} is {} s ahead of this machine", offset.as_secs());
            Finding::warn(CHECK, found, "synchronise the clocks: tokens are refused as expired or not valid yet")
        },
    ))
}

async fn receivers(db: &Db, settings: &ServiceSettings, clock: &Clock) -> Vec<Finding> {
    match webhooks::probe(&WebhookStore::new(db.clone()), &settings.webhooks, clock).await {
        Ok(probes) if probes.is_empty() => vec![Finding::ok("webhooks", "there are no endpoints")],
        Ok(probes) => probes.into_iter().map(receiver).collect(),
        Err(error) => vec![Finding::fail("webhooks", error.to_string(), "check the log of Postgres")],
    }
}

fn receiver(probe: Probe) -> Finding {
    let host = probe.host;
    match (probe.result, probe.disabled) {
        (_, Some(reason)) => {
            let advice = "correct the receiver, then enable the endpoint";
            Finding::warn("webhooks", format!("the endpoint at {host} is disabled: {reason}"), advice)
        }
        (Err(error), None) => {
            let advice = "check its address, its certificate and the firewall";
            Finding::fail("webhooks", format!("{host} cannot be reached: {error}"), advice)
        }
        (Ok(_), None) if probe.lacks_key => {
            Finding::fail("webhooks", format!("events for {host} cannot be signed"), "set ENCRYPTION_KEY")
        }
        (Ok(status), None) => Finding::ok("webhooks", format!("{host} can be reached (HEAD: {status})")),
    }
}

/// The resume of one campaign starts its skills, also while another one that has them is held.
async fn shared_skills(db: &Db) -> Vec<Finding> {
    const CHECK: &str = "skills";
    match SettingsStore::new(db.clone()).shared_skills().await {
        Ok(shared) => {
            let finding = |(skill, campaigns): (i64, Vec<String>)| {
                let found = format!("skill {skill} is in the settings of {}", campaigns.join(", "));
                let advice = "give it to one campaign: a resume of one starts it while another is held";
                Finding::warn(CHECK, found, advice)
            };
            shared.into_iter().map(finding).collect()
        }
        Err(error) => vec![Finding::fail(CHECK, error.to_string(), "check the log of Postgres")],
    }
}

async fn cxone(settings: ServiceSettings, db: &Db, clock: Clock) -> Vec<Finding> {
    let trace = Traceparent::root(clock.new_id());
    let cxone = match of_service(settings, db, clock) {
        Ok(cxone) => cxone,
        Err(error) => return vec![Finding::fail("CXone", error.to_string(), "check OUTBOUND_PROXY_URL")],
    };
    let checks = cxone.check(RequestContext { class: Class::Background, trace: &trace }).await;
    let findings = checks.into_iter().map(|check| match check.result {
        Ok(found) => Finding::ok("CXone", format!("{}: {found}", check.name)),
        Err(error) => {
            let advice = "check the CXONE_ settings, and the permissions of the client in CXone";
            Finding::fail("CXone", format!("{}: {error}", check.name), advice)
        }
    });
    findings.collect()
}
