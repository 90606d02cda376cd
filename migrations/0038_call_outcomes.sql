-- What became of the call of a callback, where CXone reports it. Null where it does not.
alter table callbacks
    add column outcome_status text,
    add column outcome_contact_id text,
    add column called_at timestamptz,
    add column agent_seconds integer,
    add column disposition text,
    add column skill_id bigint,
    add column recheck_at timestamptz,
    -- The next migration checks the callbacks that exist, without a lock that stops writers.
    add constraint outcome_status_known check (
        outcome_status in ('pending', 'called', 'reached', 'not-reached', 'agent-only', 'missing')
    ) not valid,
    add constraint call_has_outcome check (
        (called_at is not null) = (coalesce(outcome_status, 'pending') not in ('pending', 'missing'))
        and (outcome_contact_id is not null) = (called_at is not null)
        and (called_at is not null or (agent_seconds is null and disposition is null))
    ) not valid;

comment on column callbacks.skill_id is 'The skill of CXone that makes the call, once it is known.';
comment on column callbacks.recheck_at is 'When CXone is asked whether it has the contact twice.';

-- Have no callbacks where CXone reports no outcomes.
create index callbacks_with_pending_outcome on callbacks (requested_end) where outcome_status = 'pending';
create index callbacks_with_outcome_that_may_change on callbacks (dispatch_time)
    where outcome_status in ('called', 'not-reached', 'agent-only', 'missing');
create index callbacks_to_recheck on callbacks (recheck_at) where recheck_at is not null;
-- CXone may have their contacts without having confirmed them.
create index callbacks_expired_in_doubt on callbacks (dispatch_time) where status = 'expired' and dispatch_time is not null;

create table callback_outcome_poll (
    only_one             boolean     primary key default true check (only_one),
    -- The calls that changed since then are read next, without the first ones.
    updated_since        timestamptz,
    skip                 integer     not null default 0 check (skip >= 0),
    -- Replaces updated_since after the last page.
    next_since           timestamptz,
    dispositions         jsonb,
    dispositions_read_at timestamptz,
    due_at               timestamptz not null default '-infinity',
    lease                uuid
);
comment on table callback_outcome_poll is 'How far outcomes are read. One replica at a time reads them: due_at is then the end of its lease.';
insert into callback_outcome_poll default values;
