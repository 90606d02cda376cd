-- The entries after the settled ones ($1) that have no leaf yet, at most $2. Few of those after $1 are sealed: the first entries
-- after $1, as many as are sealed and as are wanted, contain what is wanted.
with sealed as materialized (
    select s.seq from audit_log_leaves as l cross join unnest(l.seqs) as s(seq) where l.last_seq > $1 and s.seq > $1
),
next as (
    select * from audit_entries where seq > $1 order by seq limit $2::bigint + (select count(*) from sealed)
)
select seq as "seq!", id as "id!", "timestamp" as "timestamp!", action as "action!",
    actor_type as "actor_type!: ActorType", actor_id as "actor_id!", actor_name as "actor_name!",
    outcome as "outcome!: Outcome", campaign_id, callback_id, previous_state, new_state, latency_ms, call_volume_before,
    call_volume_after, answer_rate, compliance_hold, triggered_by, request_id, detail as "detail!"
from next
where not exists (select from sealed where sealed.seq = next.seq)
order by seq
limit $2
