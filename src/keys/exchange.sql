-- Adds the requests $3 of the keys $1, which were last used at $2, and returns what all replicas have accepted of these keys and of
-- the keys $4. A last use that is less than a minute newer is not written, unless there are requests to add. The keys are in order,
-- so that replicas do not wait for each other in a circle.
with given as (
    select * from unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) as g(key_id, last_used_at, requests)
),
stored as (
    insert into api_key_usage as known (key_id, last_used_at, requests)
    select key_id, last_used_at, requests from given order by key_id
    on conflict (key_id) do update
        set last_used_at = greatest(known.last_used_at, excluded.last_used_at), requests = known.requests + excluded.requests
        where excluded.requests > 0 or known.last_used_at < excluded.last_used_at - interval '55 seconds'
    returning key_id, requests
)
select key_id as "key_id!", requests as "requests!" from stored
union all
select key_id, requests from api_key_usage where key_id = any($4::uuid[])
