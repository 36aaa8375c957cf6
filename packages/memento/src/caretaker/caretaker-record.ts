import { isMementoError, MementoError } from "../core/errors.ts";
import { canonicalJson, type Json, type JsonObject } from "../core/json.ts";
import type { CaretakerRecord } from "../store/store.ts";
import { DEFAULT_COMPRESSION } from "../vault/compression.ts";
import type { Vault } from "../vault/vault.ts";
import { checkPolicy, type CaretakerPolicy } from "./policy.ts";

/** Keeps a memento from being removed. */
export interface Pin {
  readonly id: string;
  /** Why, for people. */
  readonly reason: string;
  /** ISO 8601. */
  readonly since: string;
  /** ISO 8601; null: until it is taken away. */
  readonly until: string | null;
  /** Set on the pin of a restore under way: it counts for as long as this lease is held. */
  readonly lease: PinLease | null;
}

/** The lease under which a restore goes on. */
export interface PinLease {
  readonly timeline: string;
  readonly epoch: number;
  readonly owner: string;
}

/** What a store keeps of a caretaker besides its mementos. */
export interface CaretakerSettings {
  readonly policy: CaretakerPolicy;
  readonly pins: readonly Pin[];
}

const NOTHING: CaretakerSettings = { policy: {}, pins: [] };
const ATTEMPTS_MAX = 200;

/** A caretaker's policy and pins; empty ones where nothing was set. DAMAGED when they were changed by somebody without the key. */
export async function readSettings(vault: Vault, caretaker: string): Promise<CaretakerSettings> {
  return (await readVersion(vault, caretaker)).settings;
}

/** The same, and which version of the record says so: 0 for none. */
export async function readVersion(
  vault: Vault,
  caretaker: string,
): Promise<{ readonly settings: CaretakerSettings; readonly version: number }> {
  const record = await vault.store.caretaker(caretaker);
  return record === null
    ? { settings: NOTHING, version: 0 }
    : { settings: settingsOf(vault, record), version: record.version };
}

/** Has the vault compress a caretaker's mementos as its policy says, from now on. */
export async function followCodec(vault: Vault, caretaker: string): Promise<void> {
  const { codec } = (await readSettings(vault, caretaker)).policy;
  const { name = DEFAULT_COMPRESSION.codec, level } = codec ?? {};
  vault.compress(caretaker, { codec: name, ...(level === undefined ? {} : { level }) });
}

/** Policy and pins of all caretakers that have any, by name. */
export async function readAllSettings(vault: Vault): Promise<Map<string, CaretakerSettings>> {
  const records = await vault.store.caretakers();
  return new Map(records.map((record) => [record.name, settingsOf(vault, record)]));
}

/**
 * Changes a caretaker's settings by compare-and-set: `change` sees the present ones, and again when somebody else was
 * faster; null leaves them as they are. `what` says in the log what was changed. LOCKED when others change them all the time.
 */
export async function changeSettings(
  vault: Vault,
  caretaker: string,
  what: JsonObject,
  change: (present: CaretakerSettings) => CaretakerSettings | null,
): Promise<CaretakerSettings> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const record = await vault.store.caretaker(caretaker);
    const present = record === null ? NOTHING : settingsOf(vault, record);
    const next = change(present);
    if (next === null) return present;
    const fixed = {
      name: caretaker,
      created: record?.created ?? new Date(vault.clock.now()).toISOString(),
      version: (record?.version ?? 0) + 1,
      policy: canonicalJson(next as unknown as Json),
    };
    const notice = vault.notice("caretaker-saved", { caretaker, timeline: null, mementos: [] }, what);
    if (await vault.store.saveCaretaker({ ...fixed, check: vault.checks.caretaker(fixed) }, notice)) return next;
  }
  throw new MementoError("LOCKED", `Others change the settings of caretaker ${caretaker} all the time`);
}

function settingsOf(vault: Vault, record: CaretakerRecord): CaretakerSettings {
  const what = `The record of caretaker ${record.name}`;
  vault.checks.demand(what, record.check, vault.checks.caretaker(record));
  return settingsFromText(record.policy, what);
}

/** Reads settings as a store and a portable file keep them. DAMAGED, FORMAT_UNKNOWN for a policy of another release; both name `what`. */
export function settingsFromText(text: string, what: string): CaretakerSettings {
  const settings = parsed(text);
  const { policy = {}, pins = [] } = settings ?? {};
  if (settings === null || !Array.isArray(pins) || !pins.every(isPin))
    throw new MementoError("DAMAGED", `${what} is not readable`);
  try {
    return { policy: checkPolicy(policy), pins };
  } catch (cause) {
    if (!isMementoError(cause, "INVALID_ARGUMENT")) throw cause;
    throw new MementoError("FORMAT_UNKNOWN", `${what} holds what this release does not know: ${cause.message}`, {
      cause,
    });
  }
}

function parsed(text: string): { readonly policy?: unknown; readonly pins?: unknown } | null {
  try {
    return JSON.parse(text) as object | null;
  } catch {
    return null;
  }
}

function isPin(value: unknown): value is Pin {
  if (typeof value !== "object" || value === null) return false;
  const { id, reason, since, until, lease } = value as Partial<Record<keyof Pin, unknown>>;
  return (
    [id, reason, since].every((field) => typeof field === "string") &&
    (until === null || typeof until === "string") &&
    typeof lease === "object"
  );
}
