-- Postgres parses a function in SQL for each statement that inserts, to see whether its body can replace the call. This body
-- cannot, because it has a subquery. A function in PL/pgSQL is parsed once for each connection, when a callback has metadata.
create or replace function is_callback_metadata(metadata jsonb) returns boolean language plpgsql immutable strict as $$
begin
    return case when jsonb_typeof(metadata) = 'object' then (
        select count(*) <= 20 and coalesce(bool_and(jsonb_typeof(value) = 'string'
            and char_length(key) between 1 and 40 and char_length(value #>> '{}') <= 500), true)
        from jsonb_each(metadata)
    ) else false end;
end
$$;
