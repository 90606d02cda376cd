with settled as (
    -- The claim ends with its attempt: a release after it, or the same statement again, changes nothing.
    update webhook_deliveries set status = $3, due_at = $4, attempts = attempts + 1, claims = claims + 1, updated_at = $5
    -- A delivery that was made dead during the attempt has succeeded if the receiver accepted it.
    where id = $1 and claims = $2 and (status = 'pending' or $3 = 'succeeded')
    returning id, endpoint_id
),
attempted as (
    insert into webhook_attempts (delivery_id, at, duration_ms, status, error, answer)
    select id, $5, $6, $7, $8, $9 from settled
    on conflict do nothing
),
endpoint as (
    update webhook_endpoints set
        failing_since = case when $3 = 'succeeded' then null else coalesce(failing_since, $5) end,
        (disabled_at, disabled_reason) = (
            select case when disables then coalesce(disabled_at, $5) else disabled_at end,
                case when disables then coalesce(disabled_reason, $10) else disabled_reason end
            -- With $12 it is disabled only if it has failed since then: another delivery may have succeeded meanwhile.
            from (select $10::text is not null and ($12::timestamptz is null or failing_since = $12)) as verdict (disables)
        )
    where id = (select endpoint_id from settled)
      and ($10::text is not null or ($3 = 'succeeded') = (failing_since is not null))
    -- Another delivery may have disabled it before.
    returning id, $10::text is not null and disabled_at is not null as is_disabled,
        $10::text is not null and disabled_at = $5 as is_disabled_by_this
),
-- The pending deliveries of a disabled endpoint are dead; a redelivery can be requested. A row that another
-- transaction is writing is left to it.
dead as (
    update webhook_deliveries set status = 'dead', due_at = null, updated_at = $5
    where id in (
        select id from webhook_deliveries
        where endpoint_id = (select id from endpoint where is_disabled) and status = 'pending' and id <> $1
        for update skip locked
    )
)
select exists (select from endpoint where is_disabled_by_this) as "is_disabled!",
    (select audit_record($11) from endpoint where is_disabled_by_this) as entry_id
from settled
