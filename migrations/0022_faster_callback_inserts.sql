-- One open callback for a number in a campaign at any time, as before. An E.164 number has at most 15 digits, which fit a
-- bigint exactly, and a GiST index compares those faster than text.
alter table callbacks
    drop constraint one_open_callback,
    add constraint one_open_callback exclude using gist
        ((substr(phone_number, 2)::bigint) with =, campaign_id with =, tstzrange(requested_start, requested_end) with &&)
        where (status in ('accepted', 'scheduled'));

-- The status comes first: callbacks that CXone has no capacity for are passed over without reading them.
drop index callbacks_due;
create index callbacks_due on callbacks (status, requested_end, due_at) where due_at is not null;

-- Entries are inserted in the order of their time: ranges of blocks are enough.
drop index audit_entries_by_time;
create index audit_entries_by_time on audit_entries using brin ("timestamp") with (pages_per_range = 16);
