-- Why callbacks were not stored: the callback itself, which an earlier run has stored, or the open one that it conflicts with.
select r.id as "id!", found.id as "existing!", found.same_external_id as "same_external_id!"
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::uuid[],
    $8::boolean[])
    as r(id, phone_number, campaign_id, requested_start, requested_end, external_id, created_by, in_batch)
cross join lateral (
    select id, false as same_external_id from callbacks where id = r.id
    union all
    (select id, true from callbacks
     where r.in_batch and external_id = r.external_id and created_by = r.created_by
       and status in ('accepted', 'scheduled')
     order by created_at, id limit 1)
    union all
    select open_id, false
    from open_callbacks_in(r.phone_number, r.campaign_id, tstzrange(r.requested_start, r.requested_end)) as open_id
    limit 1
) as found
