//! Two Postgres servers: a primary, and a standby that has every commit before the primary answers it.

use sqlx::{Connection as _, PgConnection};

use super::{Durability, Forwarder, Outage, Postgres, eventually};

/// `synchronous_commit` is left at `on`: a commit waits until the standby has it on disk. `remote_apply` would wait until
/// readers of the standby see it, and nobody reads there. The name of the cluster is the name under which a standby connects.
/// With `*` instead, the `pg_basebackup` that makes a standby counts as one.
const SYNCHRONOUS: &str = "cluster_name = 'ringback'\nsynchronous_standby_names = 'ANY 1 (ringback)'";
/// Of a primary that was just promoted and has no standby yet, as Patroni sets it without `synchronous_mode_strict`. It
/// answers commits alone, so it must not fail before it has a standby.
const ALONE: &str = "synchronous_standby_names = ''";

/// The servers, and the address that leads to the primary.
pub struct Cluster {
    primary: Postgres,
    standby: Postgres,
    forwarder: Forwarder,
}

impl Cluster {
    /// Starts both, with an empty database `ringback`.
    pub async fn start() -> Self {
        let primary = Postgres::start(Durability::Synced).await;
        let mut standby = Postgres::prepare(Durability::Synced);
        primary.configure(SYNCHRONOUS);
        standby.follow(&primary).await;
        primary.reload().await;
        let forwarder = Forwarder::start(primary.socket()).await;
        let cluster = Self { primary, standby, forwarder };
        cluster.wait_for_sync().await;
        cluster
    }

    /// The URL of the database `ringback` of whichever server is the primary.
    pub fn url(&self) -> String {
        format!("postgres://ringback@{}/ringback?sslmode=disable", self.forwarder.address)
    }

    /// Kills the primary with SIGKILL. Its clients see this outage until `promote`.
    pub async fn kill_primary(&mut self, outage: Outage) {
        if outage == Outage::Silent {
            self.forwarder.interrupt(outage);
        }
        self.primary.kill().await;
        self.forwarder.interrupt(outage);
    }

    /// Makes the standby the primary, which answers commits alone. The old one, which is dead, is the next standby.
    pub async fn promote(&mut self) {
        self.standby.configure(ALONE);
        self.standby.reload().await;
        self.standby.promote().await;
        std::mem::swap(&mut self.primary, &mut self.standby);
        self.forwarder.lead_to(self.primary.socket());
    }

    /// Makes the dead server a standby of the primary, and waits until commits wait for it and it has all earlier ones.
    pub async fn rebuild_standby(&mut self) {
        self.standby.follow(&self.primary).await;
        self.primary.configure(SYNCHRONOUS);
        self.primary.reload().await;
        self.wait_for_sync().await;
    }

    /// Kills the standby with SIGKILL: from now on no commit is answered.
    pub async fn kill_standby(&mut self) {
        self.standby.kill().await;
    }

    /// Starts the standby again.
    pub async fn restart_standby(&mut self) {
        self.standby.run().await;
        self.wait_for_sync().await;
    }

    async fn wait_for_sync(&self) {
        let url = self.primary.url();
        eventually("a synchronous standby", async || {
            let mut connection = PgConnection::connect(&url).await.map_err(|error| error.to_string())?;
            let states =
                "select coalesce(string_agg(state || ' ' || sync_state, ', '), 'none') from pg_stat_replication";
            let states: String = sqlx::query_scalar(states).fetch_one(&mut connection).await.unwrap();
            if !states.contains("streaming quorum") {
                return Err(states);
            }
            // This commit waits for the standby, which then has all earlier ones.
            let commit =
                sqlx::query("select pg_logical_emit_message(true, 'harness', '')").execute(&mut connection).await;
            commit.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}
