-- A loose index scan finds the first pending delivery of each endpoint and campaign, so that a long queue of an endpoint that
-- does not respond costs nothing.
with recursive firsts as (
    (select endpoint_id, campaign_id, id from webhook_deliveries where status = 'pending'
     order by endpoint_id, campaign_id, event_seq limit 1)
    union all
    select next.endpoint_id, next.campaign_id, next.id
    from firsts as f cross join lateral (
        select d.endpoint_id, d.campaign_id, d.id from webhook_deliveries as d
        where d.status = 'pending' and (d.endpoint_id, d.campaign_id) > (f.endpoint_id, f.campaign_id)
        order by d.endpoint_id, d.campaign_id, d.event_seq limit 1
    ) as next
),
claimed as (
    update webhook_deliveries set due_at = $2, claims = claims + 1
    where id = (
        select d.id from firsts
        join webhook_deliveries as d using (id)
        join webhook_endpoints as e on e.id = d.endpoint_id
        where d.status = 'pending' and d.due_at <= $1 and d.endpoint_id <> all($3)
          and e.deleted_at is null and e.disabled_at is null and (not e.is_configured or e.url = $4)
        order by (e.failing_since is not null), d.due_at, d.event_seq
        limit 1 for update of d skip locked
    )
    returning id, claims, attempts, event_seq, endpoint_id
)
select c.id, c.claims, c.attempts, v.id as event_id, v.body, v.traceparent, e.id as endpoint_id, e.url, e.is_configured,
    e.secret, e.failing_since,
    array(
        select p.secret from webhook_previous_secrets as p
        where p.endpoint_id = e.id and p.valid_until > $1 order by p.valid_until
    ) as "previous_secrets!"
from claimed as c
join webhook_events as v on v.seq = c.event_seq
join webhook_endpoints as e on e.id = c.endpoint_id
