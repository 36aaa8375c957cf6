import { MementoError, type ErrorCode } from "../../core/errors.ts";

/** What a client's error says, taken apart by its adapter. */
export interface ServiceAnswer {
  /** What was tried, as "read the blob a/b". */
  readonly doing: string;
  /** The HTTP status; null when no answer came. */
  readonly status: number | null;
  /** The service's own word for it, or the system's (ECONNRESET); null for none. */
  readonly code: string | null;
  readonly message: string;
  /** True when the service says that there is no such bucket or container. */
  readonly placeMissing: boolean;
  /** True when the client found no credentials, or the service that gives them refused. */
  readonly noCredentials: boolean;
  /** Texts that must not be shown. */
  readonly secrets: readonly string[];
  /** The ways out at this service, where the catalogue's own are too general. */
  readonly hints: Readonly<Partial<Record<ErrorCode, string>>>;
}

const MESSAGE_CHARACTERS_MAX = 400;

/** Of the system, of TLS and of the clients, where no answer came. */
const NETWORK =
  /^(E[A-Z]*(CONN|NET|HOST)[A-Z]*|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_[A-Z]+|ERR_(STREAM|TLS|SSL|SOCKET)_\w+|.*CERT.*|UND_ERR_\w+|HPE_\w+|REQUEST_SEND_ERROR|PARSE_ERROR|ABORT_ERR)$/;

/**
 * The MementoError for what a service answered. Its cause has the client's words without their secrets: clients keep
 * requests, with their signatures, in their errors.
 */
export function failureOfAnswer(answer: ServiceAnswer): MementoError {
  const { doing, status, code: reason, secrets } = answer;
  const said = redact(answer.message.split("\n", 1)[0] ?? "", secrets).slice(0, MESSAGE_CHARACTERS_MAX);
  const told = [status === null ? null : `HTTP ${status}`, reason].filter((word) => word !== null).join(", ");
  const code = codeOf(answer);
  const hint = answer.hints[code];
  return new MementoError(code, `Could not ${doing}: ${said}${told === "" ? "" : ` (${told})`}`, {
    cause: Object.assign(new Error(said), { code: reason, status }),
    details: { status, reason },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A text without these secrets, signatures and tokens. */
export function redact(text: string, secrets: readonly string[]): string {
  let shown = text;
  for (const secret of secrets) {
    if (secret === "") continue;
    shown = shown.replaceAll(secret, "***").replaceAll(encodeURIComponent(secret), "***");
  }
  return shown
    .replace(/\b(?<name>sig|signature|x-amz-signature|x-goog-signature)=[^&\s"'<>]+/gi, "$<name>=***")
    .replace(/\b(?<kind>bearer|sharedkey)\s+[\w.:~+/=-]{8,}/gi, "$<kind> ***");
}

function codeOf({ status, code, placeMissing, noCredentials }: ServiceAnswer): ErrorCode {
  if (placeMissing) return "PLACE_MISSING";
  if (noCredentials || status === 401 || status === 403) return "ACCESS_DENIED";
  if (status === 501) return "ENGINE_UNSUITABLE";
  if (status === 507) return "DISK_FULL";
  if (status !== null && (status === 408 || status === 429 || status >= 500)) return "STORE_UNREACHABLE";
  return status === null && code !== null && NETWORK.test(code) ? "STORE_UNREACHABLE" : "IO_FAILED";
}
