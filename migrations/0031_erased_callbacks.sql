-- A callback whose person asked for erasure keeps its times, states and ids. It has no phone number and no text of anybody.
alter table callbacks
    alter column phone_number drop not null,
    add column erased_at timestamptz,
    add column phone_number_hash text,
    -- The next migration checks the callbacks that exist, without a lock that stops writers.
    add constraint phone_number_unless_erased check ((phone_number is null) = (erased_at is not null)) not valid,
    add constraint phone_number_hash_only_if_erased check (phone_number_hash is null or erased_at is not null) not valid,
    add constraint erased_has_ended check (erased_at is null or due_at is null) not valid,
    add constraint erased_has_no_texts check (erased_at is null or (
        external_id is null and metadata is null and request_id = '' and traceparent is null
        and failure_detail is not distinct from case when failure_code is not null then 'erased' end
    )) not valid;

comment on column callbacks.phone_number_hash is 'Keyed with AUDIT_HASH_KEY, if there is one: finds an erased callback of a number.';

-- Has only erased callbacks: a new callback adds nothing to it.
create index callbacks_by_phone_number_hash on callbacks (phone_number_hash, created_at desc, id desc)
    where phone_number_hash is not null;
