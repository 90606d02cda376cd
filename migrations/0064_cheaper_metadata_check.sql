-- Postgres parsed the body of a function in SQL again for each statement that inserts, to put it in the place of its call.
-- One in PL/pgSQL is parsed once for each connection, and only if a callback has metadata.
create or replace function is_callback_metadata(metadata jsonb) returns boolean language plpgsql immutable strict as $$
begin
    return case when jsonb_typeof(metadata) = 'object' then (
        select count(*) <= 20 and coalesce(bool_and(jsonb_typeof(value) = 'string'
            and char_length(key) between 1 and 40 and char_length(value #>> '{}') <= 500), true)
        from jsonb_each(metadata)
    ) else false end;
end
$$;
