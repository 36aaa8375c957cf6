import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";
import { mustRepeat, OPEN_PRIMARY } from "../sql/session.ts";

/** PostgreSQL's codes, or their classes (the first two characters), as far as each has a meaning of its own here. */
const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  "08": ["STORE_UNREACHABLE", "the connection failed"],
  "22": ["DAMAGED", "a value is not of the form that its column has"],
  "22021": ["INVALID_ARGUMENT", "PostgreSQL's texts do not take a character"],
  "22P05": ["ENGINE_UNSUITABLE", "the database's encoding does not have a character; one in UTF8 has them all"],
  "23": ["DAMAGED", "a row breaks a rule of its table"],
  "25006": ["ACCESS_DENIED", "the database, or the account's session, is read-only"],
  "25P03": ["STORE_UNREACHABLE", "the transaction was held up for too long"],
  "28": ["ACCESS_DENIED", "the account was refused"],
  "3D000": ["PLACE_MISSING", "there is no such database"],
  "3F000": ["DAMAGED", "the schema is gone"],
  "42": ["DAMAGED", "its tables are not those of a store"],
  "42501": ["ACCESS_DENIED", "the account may not do that"],
  "53": ["IO_FAILED", "the server has too little of something"],
  "53100": ["DISK_FULL", "there is no space left"],
  "53300": ["STORE_UNREACHABLE", "the server takes no more connections"],
  "55P03": ["LOCKED", "another transaction holds the lock"],
  "57": ["STORE_UNREACHABLE", "the server is stopping or starting"],
  "57014": ["STORE_UNREACHABLE", "the statement took too long"],
  "58": ["IO_FAILED", "the server's disk refused to read or write"],
  MM003: ["ENGINE_UNSUITABLE", "a replica cannot tell where its log is settled; open the primary"],
  XX: ["DAMAGED", "the server found its own files damaged"],
  XX000: ["IO_FAILED", "the server failed inside"],
};

/** Others had to go first: nothing was done, and the same may be tried again. */
const REPEATED: ReadonlySet<string> = new Set(["40001", "40P01"]);

/** What Node says of a connection that is not there, or not there any more. */
const UNREACHABLE =
  /^(?:ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|ENOENT|ERR_SOCKET)|Connection terminated|timeout e|Query read timeout|Client has encountered a connection error|not queryable|server does not support SSL/u;
/** What Node says of a certificate that it does not trust. */
const UNTRUSTED = /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_/u;

/** The five characters by which PostgreSQL tells its errors apart; empty for any other error. */
export function sqlState(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && "severity" in (error as Error) ? code : "";
}

/** Says in our words what the client or the server threw; passes our own errors through. `url` holds no secret. */
export function failureOf(error: unknown, url: string): MementoError {
  if (isMementoError(error)) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const state = sqlState(cause);
  if (REPEATED.has(state)) return mustRepeat(`${url}: others went first (${cause.message})`, cause);
  const known = CODES[state] ?? CODES[state.slice(0, 2)];
  if (state !== "") {
    const [code, reason] = known ?? ["IO_FAILED", "PostgreSQL refused"];
    const hint = state === "25006" ? { hint: OPEN_PRIMARY } : {};
    return new MementoError(code, `${url}: ${reason} (${cause.message})`, {
      cause,
      details: { sqlState: state },
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
  if (/SASL|password must be a string/u.test(message))
    return new MementoError("ACCESS_DENIED", `${url}: the server wants a password (${message})`, { cause });
  // What is not the engine's refusal is a fault of the program: it keeps its own name and stack.
  throw error;
}

/** True when the connection cannot be used any more. */
export function isLost(error: unknown): boolean {
  const state = sqlState(error);
  return state === "" ? !isMementoError(error) || error.code === "STORE_UNREACHABLE" : /^(?:08|57P|25P03)/u.test(state);
}
