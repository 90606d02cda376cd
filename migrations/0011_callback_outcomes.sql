-- A callback to a number that cannot read an SMS has a confirmation that is skipped, with the reason.
alter table callbacks add column skip_reason text check (skip_reason in ('landline', 'no-channel'));
alter table callbacks drop constraint callbacks_confirmation_check;
alter table callbacks add constraint callbacks_confirmation_check
    check (confirmation in ('pending', 'sent', 'failed', 'unknown', 'skipped'));
alter table callbacks add constraint skipped_says_why check ((confirmation = 'skipped') = (skip_reason is not null));

-- An entry is written once, also where the statement that writes it is sent again because its outcome was lost.
create or replace function audit_record(entry jsonb) returns uuid language plpgsql as $$
declare
    recorded uuid;
begin
    if entry is null then
        return null;
    end if;
    insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id,
        callback_id, previous_state, new_state, latency_ms, call_volume_before, call_volume_after, answer_rate,
        compliance_hold, triggered_by, request_id, detail)
    select e.id, e."timestamp", e.action, e.actor ->> 'type', e.actor ->> 'id', e.actor ->> 'name', e.outcome,
        e."campaignId", e."callbackId", e."previousState", e."newState", e."latencyMs", e."callVolumeBefore",
        e."callVolumeAfter", e."answerRate", e."complianceHold", e."triggeredBy", e."requestId",
        coalesce(e.detail, '{}')
    from jsonb_to_record(entry) as e(id uuid, "timestamp" timestamptz, action text, actor jsonb, outcome text,
        "campaignId" text, "callbackId" uuid, "previousState" text, "newState" text, "latencyMs" bigint,
        "callVolumeBefore" bigint, "callVolumeAfter" bigint, "answerRate" double precision,
        "complianceHold" boolean, "triggeredBy" text, "requestId" text, detail jsonb)
    on conflict (id) do nothing
    returning audit_entries.id into recorded;
    if recorded is null then
        return (entry ->> 'id')::uuid;
    end if;
    if entry -> 'event' is not null then
        perform webhook_enqueue(entry -> 'event', coalesce(entry ->> 'campaignId', ''),
            (entry ->> 'timestamp')::timestamptz);
    end if;
    return recorded;
end $$;
