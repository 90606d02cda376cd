-- What clients add to a callback: their own id, and pairs of text.
create function is_callback_metadata(metadata jsonb) returns boolean language sql immutable strict as $$
    select case when jsonb_typeof(metadata) = 'object' then (
        select count(*) <= 20 and coalesce(bool_and(jsonb_typeof(value) = 'string'
            and char_length(key) between 1 and 40 and char_length(value #>> '{}') <= 500), true)
        from jsonb_each(metadata)
    ) else false end
$$;

alter table callbacks
    add column external_id text,
    add column metadata jsonb,
    add column created_by uuid,
    add column in_batch boolean not null default false,
    add constraint external_id_of_1_to_128_characters check (char_length(external_id) between 1 and 128),
    add constraint metadata_of_short_texts check (is_callback_metadata(metadata));

comment on column callbacks.created_by is 'The API key that requested it. Null for callbacks of older versions.';
comment on column callbacks.in_batch is 'Whether a batch requested it.';

create index callbacks_by_external_id on callbacks (external_id, created_at desc, id desc)
    where external_id is not null;
-- Of concurrent batches with one external id, one creates the callback. A request for a single callback may use the
-- external id of an open one.
create unique index one_open_batch_item on callbacks (created_by, external_id)
    where in_batch and external_id is not null and status in ('accepted', 'scheduled');
