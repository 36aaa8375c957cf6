import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";

/** What the brokers' error ids, and the client's own codes, are in our words. The first that is found anywhere in an error decides. */
const CODES: readonly (readonly [code: ErrorCode, names: readonly string[]])[] = [
  [
    "ACCESS_DENIED",
    [
      "PLT_KFK_AUTHENTICATION",
      "SASL_AUTHENTICATION_FAILED",
      "UNSUPPORTED_SASL_MECHANISM",
      "TOPIC_AUTHORIZATION_FAILED",
      "GROUP_AUTHORIZATION_FAILED",
      "CLUSTER_AUTHORIZATION_FAILED",
      "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    ],
  ],
  ["SOURCE_RANGE_GONE", ["OFFSET_OUT_OF_RANGE"]],
  ["RECORD_INVALID", ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD"]],
  ["PLACE_MISSING", ["UNKNOWN_TOPIC_ID", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION"]],
  ["ENGINE_UNSUITABLE", ["UNSUPPORTED_VERSION", "PLT_KFK_UNSUPPORTED_API", "PLT_KFK_UNSUPPORTED"]],
  ["LOCKED", ["CONCURRENT_TRANSACTIONS"]],
  ["DISK_FULL", ["KAFKA_STORAGE_ERROR"]],
];

const FENCED = new Set([
  "PRODUCER_FENCED",
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "INVALID_TXN_STATE",
]);

/** True for what the client library throws. */
export const isKafkaError = (error: unknown): error is Error =>
  error instanceof Error && "code" in error && String(error.code).startsWith("PLT_KFK_");

/** True where the broker knows a younger producer of the same transactional id, or has given up a transaction that took too long. */
export const isBrokerFenced = (error: unknown): boolean => allOf(error).some((each) => FENCED.has(idOf(each)));

/** True where an account, or what it may do, was refused. */
export const isRefused = (error: unknown): boolean =>
  allOf(error).some((each) => CODES[0]?.[1].includes(idOf(each)) === true);

/** True for a topic that the brokers do not know. */
export const isUnknownTopic = (error: unknown): boolean =>
  allOf(error).some((each) => idOf(each).startsWith("UNKNOWN_TOPIC") || each.message.startsWith("Unknown topic "));

/** Says in our words what the client library threw; our own errors, and faults of the program, pass through. `where` is without secrets. */
export function failureOf(error: unknown, where: string): unknown {
  if (isMementoError(error) || !isKafkaError(error)) return error;
  const all = allOf(error);
  const ids = new Set(all.map((each) => idOf(each)));
  const found = CODES.find(([, names]) => names.some((name) => ids.has(name)));
  const code = found?.[0] ?? (isUnknownTopic(error) ? "PLACE_MISSING" : "STORE_UNREACHABLE");
  return new MementoError(code, `${where}: ${reasonOf(all, found?.[1] ?? [])}`, { cause: error });
}

/** The most telling message: the one that decided the code, or the deepest cause. */
function reasonOf(all: readonly Error[], names: readonly string[]): string {
  const deciding = all.find((each) => names.includes(idOf(each)));
  const deepest = all.at(-1);
  return (deciding ?? deepest)?.message ?? "the brokers did not answer";
}

/** What is worth knowing lies deep in `errors`, and in `cause`. */
function allOf(error: unknown): Error[] {
  const seen: Error[] = [];
  const visit = (each: unknown): void => {
    if (!(each instanceof Error) || seen.includes(each)) return;
    seen.push(each);
    if (each instanceof AggregateError) for (const inner of each.errors) visit(inner);
    visit(each.cause);
  };
  visit(error);
  return seen;
}

function idOf(error: Error): string {
  if ("apiId" in error && typeof error.apiId === "string") return error.apiId;
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
