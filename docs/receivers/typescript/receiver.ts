// Receives Ringback's webhooks: verifies the signature, responds, and handles each event once.
//
//     npm ci
//     WEBHOOK_SECRET=whsec_… PORT=3000 npm start

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

type Event = { type: string; timestamp: string };

const MAX_BODY_BYTES = 1024 * 1024;
const webhook = new Webhook(process.env.WEBHOOK_SECRET ?? "");

// In memory to keep the example short. Store the event in your database before you respond, with a unique key on the
// id: a repeated insert is a duplicate, and a crash loses nothing.
const seen = new Set<string>();

/** Returns the status to respond with. */
async function receive(request: IncomingMessage): Promise<number> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  if (size > MAX_BODY_BYTES) return 413;
  const id = String(request.headers["webhook-id"]);
  let event: Event;
  try {
    // Takes the raw body. Also refuses a timestamp that is more than five minutes off.
    event = webhook.verify(Buffer.concat(chunks), request.headers as Record<string, string>) as Event;
  } catch (error) {
    console.log(`rejected: ${error}`);
    return 400;
  }
  if (seen.has(id)) {
    console.log(`duplicate ${id}`);
  } else {
    seen.add(id);
    setImmediate(handle, id, event); // after the response: Ringback waits 15 seconds for it
  }
  return 204;
}

function handle(id: string, event: Event): void {
  console.log(`${event.type} ${id}`);
}

const server = createServer(async (request, response) => {
  response.statusCode = await receive(request).catch(() => 400); // the connection was closed
  response.end();
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
