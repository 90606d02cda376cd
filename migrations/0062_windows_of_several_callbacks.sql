-- online: reads the table once and indexes few rows. The constraint that it replaces was in force until then.
alter table callbacks
    drop constraint one_open_callback,
    add constraint one_open_callback exclude using gist
        ((substr(phone_number, 2)::bigint) with =, campaign_id with =, tstzmultirange(
            tstzrange(requested_start, requested_end),
            tstzrange(coalesce(change_start, requested_start), coalesce(change_end, requested_end))
        ) with &&)
        where (status in ('accepted', 'scheduled') and among_open <> 'only');

-- The open callbacks of a number for a campaign that overlap a window, with the expressions of the two indexes.
create function open_callbacks_in(number text, campaign text, requested tstzrange) returns setof uuid language sql stable as $$
    select id from callbacks
    where substr(phone_number, 2)::bigint = substr(number, 2)::bigint and campaign_id = campaign
      and status in ('accepted', 'scheduled') and among_open <> 'other'
      and tstzmultirange(tstzrange(requested_start, requested_end),
          tstzrange(coalesce(change_start, requested_start), coalesce(change_end, requested_end))) && requested
    union all
    select id from callbacks
    where substr(phone_number, 2)::bigint = substr(number, 2)::bigint and campaign_id = campaign
      and status in ('accepted', 'scheduled') and among_open <> 'only' and among_open <> 'first'
      and tstzmultirange(tstzrange(requested_start, requested_end),
          tstzrange(coalesce(change_start, requested_start), coalesce(change_end, requested_end))) && requested
$$;
