-- Nearly every number has one open callback for a campaign at most. A unique index ensures that with a fifth of the work of an
-- exclusion constraint, which is left to the numbers with several.
--
-- only: the number has no other open callback for the campaign.
-- first, other: it has, or had. While any is open, one of them is the first.
alter table callbacks
    add column among_open text not null default 'only',
    add constraint among_open_known check (among_open in ('only', 'first', 'other')) not valid;

-- For a new callback without `among_open`. Versions before this one never give it. The first callback is locked: it cannot end
-- before this one is stored.
create function callbacks_place_among_open() returns trigger language plpgsql as $$
declare
    first record;
begin
    new.among_open := 'only';
    for first in
        select id, among_open from callbacks
        where substr(phone_number, 2)::bigint = substr(new.phone_number, 2)::bigint and campaign_id = new.campaign_id
          and status in ('accepted', 'scheduled') and among_open <> 'other'
        for no key update
    loop
        new.among_open := 'other';
        if first.among_open = 'only' then
            update callbacks set among_open = 'first' where id = first.id;
        end if;
    end loop;
    return new;
end $$;

-- When the first callback ends, any of the others is the first.
create function callbacks_choose_first() returns trigger language plpgsql as $$
begin
    update callbacks set among_open = 'first'
    where id = (
        select id from callbacks
        where substr(phone_number, 2)::bigint = substr(old.phone_number, 2)::bigint and campaign_id = old.campaign_id
          and status in ('accepted', 'scheduled') and among_open <> 'only' and among_open = 'other'
        limit 1
        for update
    );
    return null;
end $$;

-- online: no insert may come between the triggers and the update. It takes 2 s for a million callbacks, and longer where many numbers
-- have several: docs/upgrade.md says what to do then.
create trigger callbacks_place_among_open before insert on callbacks for each row when (new.among_open is null)
    execute function callbacks_place_among_open();
-- online: as above.
create trigger callbacks_choose_first after update of status on callbacks for each row
    when (old.among_open = 'first' and old.status in ('accepted', 'scheduled')
        and new.status not in ('accepted', 'scheduled'))
    execute function callbacks_choose_first();
-- online: as above.
create trigger callbacks_choose_first_after_delete after delete on callbacks for each row
    when (old.among_open = 'first' and old.status in ('accepted', 'scheduled'))
    execute function callbacks_choose_first();

-- online: as above.
update callbacks set among_open = case when placed.place = 1 then 'first' else 'other' end
from (
    select id, count(*) over same_number as open, row_number() over (same_number order by created_at, id) as place
    from (
        -- Each by an index of its own.
        select id, phone_number, campaign_id, created_at from callbacks where status = 'accepted' and due_at is not null
        union all
        select id, phone_number, campaign_id, created_at from callbacks where status = 'scheduled'
    ) as open
    window same_number as (partition by phone_number, campaign_id)
) as placed
where callbacks.id = placed.id and placed.open > 1;

alter table callbacks alter column among_open drop default;
