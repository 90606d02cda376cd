//! What the machine itself can do: a route that only echoes, and the same inserts in large batches.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use jiff::SignedDuration;
use jiff_sqlx::ToSqlx as _;
use ringback::clock::Clock;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::support::Outcome;
use super::support::report;
use super::support::wire::{Target, sustained};
use crate::harness::Database;

const LASTING: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 64;
/// Connections to Postgres, and the rows of each insert.
const WRITERS: u32 = 2;
const ROWS: u32 = 1000;

/// Prints the limit: 1 / (1/H + 1/B), for H echoed requests a second and B inserted rows a second.
pub async fn print() -> Outcome {
    report::part("the limit of this machine");
    let (echoed, inserted) = (echo().await?, inserts().await?);
    report::number_per_second("requests that an axum route only echoes", echoed);
    report::number_per_second("rows that the same inserts store in large batches", inserted);
    report::number_per_second("half of the limit of both together", 0.5 / (1.0 / echoed + 1.0 / inserted));
    Ok(())
}

async fn echo() -> Outcome<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let target = Target {
        address: listener.local_addr()?,
        path: "/",
        key: "none".into(),
        window: ("2026-11-20T15:00:00Z".into(), "2026-11-20T17:00:00Z".into()),
        next: Arc::default(),
    };
    let router = Router::new().route("/", post(async |body: Bytes| body));
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    let load = sustained(&target, LASTING, CONNECTIONS, Target::payload).await?;
    server.abort();
    Ok(load.rate())
}

async fn inserts() -> Outcome<f64> {
    let database = Database::create_empty().await;
    ringback::db::migrate(&database.pool.connect_options()).await?;
    let (started_at, mut writers) = (Instant::now(), JoinSet::new());
    for writer in 0..WRITERS {
        let pool = database.pool.clone();
        writers.spawn(async move {
            let mut rows = 0_u32;
            while started_at.elapsed() < LASTING {
                insert(&pool, writer * 1_000_000 + rows).await?;
                rows += ROWS;
            }
            anyhow::Ok(rows)
        });
    }
    let rows: u32 = writers.join_all().await.into_iter().sum::<Outcome<u32>>()?;
    let rate = f64::from(rows) / started_at.elapsed().as_secs_f64();
    database.drop().await;
    Ok(rate)
}

/// Runs the service's own statement.
async fn insert(pool: &PgPool, first: u32) -> Outcome {
    let clock = Clock::system();
    let (now, ids) = (clock.now(), || (0..ROWS).map(|_| clock.new_id()).collect::<Vec<_>>());
    let each = |text: &str| vec![text.to_owned(); ROWS as usize];
    let none = vec![None::<String>; ROWS as usize];
    let at = |hours| vec![(now + SignedDuration::from_hours(hours)).to_sqlx(); ROWS as usize];
    let phone_number = |n| format!("+1212{:07}", 2_000_000 + first + n);
    sqlx::query(include_str!("../../src/callbacks/store/insert.sql"))
        .bind(ids())
        .bind((0..ROWS).map(phone_number).collect::<Vec<_>>())
        .bind(each("a1b2c3d4-e5f6-7890-abcd-ef1234567890"))
        .bind(at(2))
        .bind(at(4))
        .bind(each("en-US"))
        .bind(&none)
        .bind(&none)
        .bind(vec![None::<serde_json::Value>; ROWS as usize])
        .bind(vec![uuid::Uuid::nil(); ROWS as usize])
        .bind(vec![false; ROWS as usize])
        .bind(vec![0_i32; ROWS as usize])
        .bind(at(0))
        .bind(each("01a1fcff-84aa-720d-83ca-60abacb44d8c"))
        .bind(each("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
        .bind(at(0))
        .bind(ids())
        .bind(at(0))
        .bind(each("api_key"))
        .bind(each("01a1fcff-84aa-720d-83ca-60abacb44d8c"))
        .bind(each("bench"))
        .bind(vec![1_i64; ROWS as usize])
        .bind(vec![serde_json::json!({"attempts": 0, "phoneNumber": "+1212•••0198"}); ROWS as usize])
        .execute(pool)
        .await?;
    Ok(())
}
