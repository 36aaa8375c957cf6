import { MementoError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { checkSpan } from "./duration.ts";

/** How many mementos to keep, and of which moments. Whatever one rule keeps is kept. */
export interface KeepRules {
  /** The newest so many. Nothing takes these away: neither an age nor a limit. */
  readonly last?: number;
  /** The newest of each of the last so many hours that have one; and so on. */
  readonly hourly?: number;
  readonly daily?: number;
  /** Weeks begin on Mondays. */
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  /** All that are at most this much older than the newest one, as in `30d` or `1y6mo`. */
  readonly within?: string;
}

/** How a caretaker's packs are compressed. */
export interface CodecChoice {
  readonly name: "zstd" | "gzip" | "brotli" | "none";
  readonly level?: number;
}

/**
 * What a caretaker does with its mementos. Every field may be left out; without a rule nothing is ever removed. Heads of
 * timelines, pinned mementos and protected labels stay whatever the rules say.
 */
export interface CaretakerPolicy {
  /** What none of these keeps is removed. */
  readonly keep?: KeepRules;
  /** Nothing younger than this is removed by `keep`; without `keep`, everything older is. */
  readonly olderThan?: string;
  /** Everything older than this is removed, `keep` or not, except for the `last` ones. */
  readonly ttl?: string;
  /** At most so many mementos stay; the oldest go first. */
  readonly maxCount?: number;
  /** The mementos that stay hold at most so many encoded bytes; the oldest go first. */
  readonly maxBytes?: number;
  /** Labels, as `key` or `key=value`: a memento that has one of them is never removed. */
  readonly keepLabels?: readonly string[];
  /** What the rules count over: each timeline by itself (default), or the caretaker as a whole. */
  readonly over?: "timeline" | "caretaker";
  /** The time zone, by its IANA name, in which hours, days, weeks, months and years are told apart. Default UTC. */
  readonly timeZone?: string;
  /** Paths into a memento's metadata that are kept in the clear, so that a store can be queried by them. */
  readonly queryable?: readonly string[];
  readonly codec?: CodecChoice;
}

/** The rules of `keep` that go by the calendar, shortest first. */
export const CALENDAR_RULES = ["hourly", "daily", "weekly", "monthly", "yearly"] as const;

const CODECS: Readonly<Record<CodecChoice["name"], readonly [number, number]>> = {
  zstd: [1, 19],
  gzip: [1, 9],
  brotli: [0, 11],
  none: [0, 0],
};
const LIST_ITEMS_MAX = 100;

type Check = (what: string, value: Json) => void;

const KEEP: Readonly<Record<keyof KeepRules, Check>> = {
  last: checkCount,
  hourly: checkCount,
  daily: checkCount,
  weekly: checkCount,
  monthly: checkCount,
  yearly: checkCount,
  within: checkSpanField,
};

const POLICY: Readonly<Record<keyof CaretakerPolicy, Check>> = {
  keep: (what, value) => {
    checkFields(what, value, KEEP);
    if (Object.keys(value as JsonObject).length === 0) throw invalid(what, "at least one rule");
  },
  olderThan: checkSpanField,
  ttl: checkSpanField,
  maxCount: checkCount,
  maxBytes: checkCount,
  keepLabels: (what, value) => checkTexts(what, value, /^[^=]+(?:=.*)?$/su, "labels as key or key=value"),
  over: (what, value) => {
    if (value !== "timeline" && value !== "caretaker") throw invalid(what, "timeline or caretaker");
  },
  timeZone: checkTimeZone,
  queryable: (what, value) => checkTexts(what, value, /^[^.]+(?:\.[^.]+)*$/u, "paths such as customer or order.region"),
  codec: checkCodec,
};

/** Returns a policy that was read from JSON, or throws INVALID_ARGUMENT naming the field that is wrong and what it takes. */
export function checkPolicy(value: unknown): CaretakerPolicy {
  checkFields("", value as Json, POLICY);
  const policy = value as CaretakerPolicy;
  const { keep, maxCount } = policy;
  if (keep?.last !== undefined && maxCount !== undefined && maxCount < keep.last) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The policy contradicts itself: keep.last is ${keep.last} and maxCount is ${maxCount}`,
    );
  }
  return policy;
}

function checkFields(what: string, value: Json, fields: Readonly<Record<string, Check>>): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(what, "an object");
  for (const [name, field] of Object.entries(value)) {
    const check = Object.hasOwn(fields, name) ? fields[name] : undefined;
    const path = what === "" ? name : `${what}.${name}`;
    if (check === undefined) {
      throw new MementoError("INVALID_ARGUMENT", `A policy has no ${path}; it takes ${Object.keys(fields).join(", ")}`);
    }
    check(path, field);
  }
}

function checkCount(what: string, value: Json): void {
  if (!Number.isSafeInteger(value) || Number(value) < 1) throw invalid(what, "a whole number from 1 on");
}

function checkSpanField(what: string, value: Json): void {
  if (typeof value !== "string") throw invalid(what, "a span of time such as 30d");
  checkSpan(value, `The policy's ${what}`);
}

function checkTimeZone(what: string, value: Json): void {
  try {
    if (typeof value === "string" && new Intl.DateTimeFormat("en", { timeZone: value }).format() !== "") return;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw invalid(what, "a time zone's name such as Europe/Vienna");
}

function checkTexts(what: string, value: Json, form: RegExp, wanted: string): void {
  const sound =
    Array.isArray(value) &&
    value.length <= LIST_ITEMS_MAX &&
    (value as readonly Json[]).every((item) => typeof item === "string" && form.test(item));
  if (!sound) throw invalid(what, `a list of up to ${LIST_ITEMS_MAX} ${wanted}`);
}

function checkCodec(what: string, value: Json): void {
  checkFields(what, value, { name: () => undefined, level: () => undefined });
  const { name, level } = value as { readonly name?: Json; readonly level?: Json };
  const codec = Object.keys(CODECS).find((known) => known === name) as CodecChoice["name"] | undefined;
  if (codec === undefined) throw invalid(`${what}.name`, Object.keys(CODECS).join(", "));
  if (level === undefined) return;
  const [least, most] = CODECS[codec];
  const sound = codec !== "none" && Number.isInteger(level) && Number(level) >= least && Number(level) <= most;
  if (!sound)
    throw invalid(`${what}.level`, codec === "none" ? "nothing with none" : `${least} to ${most} with ${codec}`);
}

function invalid(what: string, wanted: string): MementoError {
  const field = what === "" ? "A policy is" : `The policy's ${what} takes`;
  return new MementoError("INVALID_ARGUMENT", `${field} ${wanted}`);
}
