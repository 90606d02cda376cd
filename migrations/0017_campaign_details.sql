-- Plain names in what Ringback has sent to CXone about a campaign: {pause, change, uncertain, rejections, agents_due}. A key
-- is followed by a colon only outside of strings, where quotes are escaped.
update campaigns set last_sent = replace(replace(replace(last_sent::text,
    '"doubts":', '"uncertain":'), '"refusals":', '"rejections":'), '"is_plain":', '"is_minimal":')::jsonb
where last_sent is not null;

-- A campaign with its settings, its holds that are not lifted, the lease that is held, and what its dialer did in the
-- current window of the answer rate.
create view campaign_details as
select c.campaign_id, c.state, c.state_seen_at, c.last_sent, c.resume, c.override_until, c.failures, c.failure_code,
    c.failure_detail, c.due_at, c.check_at, c.revision, c.counted_from, c.created_at,
    case when c.leased_until > clock_timestamp() then c.leased_by end as leased_by,
    s.settings,
    coalesce(h.holds, '[]') as holds,
    b.attempts,
    b.answers
from campaigns as c
left join campaign_settings as s using (campaign_id)
cross join lateral (
    select jsonb_agg(to_jsonb(hold) order by hold.placed_at, hold.id) as holds
    from campaign_holds as hold
    where hold.campaign_id = c.campaign_id and hold.lifted_at is null
) as h
cross join lateral (
    select least(coalesce(sum(bucket.attempts), 0), 9e18)::bigint as attempts,
        least(coalesce(sum(bucket.answers), 0), 9e18)::bigint as answers
    from answer_rate_buckets as bucket
    where bucket.campaign_id = c.campaign_id and bucket.counts_until > clock_timestamp()
      and bucket.epoch = coalesce(c.counted_from, 'epoch')
      and bucket.window_ms = coalesce((s.settings -> 'answerRate' ->> 'windowMs')::bigint, 300000)
) as b;
