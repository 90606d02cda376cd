-- Stores a campaign with its changed holds, its audit entries and its command, all or nothing. Returns a row where it was
-- stored: where the campaign is still at revision $2, the lease $3 is held (where one is given), and the command $14 was
-- not executed before.
with saved as (
    update campaigns set
        state = $5, state_seen_at = $6, last_sent = $7, resume = $8, override_until = $9,
        failures = $10, failure_code = $11, failure_detail = $12,
        due_at = $13, check_at = $22, counted_from = $23,
        revision = revision + 1,
        leased_by = case when $4 and leased_by = $3 then null else leased_by end,
        leased_until = case when $4 and leased_by = $3 then null else leased_until end,
        risk_due_at = case when $21 then clock_timestamp() else risk_due_at end,
        updated_at = clock_timestamp()
    where campaign_id = $1 and revision = $2 and ($3::uuid is null or leased_by = $3)
      and not exists (select from campaign_commands where id = $14)
    returning campaign_id
),
lifted as (
    select * from jsonb_to_recordset($18) as l(id uuid, at timestamptz, by jsonb)
),
-- A hold that ended before it was stored is lifted as it is placed.
placed as (
    insert into campaign_holds (id, campaign_id, reason, compliance, triggered_by, placed_by, placed_at, ends_at,
        max_agents, regulatory_window, request_id, affected_callbacks, counts, revision, lifted_at, lifted_by)
    select h.id, saved.campaign_id, h.reason, h.compliance, h.triggered_by, h.placed_by, h.placed_at, h.ends_at,
        h.max_agents, h.regulatory_window, h.request_id, h.affected_callbacks, h.counts, h.revision, lifted.at, lifted.by
    from saved
    cross join jsonb_to_recordset($16) as h(id uuid, reason text, compliance boolean, triggered_by text, placed_by jsonb,
        placed_at timestamptz, ends_at timestamptz, max_agents bigint, regulatory_window jsonb, request_id text,
        affected_callbacks bigint, counts jsonb, revision bigint)
    left join lifted using (id)
),
refreshed as (
    update campaign_holds set ends_at = h.ends_at, revision = h.revision
    from saved, jsonb_to_recordset($17) as h(id uuid, ends_at timestamptz, revision bigint)
    where campaign_holds.id = h.id and campaign_holds.campaign_id = saved.campaign_id
      and campaign_holds.lifted_at is null and h.id not in (select id from lifted)
),
ended as (
    update campaign_holds set lifted_at = lifted.at, lifted_by = lifted.by
    from saved, lifted
    where campaign_holds.id = lifted.id and campaign_holds.campaign_id = saved.campaign_id
      and campaign_holds.lifted_at is null
),
executed as (
    insert into campaign_commands (id, campaign_id, report)
    select $14, campaign_id, $15 from saved where $14::uuid is not null
),
confirmed as (
    update campaign_commands set report = campaign_commands.report || c.report
    from saved, jsonb_to_recordset($20) as c(command_id uuid, report jsonb)
    where campaign_commands.id = c.command_id
)
select (select count(audit_record(entry)) from jsonb_array_elements($19) as entry) as "entries!" from saved
