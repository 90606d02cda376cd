-- The audit log becomes a table of partitions, one for each month in UTC, so that a month can be dropped as a whole. All entries
-- that exist go to the first partition. This constraint says where it ends; the next migration checks it without a lock that
-- stops writers, and the one after that relies on it.
create function audit_month(at timestamptz, months integer default 0) returns timestamptz language sql immutable
return (date_trunc('month', at at time zone 'utc') + make_interval(months => months)) at time zone 'utc';

do $$
declare
    last timestamptz := (select max("timestamp") from audit_entries);
begin
    if last is not null then
        execute format('alter table audit_entries add constraint audit_entries_before check ("timestamp" < %L) not valid',
            -- Replicas of the version before may still write for a day.
            audit_month(greatest(last, now()) + interval '1 day', 1));
    end if;
end $$;
