import type { MementoError } from "../../core/errors.ts";
import { failureOfAnswer } from "../blobs/service-failure.ts";

const HINTS = {
  ACCESS_DENIED:
    "Check GOOGLE_APPLICATION_CREDENTIALS or the machine's service account; it needs storage.objects.get, create, delete and list on the bucket.",
  PLACE_MISSING: "Make the bucket, or correct its name or the endpoint.",
} as const;

/** Said by google-auth-library, where it finds no account, and by Google's token service, where it refuses one. */
const NO_CREDENTIALS =
  /could not load the default credentials|invalid_grant|invalid_client|unauthorized_client|invalid_rapt/i;

interface ClientError {
  readonly message: string;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly type?: unknown;
}

/** What an error of @google-cloud/storage is in our words. `finds: "bucket"` where a 404 can only mean that. */
export function gcsFailure(error: unknown, doing: string, finds: "blob" | "bucket"): MementoError {
  const facts: ClientError = error instanceof Error ? error : { message: String(error) };
  const status = statusOf(facts.code) ?? statusOf(facts.status);
  const word = typeof facts.code === "string" && statusOf(facts.code) === null ? facts.code : null;
  return failureOfAnswer({
    doing,
    status,
    code: word ?? (facts.type === "request-timeout" || facts.type === "body-timeout" ? "ETIMEDOUT" : null),
    message: facts.message,
    placeMissing: status === 404 && (finds === "bucket" || saysNoBucket(facts.message)),
    noCredentials: NO_CREDENTIALS.test(facts.message),
    secrets: [],
    hints: HINTS,
  });
}

/** True for what Google says of a bucket that is not there. */
export function saysNoBucket(message: string): boolean {
  return /bucket does not exist/i.test(message);
}

/** The HTTP status that the client has put there, as a number or as text. */
function statusOf(value: unknown): number | null {
  const number = typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN;
  return Number.isInteger(number) && number >= 100 && number < 600 ? number : null;
}
