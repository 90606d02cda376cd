"""Requests a callback, pauses a campaign and reads the audit log with the generated client.

Usage: python3 main.py PHONE_NUMBER, with RINGBACK_URL and RINGBACK_KEY set.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from ringback_client import AuthenticatedClient
from ringback_client.api.audit import list_audit
from ringback_client.api.callbacks import post_callback
from ringback_client.api.campaigns import pause_campaign
from ringback_client.models import CarrierLimit, NewCallback, Pause, PauseReason, Problem, RegulatoryWindow

# Campaigns of the demo.
CALLBACK_CAMPAIGN = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"
DIALED_CAMPAIGN = UUID("0192f0c4-1111-7000-8000-000000000001")


T = TypeVar("T")


def expect(answer: T | Problem | None) -> T:
    """Exits with the problem if there is one."""
    if answer is None or isinstance(answer, Problem):
        sys.exit(str(answer))
    return answer


def main() -> None:
    client = AuthenticatedClient(
        base_url=os.environ["RINGBACK_URL"], token=os.environ["RINGBACK_KEY"], raise_on_unexpected_status=True
    )
    now = datetime.now(UTC)

    new_callback = NewCallback(
        phone_number=sys.argv[1],
        requested_start=now + timedelta(hours=1),
        requested_end=now + timedelta(hours=2),
        campaign_id=CALLBACK_CAMPAIGN,
        language="en-US",
        timezone="America/New_York",
    )
    callback = expect(post_callback.sync(client=client, body=new_callback))
    print(f"callback  {callback.id} {callback.status.value}")

    pause = Pause(
        pause_reason=PauseReason.AGENT_CAPACITY,
        scheduled_resume_time=now + timedelta(minutes=1),
        max_agents=25,
        carrier_limit=CarrierLimit(max_concurrent_calls=100, max_agents=30),
        regulatory_window=RegulatoryWindow(start_time="00:00", end_time="23:59", timezone="UTC"),
    )
    outcome = expect(pause_campaign.sync(DIALED_CAMPAIGN, client=client, body=pause))
    print(f"pause     {outcome.campaign_id} {outcome.status.value}, {len(outcome.holds)} holds")

    page = expect(list_audit.sync(client=client, campaign_id=str(DIALED_CAMPAIGN), limit=5))
    newest = page.data[0]
    print(f"audit     {len(page.data)} entries, the newest {newest.action} by {newest.actor.name}")


main()
