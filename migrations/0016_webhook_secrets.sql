-- A previous signing secret is a row, not an element of two parallel arrays.
create table webhook_previous_secrets (
    endpoint_id uuid        not null references webhook_endpoints,
    -- Encrypted like the current secret.
    secret      bytea       not null,
    -- It signs until then.
    valid_until timestamptz not null,
    primary key (endpoint_id, secret)
);

insert into webhook_previous_secrets (endpoint_id, secret, valid_until)
select e.id, p.secret, max('epoch'::timestamptz + p.until * interval '1 millisecond')
from webhook_endpoints as e
cross join lateral unnest(e.previous_secrets, e.previous_until) as p(secret, until)
where e.deleted_at is null
group by e.id, p.secret;

-- A deleted endpoint has no secret; until now it had an empty one.
alter table webhook_endpoints
    drop constraint configured_keeps_no_secret,
    drop constraint previous_secrets_have_ends,
    drop column previous_secrets,
    drop column previous_until;
update webhook_endpoints set secret = null where deleted_at is not null;
alter table webhook_endpoints
    add constraint secret_unless_configured_or_deleted
        check ((secret is null) = (is_configured or deleted_at is not null));

-- The unique index on (endpoint_id, event_seq) is read in both directions.
drop index webhook_deliveries_newest;
