-- Stores new callbacks and their audit entries, and returns the ids of those that were stored. The arrays have one element
-- for each callback. A callback is left out where the id exists, where the number has an open callback for the campaign in
-- an overlapping window, and where it is an item of a batch and the API key has an open callback with its external id.
with given as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[],
        $7::text[], $8::text[], $9::jsonb[], $10::uuid[], $11::boolean[], $12::integer[], $13::timestamptz[],
        $14::text[], $15::text[], $16::timestamptz[], $17::uuid[], $18::timestamptz[], $19::text[], $20::text[],
        $21::text[], $22::bigint[], $23::jsonb[])
        as r(id, phone_number, campaign_id, requested_start, requested_end, language, timezone, external_id, metadata,
            created_by, in_batch, attempts, due_at, request_id, traceparent, created_at, entry_id, entry_timestamp,
            actor_type, actor_id, actor_name, latency_ms, detail)
    where not (r.in_batch and r.external_id is not null and exists (
        select from callbacks as c
        where c.external_id = r.external_id and c.created_by = r.created_by and c.status in ('accepted', 'scheduled')
    ))
),
inserted as (
    insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, timezone,
        external_id, metadata, created_by, in_batch, confirmation, attempts, due_at, request_id, traceparent, created_at,
        updated_at)
    select id, 'accepted', phone_number, campaign_id, requested_start, requested_end, language, timezone, external_id,
        metadata, created_by, in_batch, 'pending', attempts, due_at, request_id, traceparent, created_at, created_at
    from given
    on conflict do nothing
    returning id
)
insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id, callback_id,
    new_state, latency_ms, request_id, detail)
select g.entry_id, g.entry_timestamp, 'callback.accepted', g.actor_type, g.actor_id, g.actor_name, 'succeeded',
    g.campaign_id, g.id, 'accepted', g.latency_ms, g.request_id, g.detail
from given as g join inserted using (id)
returning callback_id as "id!"
