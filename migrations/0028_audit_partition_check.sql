-- Reads all entries, while others are written.
do $$
begin
    if exists (select from pg_constraint where conname = 'audit_entries_before') then
        alter table audit_entries validate constraint audit_entries_before;
    end if;
end $$;
