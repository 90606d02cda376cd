-- How many entries have no leaf yet, at most $1, and the time of the oldest. Like unsealed.sql.
with head as materialized (
    select settled_seq from audit_log_head
),
sealed as materialized (
    select s.seq from head, audit_log_leaves as l cross join unnest(l.seqs) as s(seq)
    where l.last_seq > head.settled_seq and s.seq > head.settled_seq
),
next as (
    select seq, "timestamp" from audit_entries where seq > (select settled_seq from head)
    order by seq limit $1::bigint + (select count(*) from sealed)
),
unsealed as (
    select "timestamp" from next where not exists (select from sealed where sealed.seq = next.seq) limit $1
)
select count(*) as "count!", min("timestamp") as oldest from unsealed
