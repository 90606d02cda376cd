-- Stores new callbacks and their audit entries, and returns the ids of those that were stored. The arrays have one element
-- for each callback. A callback is left out where the id exists, where the number has an open callback for the campaign in
-- an overlapping window, and where it is an item of a batch and the API key has an open callback with its external id.
-- `(select $1)` hides from the planner how long the arrays are. So it plans once for each connection, and not for each
-- statement, which takes longer than to store a few callbacks.
with given as (
    select * from unnest((select $1::uuid[]), (select $2::text[]), (select $3::text[]), (select $4::timestamptz[]),
        (select $5::timestamptz[]), (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $9::jsonb[]),
        (select $10::uuid[]), (select $11::boolean[]), (select $12::integer[]), (select $13::timestamptz[]),
        (select $14::text[]), (select $15::text[]), (select $16::timestamptz[]), (select $17::uuid[]),
        (select $18::timestamptz[]), (select $19::text[]), (select $20::text[]), (select $21::text[]),
        (select $22::bigint[]), (select $23::jsonb[]))
        as r(id, phone_number, campaign_id, requested_start, requested_end, language, timezone, external_id, metadata,
            created_by, in_batch, attempts, due_at, request_id, traceparent, created_at, entry_id, entry_timestamp,
            actor_type, actor_id, actor_name, latency_ms, detail)
    where not (r.in_batch and r.external_id is not null and exists (
        select from callbacks as c
        where c.external_id = r.external_id and c.created_by = r.created_by and c.status in ('accepted', 'scheduled')
    ))
),
-- Nearly all are the only open callback of their number for their campaign, and nothing need be looked up.
alone as (
    insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, timezone,
        external_id, metadata, created_by, in_batch, confirmation, attempts, due_at, request_id, traceparent, created_at,
        updated_at, among_open)
    select id, 'accepted', phone_number, campaign_id, requested_start, requested_end, language, timezone, external_id,
        metadata, created_by, in_batch, 'pending', attempts, due_at, request_id, traceparent, created_at, created_at, 'only'
    from given
    on conflict do nothing
    returning id, phone_number, campaign_id
),
-- Those of numbers with others, in other windows. A trigger sets `among_open`. The comparison of counts is made once.
further as (
    insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, timezone,
        external_id, metadata, created_by, in_batch, confirmation, attempts, due_at, request_id, traceparent, created_at,
        updated_at)
    select id, 'accepted', phone_number, campaign_id, requested_start, requested_end, language, timezone, external_id,
        metadata, created_by, in_batch, 'pending', attempts, due_at, request_id, traceparent, created_at, created_at
    from given
    where (select count(*) from alone) < (select count(*) from given)
      and (phone_number, campaign_id) not in (select phone_number, campaign_id from alone)
      and not exists (select from open_callbacks_in(phone_number, campaign_id, tstzrange(requested_start, requested_end)))
    on conflict do nothing
    returning id
)
insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id, callback_id,
    new_state, latency_ms, request_id, detail)
select g.entry_id, g.entry_timestamp, 'callback.accepted', g.actor_type, g.actor_id, g.actor_name, 'succeeded',
    g.campaign_id, g.id, 'accepted', g.latency_ms, g.request_id, g.detail
from given as g join (select id from alone union all select id from further) as inserted using (id)
returning callback_id as "id!"
