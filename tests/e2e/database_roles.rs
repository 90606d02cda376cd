//! The service as a database role that cannot change the audit log.

use std::process::Stdio;

use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    BINARY, Cxone, Database, Service, World, create_key_with, eventually, http_client, payload_from, serve,
};

const SETTINGS: [(&str, &str); 1] = [("AUDIT_SIGNING_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];

/// The URL of the database for a role of the service, which logs in.
async fn url_of_service(database: &Database) -> String {
    sqlx::raw_sql(include_str!("../../docs/database-roles.sql")).execute(&database.pool).await.unwrap();
    let mut url: url::Url = database.url.parse().unwrap();
    let role = format!("service_of_{}", url.path().trim_start_matches('/'));
    database.run(&format!("create role {role} login in role ringback_service")).await;
    url.set_username(&role).unwrap();
    url.to_string()
}

async fn drop_role(database: &Database, url: &str) {
    let url: url::Url = url.parse().unwrap();
    let sessions = format!("from pg_stat_activity where usename = '{}'", url.username());
    eventually("the end of its sessions, and of their temporary tables", async || {
        let open = database.count(&sessions).await;
        if open == 0 { Ok(()) } else { Err(format!("{open} are open")) }
    })
    .await;
    database.run(&format!("drop role {}", url.username())).await;
}

#[tokio::test]
async fn the_role_of_the_service_does_all_its_work_and_cannot_change_the_audit_log() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let url = url_of_service(&database).await;
    let service = Service::at(&url, &cxone, &SETTINGS).await;
    let key = create_key_with(BINARY.as_ref(), &url, &["callbacks:write", "callbacks:read", "audit:read"]).await;
    let world = World { database, cxone, service, key, http: http_client() };
    assert_eq!(world.ask(&payload_from(1)).await.0, 201);
    eventually("a sealed log", async || {
        let verification = world.get("/v1/audit/verification").await;
        let all = verification["sealed"] == verification["entries"] && verification["valid"] == true;
        if all { Ok(()) } else { Err(verification.to_string()) }
    })
    .await;

    let pool = PgPool::connect(&url).await.unwrap();
    for sql in [
        "update audit_entries set actor_name = 'somebody else'",
        "delete from audit_entries",
        "truncate audit_entries",
        "alter table audit_entries disable trigger all",
        "alter table audit_entries detach partition audit_entries_first",
        "drop table audit_entries",
        "drop table audit_entries_first",
        "delete from audit_entries_first",
        "insert into audit_entries_first select * from audit_entries",
        "update audit_retention set days = 0",
        "select audit_expire_before(now())",
        "insert into audit_entries (id, \"timestamp\", action, actor_type, actor_id, actor_name, outcome)
         values (gen_random_uuid(), now(), 'audit.expired', 'system', 'retention', 'ringback', 'succeeded')",
        "drop trigger audit_entries_append_only on audit_entries",
        "create or replace function audit_refuse_change() returns trigger language plpgsql as 'begin return null; end'",
        "set session_replication_role = replica",
        "update audit_checkpoints set root = root",
        "delete from audit_checkpoints",
        "update audit_log_tiles set hashes = substr(hashes, 33)",
        "delete from audit_log_tiles",
        "delete from audit_log_leaves",
        "truncate audit_log_leaves",
        "update audit_log_head set size = 0",
        "delete from audit_log_head",
        "alter table audit_log_head disable trigger all",
        "update _sqlx_migrations set version = 1",
        "create table other (id int)",
    ] {
        let error = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{sql}: {error}");
    }
    // The retention of the owner decides, not a table of the caller with the same name.
    sqlx::raw_sql("create temporary table audit_retention as select true as id, 0 as days; select audit_expire()")
        .execute(&pool)
        .await
        .unwrap();
    let partitions: i64 = sqlx::query_scalar("select count(*) from audit_partitions").fetch_one(&pool).await.unwrap();
    assert_eq!(partitions, 4);
    sqlx::raw_sql("select audit_create_partitions(), audit_thin_checkpoints(10)").execute(&pool).await.unwrap();
    pool.close().await;
    world.service.kill().await;
    drop_role(&world.database, &url).await;
    world.database.drop().await;
}

#[tokio::test]
async fn a_service_that_may_not_migrate_refuses_a_schema_of_another_version() {
    let (database, cxone) = (Database::create().await, Cxone::start().await);
    let url = url_of_service(&database).await;
    database
        .run("update _sqlx_migrations set success = false where version = (select max(version) from _sqlx_migrations)")
        .await;
    let output = serve(&url, &cxone.base_url, &SETTINGS).stderr(Stdio::piped()).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("run `ringback migrate` as the owner of the tables"), "{said}");
    drop_role(&database, &url).await;
    database.drop().await;
}
