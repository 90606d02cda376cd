-- A page of the entries that match a filter, newest first. A parameter that is null matches every entry. Postgres plans the
-- query for its parameters, so that a condition that is null costs nothing.
--
-- An actor's id and name have an index each: hence the two branches. Only a query without a rare value says `seq > 0`, and so can
-- use audit_entries_by_time: for any other, Postgres might pass over millions of entries there.
with matching as not materialized (
    select * from audit_entries
    where ($1::text is null or campaign_id = $1)
      and ($2::uuid is null or callback_id = $2)
      and ($3::text is null or action = $3)
      and ($5::text is null or outcome = $5)
      and ($6::timestamptz is null or "timestamp" >= $6)
      and ($7::timestamptz is null or "timestamp" < $7)
      and ($8::timestamptz is null or ("timestamp" <= $8 and ("timestamp", seq) < ($8, $9::bigint)))
      and (not $10::boolean or seq > 0)
      and ($12::text[] is null or campaign_id = any($12))
)
select seq as "seq!", id as "id!", "timestamp" as "timestamp!", action as "action!",
    actor_type as "actor_type!: ActorType", actor_id as "actor_id!", actor_name as "actor_name!",
    outcome as "outcome!: Outcome", campaign_id, callback_id, previous_state, new_state, latency_ms,
    call_volume_before, call_volume_after, answer_rate, compliance_hold, triggered_by, request_id,
    detail as "detail!"
from (
    (select * from matching where $4::text is null or actor_id = $4
     order by "timestamp" desc, seq desc limit $11)
    union all
    (select * from matching where actor_name = $4 and actor_id <> $4
     order by "timestamp" desc, seq desc limit $11)
) as found
order by "timestamp" desc, seq desc
limit $11
