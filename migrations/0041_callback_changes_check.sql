alter table callbacks
    validate constraint change_known,
    validate constraint only_scheduled_has_change,
    validate constraint reschedule_has_window,
    validate constraint change_dispatch_time_in_window,
    validate constraint nothing_without_change,
    validate constraint due_unless_settled,
    validate constraint no_confirmation_before_contact;

-- A callback that is being rescheduled has two windows until CXone has answered.
alter table callbacks
    drop constraint one_open_callback,
    add constraint one_open_callback exclude using gist
        ((substr(phone_number, 2)::bigint) with =, campaign_id with =, tstzmultirange(
            tstzrange(requested_start, requested_end),
            tstzrange(coalesce(change_start, requested_start), coalesce(change_end, requested_end))
        ) with &&)
        where (status in ('accepted', 'scheduled'));
