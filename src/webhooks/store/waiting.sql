-- What waits, of endpoints that are neither deleted nor disabled. Due are only deliveries that could be claimed, which claim.sql
-- finds in the same way: the first one of each endpoint and campaign. Nothing of a receiver that fails counts as due. Once it works
-- again, its deliveries count from the time of their events, which may be hours ago. So do those of a receiver that responds, but
-- to fewer than arrive.
with recursive firsts as (
    (select endpoint_id, campaign_id, due_at from webhook_deliveries where status = 'pending'
     order by endpoint_id, campaign_id, event_seq limit 1)
    union all
    select next.endpoint_id, next.campaign_id, next.due_at
    from firsts as f cross join lateral (
        select d.endpoint_id, d.campaign_id, d.due_at from webhook_deliveries as d
        where d.status = 'pending' and (d.endpoint_id, d.campaign_id) > (f.endpoint_id, f.campaign_id)
        order by d.endpoint_id, d.campaign_id, d.event_seq limit 1
    ) as next
),
due as (
    select count(*) as count, min(f.due_at) as since
    from firsts as f join webhook_endpoints as e on e.id = f.endpoint_id
    where f.due_at <= $1 and e.deleted_at is null and e.disabled_at is null and e.failing_since is null
),
pending as (
    select count(*) as count, min(created_at) as oldest from (
        select d.created_at from webhook_deliveries as d join webhook_endpoints as e on e.id = d.endpoint_id
        where d.status = 'pending' and e.deleted_at is null and e.disabled_at is null
        order by d.due_at limit $2
    ) as kept
)
select pending.count as "pending!", pending.oldest as "oldest?", due.count as "due!", due.since as "due_since?"
from pending, due
