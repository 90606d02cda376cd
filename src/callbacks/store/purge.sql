-- Deletes at most $2 callbacks that ended before $1, oldest first, and records their number in the detail of the entry $3.
with ended as (
    select id from callbacks
    where created_at < $1 and updated_at < $1 and requested_end < $1 and due_at is null
    order by created_at limit $2
    for update skip locked
),
gone as (
    delete from callbacks where id in (select id from ended) returning id
),
counted as (
    select count(*) as deleted from gone
)
select deleted as "deleted!", audit_record(case when deleted > 0 then
    jsonb_set($3, '{detail}', jsonb_build_object('callbacks', deleted, 'before', $1)) end) as recorded
from counted
