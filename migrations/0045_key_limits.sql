-- What a key may do is restricted further: to campaigns, where the list is not null, and to so many requests in so many seconds.
-- `replaces` is the key that was rotated; a key is rotated once.
alter table api_keys
    add column campaigns text[] check (cardinality(campaigns) between 1 and 1000),
    add column rate_requests integer check (rate_requests > 0),
    add column rate_seconds integer check (rate_seconds > 0),
    add column replaces uuid unique references api_keys,
    add constraint api_keys_rate check ((rate_requests is null) = (rate_seconds is null));

-- Written in the background. `requests` counts the accepted requests of keys with a rate: replicas learn from it what the others
-- have accepted.
create table api_key_usage (
    key_id       uuid        primary key references api_keys,
    last_used_at timestamptz not null,
    requests     bigint      not null default 0
) with (fillfactor = 50);

create view api_key_details as
select k.*, u.last_used_at, newer.id as replaced_by
from api_keys as k
left join api_key_usage as u on u.key_id = k.id
left join api_keys as newer on newer.replaces = k.id;

-- Replicas also remember which keys do not exist.
drop trigger api_keys_notify on api_keys;
create trigger api_keys_notify after insert or update or delete on api_keys
    for each row execute function notify_change('ringback_api_keys');
