//! The real binary against a real Postgres and the CXone simulator, over real sockets.
//!
//! Each test has its own database, simulator and service. `make test` starts the Postgres server.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod answer_rate_rules;
mod answer_rates;
mod audit;
mod audit_completeness;
mod audit_exports;
mod audit_log;
mod backup;
mod callbacks;
mod campaign_checks;
mod campaign_reads;
mod campaign_rules;
mod campaigns;
mod command_audit;
mod commands;
mod configured_webhook;
mod console_audit;
mod console_callbacks;
mod console_campaigns;
mod console_live;
mod console_oidc;
mod console_overview;
mod console_session;
mod console_webhooks;
mod convergence;
mod copies;
mod crashes;
mod cxone_faults;
mod database_roles;
mod documents;
mod edge;
mod failures;
#[path = "../harness/mod.rs"]
mod harness;
mod hold_rules;
mod holds;
mod intake;
mod keys;
mod listeners;
mod metrics;
mod nice;
mod nice_answer_rates;
mod nice_changes;
mod nice_forecast;
mod nice_skills;
mod oidc;
mod openapi_examples;
mod openapi_limits;
mod operations;
mod outages;
mod outbound_proxy;
mod pgbouncer;
mod placement;
mod postgres_faults;
mod printed_secrets;
mod privacy;
mod receivers;
mod recovery;
mod refusals;
mod requests;
mod reschedule;
mod restrictions;
mod settings;
mod slots;
mod slow;
mod statistics;
mod superseded;
mod support;
mod surface;
mod traces;
mod upgrade;
mod webhooks;
