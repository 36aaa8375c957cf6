import { MementoError, type ErrorCode } from "../../core/errors.ts";

/** What an error of the SDK says, without what it carries: some errors repeat the whole signed request. */
export interface S3Failure {
  readonly name: string;
  readonly message: string;
  /** The HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  /** How often the SDK has sent the request. */
  readonly attempts: number;
}

const BY_NAME: Readonly<Record<string, ErrorCode>> = {
  NoSuchBucket: "PLACE_MISSING",
  PermanentRedirect: "PLACE_MISSING",
  AccessDenied: "ACCESS_DENIED",
  AccountProblem: "ACCESS_DENIED",
  AllAccessDisabled: "ACCESS_DENIED",
  AuthorizationHeaderMalformed: "ACCESS_DENIED",
  CredentialsProviderError: "ACCESS_DENIED",
  ExpiredToken: "ACCESS_DENIED",
  InvalidAccessKeyId: "ACCESS_DENIED",
  InvalidToken: "ACCESS_DENIED",
  SignatureDoesNotMatch: "ACCESS_DENIED",
  NotImplemented: "ENGINE_UNSUITABLE",
  EntityTooLarge: "IO_FAILED",
  QuotaExceeded: "DISK_FULL",
  XMinioStorageFull: "DISK_FULL",
};

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  301: "PLACE_MISSING",
  401: "ACCESS_DENIED",
  403: "ACCESS_DENIED",
  408: "STORE_UNREACHABLE",
  409: "STORE_UNREACHABLE",
  429: "STORE_UNREACHABLE",
  501: "ENGINE_UNSUITABLE",
  507: "DISK_FULL",
};

const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ACCESS_DENIED:
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role; a store needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket.",
  PLACE_MISSING: "Make the bucket, or correct its name, region or endpoint.",
};

/** What an error of the SDK says. Passes on what is none. */
export function failureOf(error: unknown): S3Failure {
  if (!(error instanceof Error) || error instanceof MementoError) throw error;
  const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number; attempts?: number } };
  const code = "Code" in error && typeof error.Code === "string" ? error.Code : error.name;
  // A server that answers something else than S3 leaves the SDK without a name and a message.
  return { name: code, message: error.message, status: metadata?.httpStatusCode, attempts: metadata?.attempts ?? 1 };
}

/** A failure as one clear error that names the place and nothing secret. */
export function s3Error({ name, message, status }: S3Failure, doing: string, url: string): MementoError {
  const code = BY_NAME[name] ?? (status === undefined ? codeWithoutAnswer(name) : (BY_STATUS[status] ?? codeOf(status)));
  const said = [name, status === undefined ? "" : `HTTP ${status}`, message].filter((part) => part !== "");
  const reason = said.join(", ").replace(/\s+/g, " ").slice(0, 300);
  const hint = HINTS[code];
  return new MementoError(code, `Could not ${doing} ${url}: ${reason}`, {
    cause: new Error(`${name}: ${message}`),
    details: { reason: name, ...(status === undefined ? {} : { status }) },
    ...(hint === undefined ? {} : { hint }),
  });
}

function codeOf(status: number): ErrorCode {
  return status >= 500 ? "STORE_UNREACHABLE" : "IO_FAILED";
}

/** Errors of the SDK's own, before or in place of an answer; all but a few are of the network. */
function codeWithoutAnswer(name: string): ErrorCode {
  return ["TypeError", "RangeError", "ValidationException"].includes(name) ? "IO_FAILED" : "STORE_UNREACHABLE";
}
