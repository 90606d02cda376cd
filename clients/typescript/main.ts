// Requests a callback, pauses a campaign and reads the audit log with the generated client.
//
// Usage: node main.js PHONE_NUMBER, with RINGBACK_URL and RINGBACK_KEY set.

import createClient from "openapi-fetch";
import type { components, paths } from "./generated/ringback.js";

// Campaigns of the demo.
const CALLBACK_CAMPAIGN = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8";
const DIALED_CAMPAIGN = "0192f0c4-1111-7000-8000-000000000001";
const MINUTE_MS = 60_000;

const { RINGBACK_URL, RINGBACK_KEY } = process.env;
const phoneNumber = process.argv[2];
if (!RINGBACK_URL || !RINGBACK_KEY || !phoneNumber) {
  throw new Error("usage: RINGBACK_URL=… RINGBACK_KEY=… node main.js PHONE_NUMBER");
}
const client = createClient<paths>({
  baseUrl: RINGBACK_URL,
  headers: { Authorization: `Bearer ${RINGBACK_KEY}` },
});

function inMinutes(minutes: number): string {
  return new Date(Date.now() + minutes * MINUTE_MS).toISOString();
}

/** The data of an answer. Throws the problem if there is none. */
function expect<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(`${error?.title}: ${error?.detail}`);
  return data;
}

const callback = expect(
  await client.POST("/v1/callbacks", {
    body: {
      phoneNumber,
      requestedStart: inMinutes(60),
      requestedEnd: inMinutes(120),
      campaignId: CALLBACK_CAMPAIGN,
      language: "en-US",
      timezone: "America/New_York",
    },
  }),
);
console.log(`callback  ${callback.id} ${callback.status}`);

const outcome = expect(
  await client.POST("/v1/campaigns/{campaignId}/pause", {
    params: { path: { campaignId: DIALED_CAMPAIGN } },
    body: {
      pauseReason: "AGENT_CAPACITY",
      scheduledResumeTime: inMinutes(1),
      maxAgents: 25,
      carrierLimit: { maxConcurrentCalls: 100, maxAgents: 30 },
      regulatoryWindow: { startTime: "00:00", endTime: "23:59", timezone: "UTC" },
    },
  }),
);
console.log(`pause     ${outcome.campaignId} ${outcome.status}, ${outcome.holds.length} holds`);

const page = expect(
  await client.GET("/v1/audit", { params: { query: { campaignId: DIALED_CAMPAIGN, limit: 5 } } }),
);
const newest = page.data[0];
if (!newest) throw new Error("the log has no entry of the campaign");
console.log(`audit     ${page.data.length} entries, the newest ${newest.action} by ${newest.actor.name}`);
