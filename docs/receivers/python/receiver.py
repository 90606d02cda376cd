"""Receives Ringback's webhooks: verifies the signature, responds, and handles each event once.

    pip install -r requirements.txt
    WEBHOOK_SECRET=whsec_… PORT=3000 python3 receiver.py
"""

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1024 * 1024
webhook = Webhook(os.environ["WEBHOOK_SECRET"])

# In memory to keep the example short. Store the event in your database before you respond, with a unique key on the
# id: a repeated insert is a duplicate, and a crash loses nothing.
seen: set[str] = set()
seen_lock = threading.Lock()
events: queue.Queue[tuple[str, dict]] = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    timeout = 15  # seconds, for a client that sends nothing

    def do_POST(self) -> None:
        self.send_response(self.receive())
        self.end_headers()

    def receive(self) -> int:
        """Returns the status to respond with."""
        size = int(self.headers.get("Content-Length", 0))
        if not 0 <= size <= MAX_BODY_BYTES:
            return 413
        body = self.rfile.read(size)
        try:
            # Takes the raw body. Also refuses a timestamp that is more than five minutes off.
            event = webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError) as error:
            print(f"rejected: {error}", flush=True)
            return 400
        webhook_id = self.headers["webhook-id"]
        with seen_lock:
            duplicate = webhook_id in seen
            seen.add(webhook_id)
        if duplicate:
            print(f"duplicate {webhook_id}", flush=True)
        else:
            events.put((webhook_id, event))  # handled after the response: Ringback waits 15 seconds for it
        return 204


def handle_events() -> None:
    while True:
        webhook_id, event = events.get()
        print(f"{event['type']} {webhook_id}", flush=True)


threading.Thread(target=handle_events, daemon=True).start()
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Receiver)
print(f"listening on http://127.0.0.1:{server.server_address[1]}/", flush=True)
server.serve_forever()
