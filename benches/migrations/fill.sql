-- Rows of the version 23. {rows} callbacks, of which one of a hundred is open; two entries of the audit log for each;
-- an idempotency key and a webhook event for each tenth.
insert into api_keys (id, name, secret_hash, scopes, created_at)
select '0192f0c4-2222-7000-8000-000000000001', 'rows', sha256('rows'), '{callbacks:write}', now()
where not exists (select from api_keys);

insert into callbacks (id, status, phone_number, campaign_id, requested_start, requested_end, language, dispatch_time,
    contact_id, confirmation, confirmation_started_at, sms_session_id, attempts, due_at, request_id, created_at, updated_at)
select id, case when is_open then 'accepted' else 'scheduled' end, phone, campaign, starts, starts + interval '2 hours', 'en-US',
    case when not is_open then starts + interval '1 hour' end, case when not is_open then id end,
    case when is_open then 'pending' else 'sent' end, case when not is_open then starts end,
    case when not is_open then 'session-' || n end, 1, case when is_open then starts + interval '1 hour' end, 'request', starts, starts
from (
    select n, n % 100 = 0 as is_open, gen_random_uuid() as id, '+1' || (2000000000 + n) as phone, 'campaign-' || n % 50 as campaign,
        now() - n * interval '10 seconds' as starts
    from generate_series({first}, {last}) as n
) as v;

insert into audit_entries (id, "timestamp", action, actor_type, actor_id, actor_name, outcome, campaign_id, callback_id, request_id, detail)
select gen_random_uuid(), now() - (({last} - n) / 1000) * interval '1 second', case when n % 2 = 0 then 'callback.accepted' else 'callback.scheduled' end,
    'api_key', '0192f0c4-2222-7000-8000-000000000001', 'rows', 'succeeded', 'campaign-' || n % 50, gen_random_uuid(), 'request',
    '{"phoneNumber": "+1202•••0198", "language": "en-US"}'
from generate_series(2 * {first}, 2 * {last} + 1) as n;

insert into idempotency_keys (api_key_id, key, request_hash, resource_id, leased_until, answer_status, answer_headers, answer_body, created_at)
select '0192f0c4-2222-7000-8000-000000000001', 'key-' || n, sha256('rows'), gen_random_uuid(), now(), 201, '{}',
    convert_to('{"id":"0192f0c4-2222-7000-8000-000000000002","phoneNumber":"+12025550198"}', 'UTF8'), now()
from generate_series({first}, {last}, 10) as n;

insert into webhook_events (id, type, campaign_id, body, created_at)
select gen_random_uuid(), 'callback.scheduled', 'campaign-' || n % 50,
    '{"type":"callback.scheduled","callbackId":"0192f0c4-2222-7000-8000-000000000002"}', now()
from generate_series({first}, {last}, 10) as n;
