"""What the OpenAPI document cannot express: valid values of its formats, and rules between members or about the time."""

import base64
import itertools
import json
import re
import zlib
from datetime import UTC, datetime, timedelta

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData

NOW = datetime.now(UTC)


def text_of(time):
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cursor(position):
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


# Cursors are opaque to clients. A real one needs more rows than a page has.
AT_A_SEQUENCE_NUMBER = cursor(7)
AT_A_TIME = cursor({"created_at": text_of(NOW), "id": "0192f0c4-1111-7000-8000-000000000001"})
AT_AN_ENTRY = cursor({"created_at": text_of(NOW), "id": 7})


# Within the years that the service accepts.
date_times = st.one_of(
    st.datetimes(datetime(2001, 1, 1), datetime(2100, 12, 30)).map(lambda time: text_of(time.replace(tzinfo=UTC))),
    st.integers(-(10**6), 10**7).map(lambda seconds: text_of(NOW + timedelta(seconds=seconds))),
)
schemathesis.openapi.format("date-time", date_times)
schemathesis.openapi.format("language-tag", st.sampled_from(["en-US", "es-US", "fr-CA", "de", "zh-Hant-TW", "sr-Latn"]))
schemathesis.openapi.format("time-zone", st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Europe/Kyiv"]))
schemathesis.openapi.format(
    "phone-number",
    st.one_of(
        st.integers(0, 99).map(lambda line: f"+120255501{line:02}"),
        st.integers(0, 99).map(lambda line: f"(202) 555-01{line:02}"),
        st.integers(0, 999).map(lambda line: f"+44 20 7946 0{line:03}"),
    ),
)
# Nothing listens there, so that nothing is sent to anyone.
schemathesis.openapi.format("uri", st.integers(1, 9).map(lambda port: f"http://127.0.0.1:{port}/hooks"))

# The campaigns of the simulator: one that is paused and resumed, and one that takes callbacks. Its id is not a UUID, so that
# it is never held.
PAUSED_CAMPAIGN = "0192f0c4-1111-7000-8000-000000000001"
CALLBACK_CAMPAIGN = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"
# The ids that the service has returned, by the path of their resource.
created = {}
key_number = itertools.count()


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code in (201, 202) and case.path in ("/v1/callbacks", "/v1/webhooks"):
        created.setdefault(case.path, []).append(response.json()["id"])
    if response.status_code == 200 and case.path.endswith("/deliveries"):
        deliveries = [delivery["id"] for delivery in response.json()["data"]]
        created.setdefault("/v1/webhooks/deliveries", []).extend(deliveries)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # One number for each request, so that a run with the same seed makes the same choices.
    choice = zlib.crc32(repr((case.path, case.path_parameters, case.query, case.body)).encode())
    if case.meta.phase.name.value != "stateful":
        choose_resource(case, choice)
    if case.path.endswith(("/pause", "/resume")) and not is_uuid(case.path_parameters["campaignId"]):
        # A step of a scenario took it from an answer about a campaign that cannot be paused.
        case.path_parameters["campaignId"] = PAUSED_CAMPAIGN
    if case.method == "PUT" and case.path_parameters.get("campaignId") == CALLBACK_CAMPAIGN:
        # Its business hours would refuse callbacks that the document allows.
        case.path_parameters["campaignId"] = PAUSED_CAMPAIGN
    if isinstance(case.query, dict) and "cursor" in case.query:
        if case.path == "/v1/audit":
            case.query["cursor"] = AT_AN_ENTRY
        else:
            case.query["cursor"] = AT_A_SEQUENCE_NUMBER if case.path.endswith("/deliveries") else AT_A_TIME
    if case.path in ("/v1/callback-slots", "/v1/reports/promises"):
        days = timedelta(days=1 + choice % 14)
        case.query |= {"campaignId": CALLBACK_CAMPAIGN, "from": text_of(NOW), "to": text_of(NOW + days)}
    if case.path == "/v1/statistics":
        case.query |= {"from": text_of(NOW - timedelta(days=choice % 31)), "to": text_of(NOW + timedelta(hours=1))}
    make_headers_true(case.method, case.headers)
    if isinstance(case.body, dict):
        make_consistent(case, case.body, choice)


def choose_resource(case, choice):
    """A random id names nothing: every second request gets the id of something that exists."""
    collection = case.path.split("/{")[0]
    if choice % 2 and "id" in case.path_parameters and created.get(collection):
        case.path_parameters["id"] = created[collection][choice // 2 % len(created[collection])]
    if choice % 2 and "campaignId" in case.path_parameters:
        case.path_parameters["campaignId"] = PAUSED_CAMPAIGN
    if choice % 2 and "slug" in case.path_parameters:
        case.path_parameters["slug"] = "invalid-request"


def make_headers_true(method, headers):
    """Another request with the same key is refused, and so is a PUT whose condition is false."""
    if key := headers.get("Idempotency-Key"):
        quote = '"' if key.startswith('"') else ""
        headers["Idempotency-Key"] = f"{quote}{key.strip(chr(34))[:240]}-{next(key_number)}{quote}"
    if "If-Match" in headers:
        headers["If-Match"] = "*"
    if "If-None-Match" in headers and method == "PUT":
        headers["If-None-Match"] = '"none-of-these"'


def make_consistent(case, body, choice):
    if body.get("expiresAt"):
        body["expiresAt"] = text_of(NOW + timedelta(days=1 + choice % 1000))
    for callback in [body, *(body.get("callbacks") or [])]:
        if "requestedStart" in callback:
            start = NOW + timedelta(minutes=5 + choice % (80 * 24 * 60))
            callback["requestedStart"] = text_of(start)
            if "campaignId" in callback:
                callback["campaignId"] = CALLBACK_CAMPAIGN
            callback["requestedEnd"] = text_of(start + timedelta(minutes=60 + choice % 181))
    for event in body.get("events") or []:
        if isinstance(event, dict) and event.get("timestamp"):
            event["timestamp"] = text_of(NOW - timedelta(milliseconds=choice % 10**9))
    if body.get("campaignId") and "campaignId" in case.path_parameters:
        body["campaignId"] = case.path_parameters["campaignId"]
    if case.path.endswith("/pause"):
        complete_pause(body, choice)
    if case.path.endswith("/resume") and body.get("maxAgents"):
        # The settings may have a carrier limit, which is at least 1.
        body["maxAgents"] = 1
    if body.get("enforceRegulatoryWindow") and not body.get("regulatoryWindow"):
        body["enforceRegulatoryWindow"] = False
    if body.get("maxAgents") and body.get("carrierLimit"):
        body["maxAgents"] = min(body["maxAgents"], body["carrierLimit"]["maxAgents"])
    for window in [body.get("regulatoryWindow"), *((body.get("businessHours") or {}).get("days") or [])]:
        if window and minutes(window["startTime"]) == minutes(window["endTime"]):
            window["endTime"] = "23:59" if minutes(window["startTime"]) < 60 else "0:30"


def complete_pause(body, choice):
    """Settings that the campaign does not have are required, and so is the end of a compliance hold."""
    body["maxAgents"] = body.get("maxAgents") or 0
    body["carrierLimit"] = body.get("carrierLimit") or {"maxConcurrentCalls": 1, "maxAgents": 1}
    window = {"startTime": "09:00", "endTime": "21:00", "timezone": "UTC"}
    body["regulatoryWindow"] = body.get("regulatoryWindow") or window
    is_compliance_hold = body["pauseReason"] == "COMPLIANCE_HOLD" or body.get("complianceHold")
    if is_compliance_hold or body.get("scheduledResumeTime"):
        body["scheduledResumeTime"] = text_of(NOW + timedelta(minutes=30 + choice % 10**5))


def is_uuid(text):
    return re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text)


def minutes(time):
    hour, minute = time.split(":")
    return int(hour) * 60 + int(minute)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A batch is answered with 200 also if every item is refused: its result says so."""
    if case.path != "/v1/callbacks/batch" or not isinstance(failure, AcceptedNegativeData):
        return True
    return not any("problem" in result for result in response.json()["results"])
