-- Replicas keep copies of API keys, and of the settings and compliance holds that decide when a campaign may call. A change of
-- these notifies them. src/db/changes.rs has the names of the channels.
create function notify_change() returns trigger language plpgsql as $$
begin
    perform pg_notify(tg_argv[0], '');
    return null;
end $$;

create trigger api_keys_notify after update or delete on api_keys
    for each row execute function notify_change('ringback_api_keys');
create trigger campaign_settings_notify after insert or update or delete on campaign_settings
    for each row execute function notify_change('ringback_placement_rules');
create trigger campaign_holds_notify after insert or update on campaign_holds
    for each row when (new.compliance) execute function notify_change('ringback_placement_rules');
