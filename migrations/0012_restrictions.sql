-- Whether a hold covers the time at which CXone is to call.
alter table callbacks add column at_risk boolean not null default false;

create index callbacks_at_risk on callbacks (campaign_id) where at_risk;

-- When the callbacks of the campaign are next compared with its holds. It is set together with every change of the holds,
-- and stays set while a hold is left, because callbacks may be scheduled meanwhile.
alter table campaigns add column risk_due_at timestamptz;

create index campaigns_risk on campaigns (risk_due_at) where risk_due_at is not null;

-- Scheduled callbacks that the hold covered when it was asked for.
alter table campaign_holds add column affected_callbacks bigint check (affected_callbacks >= 0);

-- A campaign id that is a UUID is kept in lower case from here on, and rows of other spellings become rows of the same
-- campaign. Audit entries are never changed, so they stay as they are, and so do the bodies of webhook events.
create temporary table respelled on commit drop as
select campaign_id as old, lower(campaign_id) as new
from (
    select campaign_id from callbacks
    union select campaign_id from campaigns
    union select campaign_id from campaign_settings
    union select campaign_id from answer_rate_buckets
    union select campaign_id from webhook_events
    union select campaign_id from webhook_deliveries
) as known
where campaign_id ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' and campaign_id <> lower(campaign_id);

-- The settings that were set last.
insert into campaign_settings as kept (campaign_id, settings, version, updated_at)
select distinct on (lower(s.campaign_id)) lower(s.campaign_id), s.settings,
    max(s.version) over (partition by lower(s.campaign_id)) + 1, s.updated_at
from campaign_settings as s
where lower(s.campaign_id) in (select new from respelled join campaign_settings as other on other.campaign_id = old)
order by lower(s.campaign_id), s.updated_at desc, s.version desc
on conflict (campaign_id) do update
    set settings = excluded.settings, version = excluded.version, updated_at = excluded.updated_at;

delete from campaign_settings where campaign_id in (select old from respelled);

-- Where both spellings are there: what Ringback told CXone under either, looked at at once. An override of the regulatory
-- window holds for no spelling then, because it was given for one of them only.
insert into campaigns as kept (campaign_id, state, state_seen_at, told, resume, override_until, due_at, counted_from,
    created_at, updated_at)
select distinct on (new) new, c.state, c.state_seen_at, c.told, c.resume,
    case when count(*) over (partition by new) = 1 then c.override_until end, now(), c.counted_from, c.created_at, now()
from campaigns as c join respelled on c.campaign_id = old
order by new, (c.told is null), c.updated_at desc
on conflict (campaign_id) do update set told = coalesce(kept.told, excluded.told),
    resume = coalesce(kept.resume, excluded.resume), override_until = null, due_at = now(),
    counted_from = greatest(kept.counted_from, excluded.counted_from), revision = kept.revision + 1, updated_at = now();

alter table campaign_holds disable trigger campaign_holds_only_lifted;

-- Of the holds of which a campaign has one at a time, the one that ends last stays; it covers the others.
with ranked as (
    select h.id, lower(h.campaign_id) as campaign_id, h.reason, h.triggered_by, row_number() over (
        partition by lower(h.campaign_id), h.triggered_by order by h.ends_at desc nulls first, h.placed_at, h.id) as place
    from campaign_holds as h
    where h.lifted_at is null and h.triggered_by in ('REGULATORY_WINDOW', 'SLIDING_WINDOW_THROTTLE')
      and lower(h.campaign_id) in (select new from respelled)
),
lifted as (
    update campaign_holds set lifted_at = now(), lifted_by = '{"type": "system", "id": "migration", "name": "ringback"}'
    from ranked where ranked.id = campaign_holds.id and ranked.place > 1
    returning ranked.id, ranked.campaign_id, ranked.reason, ranked.triggered_by
)
select audit_record(jsonb_build_object('id', gen_random_uuid(), 'timestamp', now(), 'action', 'hold.lifted',
    'actor', '{"type": "system", "id": "migration", "name": "ringback"}'::jsonb, 'outcome', 'succeeded',
    'campaignId', campaign_id, 'triggeredBy', triggered_by, 'detail', jsonb_build_object('holdId', id, 'pauseReason', reason,
    'because', 'two spellings of the campaign had one each')))
from lifted;

update campaign_holds set campaign_id = new from respelled where campaign_id = old;

alter table campaign_holds enable trigger campaign_holds_only_lifted;

-- A command to resume one spelling was not meant for the holds of the other.
update campaigns set resume = null
where campaign_id in (select new from respelled) and resume is not null
  and exists (select from campaign_holds as h where h.campaign_id = campaigns.campaign_id and h.lifted_at is null);

delete from campaigns where campaign_id in (select old from respelled);

insert into answer_rate_buckets as kept (campaign_id, window_ms, epoch, starts_at, counts_until, attempts, answers)
select new, b.window_ms, b.epoch, b.starts_at, max(b.counts_until), sum(b.attempts)::bigint, sum(b.answers)::bigint
from answer_rate_buckets as b join respelled on b.campaign_id = old
group by new, b.window_ms, b.epoch, b.starts_at
on conflict (campaign_id, window_ms, epoch, starts_at) do update
    set attempts = kept.attempts + excluded.attempts, answers = kept.answers + excluded.answers;

delete from answer_rate_buckets where campaign_id in (select old from respelled);

update webhook_events set campaign_id = new from respelled where campaign_id = old;
update webhook_deliveries set campaign_id = new from respelled where campaign_id = old;

update callbacks set campaign_id = new from respelled
where campaign_id = old and status not in ('accepted', 'scheduled');

-- One number may have an open callback under either spelling in overlapping windows. Both were promised: the later one
-- keeps its spelling, and lists of the campaign do not show it.
do $$
declare
    open_callback record;
begin
    for open_callback in
        select id, new from callbacks join respelled on campaign_id = old
        where status in ('accepted', 'scheduled')
        order by created_at, id
    loop
        begin
            update callbacks set campaign_id = open_callback.new where id = open_callback.id;
        exception when exclusion_violation then
            null;
        end;
    end loop;
end $$;

update campaigns set risk_due_at = now()
where exists (select from campaign_holds as h where h.campaign_id = campaigns.campaign_id and h.lifted_at is null);
