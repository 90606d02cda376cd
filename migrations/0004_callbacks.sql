-- `=` on text beside `&&` on ranges, in one exclusion constraint.
create extension if not exists btree_gist;

-- A caller's wish to be called back. The row is the work: `due_at` is when something is next to be done for it (while
-- an attempt runs: when its lease is over), and `attempts` fences, for each claim adds one and each write names the
-- claim that it belongs to.
create table callbacks (
    id                      uuid        primary key,
    status                  text        not null
        check (status in ('accepted', 'scheduled', 'failed', 'expired', 'cancelled')),
    phone_number            text        not null check (phone_number ~ '^\+[1-9][0-9]{4,14}$'),
    campaign_id             text        not null check (campaign_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    requested_start         timestamptz not null,
    requested_end           timestamptz not null,
    language                text        not null,
    timezone                text,
    -- While `accepted`: set from just before the contact is sent until CXone is known not to have it.
    dispatch_time           timestamptz,
    -- An earlier dispatch time under which CXone may have the contact, where it never answered and that time passed.
    earlier_dispatch_time   timestamptz,
    contact_id              uuid        unique,
    confirmation            text        not null check (confirmation in ('pending', 'sent', 'failed', 'unknown')),
    -- Committed before the SMS is sent: where it is set and no outcome is known, the SMS is not sent again.
    confirmation_started_at timestamptz,
    sms_session_id          text,
    failure_code            text,
    failure_detail          text,
    attempts                integer     not null check (attempts >= 0),
    due_at                  timestamptz,
    request_id              text        not null,
    traceparent             text,
    created_at              timestamptz not null,
    updated_at              timestamptz not null,

    constraint window_is_one_to_four_hours
        check (requested_end - requested_start between interval '1 hour' and interval '4 hours'),
    constraint dispatch_lies_in_the_window check (dispatch_time between requested_start and requested_end),
    constraint scheduled_has_a_contact
        check ((status = 'scheduled') = (contact_id is not null) and (status <> 'scheduled' or dispatch_time is not null)),
    constraint no_sms_before_the_contact
        check (status = 'scheduled' or (confirmation = 'pending' and confirmation_started_at is null)),
    constraint sent_has_a_session check ((confirmation = 'sent') = (sms_session_id is not null)),
    constraint failure_has_both_parts check ((failure_code is null) = (failure_detail is null)),
    constraint an_end_says_why check (status not in ('failed', 'expired') or failure_code is not null),
    constraint due_while_work_is_left
        check ((due_at is not null) = (status = 'accepted' or (status = 'scheduled' and confirmation = 'pending'))),
    -- One open callback for a number in a campaign at any time.
    constraint one_open_callback exclude using gist
        (phone_number with =, campaign_id with =, tstzrange(requested_start, requested_end) with &&)
        where (status in ('accepted', 'scheduled'))
);

-- Most urgent first: the window that ends soonest.
create index callbacks_work on callbacks (requested_end, due_at) where due_at is not null;
-- What is placed in an hour of a campaign's forecast.
create index callbacks_placed on callbacks (campaign_id, dispatch_time)
    where dispatch_time is not null and status in ('accepted', 'scheduled');
create index callbacks_newest on callbacks (created_at desc, id desc);
create index callbacks_by_campaign on callbacks (campaign_id, created_at desc, id desc);
create index callbacks_by_phone_number on callbacks (phone_number, created_at desc, id desc);
