// Reads {secret, headers, body} from standard input; ends with status 0 where the signature is right, 1 where it is not.
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
try {
  new Webhook(secret).verify(body, headers);
} catch (error) {
  process.exit(error instanceof WebhookVerificationError ? 1 : 2);
}
