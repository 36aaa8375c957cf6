import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";
import { mustRepeat, OPEN_PRIMARY } from "../sql/session.ts";

type Meaning = readonly [code: ErrorCode, reason: string, errors: readonly number[]];

/** The server's error numbers, as far as each has a meaning of its own here. */
const MEANINGS: readonly Meaning[] = [
  ["ACCESS_DENIED", "the account was refused", [1044, 1045, 1698, 1862, 3118, 3955]],
  ["ACCESS_DENIED", "the account may not do that", [1142, 1143, 1227, 1370, 1419]],
  ["ACCESS_DENIED", "the server, or the account, is read-only", [1290, 1792, 1836]],
  ["PLACE_MISSING", "there is no such database", [1049]],
  ["STORE_UNREACHABLE", "the server takes no more connections", [1040, 1041, 1203, 1226]],
  [
    "STORE_UNREACHABLE",
    "the server is stopping, or has ended the connection",
    [1053, 1077, 1079, 1158, 1159, 1160, 1161, 1927, 4031],
  ],
  ["STORE_UNREACHABLE", "the statement took too long", [1317, 1969, 3024]],
  ["LOCKED", "another transaction holds the lock", [1205, 3572]],
  ["DISK_FULL", "there is no space left", [1021, 1114]],
  ["DAMAGED", "its tables are not those of a store", [1054, 1109, 1146, 1305]],
  ["DAMAGED", "a row breaks a rule of its table", [1048, 1062, 1136, 1169, 3819, 4025]],
  ["DAMAGED", "a value is not of the form that its column has", [1264, 1265, 1292, 1366, 1406]],
  ["DAMAGED", "the server found its own files damaged", [1034, 1035, 1194, 1195, 1712, 1877, 1932, 3000]],
  ["CAPABILITY_MISSING", "the server's max_allowed_packet is too small", [1153, 1162]],
];

const KNOWN = new Map(MEANINGS.flatMap(([code, reason, errors]) => errors.map((error) => [error, { code, reason }])));

/** A replica, or a server that was taken out of use: no right of the account's helps. */
const READ_ONLY: ReadonlySet<number> = new Set([1290, 1792, 1836]);

/** Others had to go first: nothing was done, and the same may be tried again. */
const REPEATED: ReadonlySet<number> = new Set([1020, 1213]);

/** What Node and the client say of a connection that is not there, or not there any more. */
const UNREACHABLE =
  /^(?:ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|ENOENT|ERR_SOCKET|PROTOCOL_|HANDSHAKE_)|closed state|Connection lost|Queue limit/u;
/** What Node says of a certificate that it does not trust. */
const UNTRUSTED = /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/u;

/** The number by which the server tells its errors apart; 0 for any other error. */
export function errorNumber(error: unknown): number {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number") return 0;
  // Node's own errors have numbers below zero.
  return "sqlState" in error && error.errno > 0 ? error.errno : 0;
}

/** Says in our words what the client or the server threw; passes our own errors through. `url` holds no secret. */
export function failureOf(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const number = errorNumber(cause);
  if (REPEATED.has(number)) return mustRepeat(`${url}: others went first (${cause.message})`, cause);
  if (number !== 0) {
    const isFull = /errno: 28\b|Errcode: 28\b|No space left/u.test(cause.message);
    const unknown = { code: isFull ? "DISK_FULL" : "IO_FAILED", reason: "the server refused" } as const;
    const { code, reason } = KNOWN.get(number) ?? unknown;
    const hint = READ_ONLY.has(number) ? { hint: OPEN_PRIMARY } : {};
    return new MementoError(code, `${url}: ${reason} (${cause.message})`, {
      cause,
      details: { errno: number },
      ...hint,
    });
  }
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const message = cause instanceof AggregateError ? cause.errors.map(String).join("; ") : cause.message;
  if (UNTRUSTED.test(code))
    return new MementoError("STORE_UNREACHABLE", `${url}: the server's certificate is not trusted (${message})`, {
      cause,
    });
  if (UNREACHABLE.test(code) || UNREACHABLE.test(message))
    return new MementoError("STORE_UNREACHABLE", `${url}: ${message}`, { cause });
  // What is not the engine's refusal is a fault of the program: it keeps its own name and stack.
  throw error;
}

/** True when the connection cannot be used any more. */
export function isLost(error: unknown): boolean {
  const number = errorNumber(error);
  if (number === 0) return !isMementoError(error) || error.code === "STORE_UNREACHABLE";
  return KNOWN.get(number)?.code === "STORE_UNREACHABLE";
}
