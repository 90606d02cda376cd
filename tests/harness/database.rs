//! Databases, one for each test.

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!();
/// So that test binaries that run at the same time create one template.
const TEMPLATE_LOCK: i64 = 5_170_114_230_781;

/// A separate database. `drop` removes it.
pub struct Database {
    pub url: String,
    pub pool: PgPool,
    name: String,
    server: PgConnectOptions,
}

impl Database {
    /// A new database with the current schema, on the server of `DATABASE_URL`. It is copied from a template, which
    /// takes a tenth of the time that the migrations take; file by file, because the tests' server has its files in memory.
    pub async fn create() -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(create_template).await;
        Self::create_on(&server_url(), &format!("template {template} strategy file_copy")).await
    }

    /// A new database without any tables.
    pub async fn create_empty() -> Self {
        Self::create_on(&server_url(), "template template0").await
    }

    async fn create_on(server_url: &str, options: &str) -> Self {
        let server = parse(server_url);
        let name = format!("test_{}", Uuid::now_v7().simple());
        run(&server, &format!("create database {name} {options}")).await;
        Self::open(with_database(server_url, &name), name)
    }

    /// An existing database.
    pub fn open(url: String, name: String) -> Self {
        let server = parse(&url);
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(server.clone());
        Self { url, pool, name, server: server.database("postgres") }
    }

    /// Drops the database, and the connections that are still open.
    pub async fn drop(self) {
        self.pool.close().await;
        run(&self.server, &format!("drop database if exists {} with (force)", self.name)).await;
    }
}

/// Creates the template unless an earlier run has left it, and returns its name, which changes with the migrations.
async fn create_template() -> String {
    let server_url = server_url();
    let bytes = MIGRATIONS.iter().flat_map(|migration| migration.checksum.iter());
    let checksum = bytes.fold(0_u64, |hash, byte| hash.wrapping_mul(1_099_511_628_211) ^ u64::from(*byte));
    let name = format!("ringback_template_{checksum:016x}");
    let mut connection = PgConnection::connect_with(&parse(&server_url)).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await.unwrap();
    let exists = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
    let exists: bool = exists.bind(&name).fetch_one(&mut connection).await.unwrap();
    if !exists {
        // Renamed when it is complete, so that nobody copies it half-migrated.
        let unfinished = Database::create_on(&server_url, "template template0").await;
        ringback::db::migrate(&unfinished.pool.connect_options()).await.unwrap();
        unfinished.pool.close().await;
        run_on(&mut connection, &format!("alter database {} rename to {name}", unfinished.name)).await;
    }
    connection.close().await.unwrap();
    name
}

fn server_url() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL is not set: use make, which starts a Postgres")
}

fn parse(url: &str) -> PgConnectOptions {
    url.parse().expect("DATABASE_URL is a Postgres URL")
}

async fn run(server: &PgConnectOptions, statement: &str) {
    let mut connection = PgConnection::connect_with(server).await.unwrap();
    run_on(&mut connection, statement).await;
    connection.close().await.unwrap();
}

async fn run_on(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

/// The URL of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let (server, _) = address.rsplit_once('/').expect("DATABASE_URL names a database");
    query.map_or(format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}
