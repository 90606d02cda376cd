use super::*;
use crate::types::Interval;

/// Accepted at 14:00, for windows from 15:00 to 17:00.
async fn count(store: &CallbackStore, campaigns: &AllowedCampaigns, now: &str) -> CallbackCounts {
    let span = Interval { start: at("14:00:00"), end: at("14:00:01") };
    store.counts(campaigns, span, at(now)).await.unwrap()
}

/// Ends callback number `n` in another way than by the model.
async fn end(pool: &PgPool, n: u16, change: &'static str) {
    let sql = format!("update callbacks set due_at = null, contact_id = null, {change} where id = $1");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(accepted(n).id).execute(pool).await.unwrap();
}

/// What CXone reports about the call of callback number `n`.
async fn report(pool: &PgPool, n: u16, status: &str, called_at: Option<&str>) {
    let called_at = called_at.map(|time| at(time).to_sqlx());
    let sql = "update callbacks set outcome_status = $2, called_at = $3, outcome_contact_id = case when $3 is not null then '1' end
        where id = $1";
    sqlx::query(sql).bind(accepted(n).id).bind(status).bind(called_at).execute(pool).await.unwrap();
}

#[sqlx::test]
async fn callbacks_are_counted_by_state_and_their_promises_by_what_became_of_them(pool: PgPool) {
    let store = store(&pool);
    let scheduled: Vec<_> = (0..8).map(|n| scheduled(n, "15:30:00")).collect();
    put(&store, &scheduled).await;
    insert(&store, &[accepted(8), accepted(9), accepted(10), accepted(11)]).await;
    // The first has no outcome: CXone reports none.
    report(&pool, 1, "pending", None).await;
    report(&pool, 2, "reached", Some("17:00:00")).await;
    report(&pool, 3, "not-reached", Some("16:00:00")).await;
    report(&pool, 4, "called", Some("17:00:01")).await;
    report(&pool, 5, "missing", None).await;
    report(&pool, 6, "agent-only", Some("16:00:00")).await;
    report(&pool, 7, "called", Some("15:31:00")).await;
    end(&pool, 8, "status = 'failed', failure_code = 'cxone-rejected', failure_detail = ''").await;
    end(&pool, 9, "status = 'expired', failure_code = 'window-passed', failure_detail = ''").await;
    end(&pool, 10, "status = 'cancelled'").await;

    let counts = count(&store, &AllowedCampaigns::all(), "16:59:59").await;

    let promises = PromiseResults { kept: 3, late: 1, missed: 4, open: 3 };
    assert_eq!(counts, CallbackCounts { accepted: 1, scheduled: 8, failed: 1, expired: 1, cancelled: 1, promises });
    // CXone had the contact until the window ended.
    let later = count(&store, &AllowedCampaigns::all(), "17:00:00").await;
    assert_eq!(later.promises, PromiseResults { kept: 4, open: 2, ..promises });
}

#[sqlx::test]
async fn only_callbacks_of_the_span_and_the_campaigns_are_counted(pool: PgPool) {
    let store = store(&pool);
    let other = Callback { campaign_id: CampaignId::parse("other").unwrap(), ..accepted(1) };
    let created_at = at("14:00:01");
    let later = Callback { created_at, updated_at: created_at, ..accepted(2) };
    insert(&store, &[accepted(0), other, later]).await;
    let only = |id| AllowedCampaigns::only(CampaignId::parse(id));
    for (campaigns, expected) in [(AllowedCampaigns::all(), 2), (only("other"), 1), (only("none"), 0)] {
        assert_eq!(count(&store, &campaigns, "14:00:02").await.accepted, expected, "{campaigns:?}");
    }
}
