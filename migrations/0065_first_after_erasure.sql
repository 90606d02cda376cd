-- Also when the first callback of a number is erased, any of the others is the first.
-- online: stops writers until the few callbacks below are changed.
create or replace trigger callbacks_choose_first after update of status, phone_number on callbacks for each row
    when (old.among_open = 'first' and old.status in ('accepted', 'scheduled') and old.phone_number is not null
        and (new.status not in ('accepted', 'scheduled') or new.phone_number is null))
    execute function callbacks_choose_first();

-- The numbers that lost their first callback so. One that has got another callback since, whose window overlaps, keeps both.
do $$
declare
    chosen uuid;
begin
    for chosen in
        select distinct on (other.phone_number, other.campaign_id) coalesce(alone.id, other.id)
        from callbacks as other
        left join callbacks as alone
            on substr(alone.phone_number, 2)::bigint = substr(other.phone_number, 2)::bigint
            and alone.campaign_id = other.campaign_id
            and alone.status in ('accepted', 'scheduled') and alone.among_open <> 'other'
        where other.status in ('accepted', 'scheduled') and other.among_open <> 'only' and other.among_open = 'other'
          and other.phone_number is not null and coalesce(alone.among_open, 'only') = 'only'
        order by other.phone_number, other.campaign_id, other.created_at
    loop
        begin
            update callbacks set among_open = 'first' where id = chosen;
        exception when exclusion_violation then
            raise warning 'callback % has a window that overlaps one of another open callback of its number', chosen;
        end;
    end loop;
end $$;
