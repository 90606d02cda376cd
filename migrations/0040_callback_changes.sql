-- A change of a callback whose contact CXone has. It is stored before it is sent to CXone, and removed when CXone has carried
-- it out or refused it.
alter table callbacks
    add column change text,
    add column change_start timestamptz,
    add column change_end timestamptz,
    add column change_dispatch_time timestamptz,
    add column change_sent_at timestamptz,
    add column change_request_id text,
    add column moves integer not null default 0,
    -- The next migration checks the callbacks that exist, without a lock that stops writers.
    add constraint change_known check (change in ('cancel', 'reschedule', 'move', 'withdraw')) not valid,
    add constraint only_scheduled_has_change check (change is null or status = 'scheduled') not valid,
    add constraint reschedule_has_window check (
        (coalesce(change, '') = 'reschedule') = (change_start is not null)
        and (change_start is null) = (change_end is null)
        and coalesce(change_end - change_start between interval '1 hour' and interval '4 hours', true)
    ) not valid,
    add constraint change_dispatch_time_in_window check (
        change = 'cancel' or change_dispatch_time
            between coalesce(change_start, requested_start) and coalesce(change_end, requested_end)
    ) not valid,
    add constraint nothing_without_change check (
        change is not null
        or (change_dispatch_time is null and change_sent_at is null and change_request_id is null)
    ) not valid,
    drop constraint due_unless_settled,
    add constraint due_unless_settled check (
        (due_at is not null)
        = (status = 'accepted' or (status = 'scheduled' and (confirmation = 'pending' or change is not null)))
    ) not valid,
    -- One that is cancelled after its confirmation keeps it.
    drop constraint no_confirmation_before_contact,
    add constraint no_confirmation_before_contact check (
        status in ('scheduled', 'cancelled') or (confirmation = 'pending' and confirmation_started_at is null)
    ) not valid;
comment on column callbacks.change is 'What CXone is asked to do with the contact.';
comment on column callbacks.change_dispatch_time is 'The time to which the contact is moved. CXone may have it if change_sent_at is set.';
comment on column callbacks.change_sent_at is 'Committed before the change is sent to CXone.';
comment on column callbacks.moves is 'How often its time has changed since CXone first had the contact. Each has an SMS of its own.';
