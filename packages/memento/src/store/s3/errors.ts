import { MementoError } from "../../core/errors.ts";
import { failureOfAnswer } from "../blobs/service-failure.ts";

/** What an error of the SDK says, without what it carries: some repeat the whole signed request. */
export interface S3Failure {
  /** The service's word for it, or the client's, or the system's (ECONNRESET). */
  readonly name: string;
  readonly message: string;
  /** The HTTP status; null when there was no answer. */
  readonly status: number | null;
  /** How often the SDK has sent the request. */
  readonly attempts: number;
}

const PLACE_MISSING = new Set(["NoSuchBucket", "PermanentRedirect"]);
const REFUSED = new Set([
  "AccessDenied",
  "AuthorizationHeaderMalformed",
  "CredentialsProviderError",
  "ExpiredToken",
  "InvalidAccessKeyId",
  "InvalidToken",
  "SignatureDoesNotMatch",
]);
/** The client's own words for an answer that did not come in time. */
const TOO_LATE = new Set(["AbortError", "TimeoutError"]);

const HINTS = {
  ACCESS_DENIED:
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role; a store needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket.",
  PLACE_MISSING: "Make the bucket, or correct its name, region or endpoint.",
} as const;

/** What an error of the SDK says. Throws what is none. */
export function failureOf(error: unknown): S3Failure {
  if (!(error instanceof Error) || error instanceof MementoError) throw error;
  const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number; attempts?: number } };
  const word = ["Code", "code"].map((member) => (error as unknown as Record<string, unknown>)[member]).find(isText);
  const late = TOO_LATE.has(error.name);
  return {
    name: late ? "ETIMEDOUT" : (word ?? error.name),
    message: late ? "there was no answer in time" : error.message,
    status: metadata?.httpStatusCode ?? null,
    attempts: metadata?.attempts ?? 1,
  };
}

/** A failure as one clear error, with nothing secret in it; `doing` says what was tried, as "read the blob a/b of s3://bucket". */
export function s3Error({ name, message, status }: S3Failure, doing: string): MementoError {
  return failureOfAnswer({
    doing,
    // A conflict that did not go away says nothing of what lies there.
    status: status === 409 ? 503 : status,
    code: name,
    message,
    placeMissing: PLACE_MISSING.has(name) || status === 301,
    noCredentials: REFUSED.has(name),
    secrets: [],
    hints: HINTS,
  });
}

const isText = (value: unknown): value is string => typeof value === "string";
