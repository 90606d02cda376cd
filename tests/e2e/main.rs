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
mod bad_answers;
mod breaker;
mod budget;
mod budget_ledger;
mod callbacks;
mod campaign_checks;
mod campaign_reads;
mod campaign_rules;
mod campaign_timing;
mod campaigns;
mod clock_skew;
mod command_audit;
mod commands;
mod configured_webhook;
mod convergence;
mod copies;
mod crashes;
mod cxone_faults;
mod database_roles;
mod edge;
mod failures;
#[path = "../harness/mod.rs"]
mod harness;
mod hold_rules;
mod holds;
mod intake;
mod openapi_examples;
mod openapi_limits;
mod operations;
mod outages;
mod outbound_proxy;
mod outcomes;
mod postgres_faults;
mod privacy;
mod programs;
mod receivers;
mod recovery;
mod refusals;
mod requests;
mod restrictions;
mod settings;
mod shared_commits;
mod superseded;
mod support;
mod surface;
mod token;
mod upgrade;
mod webhooks;
