import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { systemRandom, type Random } from "../../core/ports.ts";

/** A data key as a ring key wraps it. */
export interface WrappedKey {
  /** The id of the ring key that wrapped it. */
  readonly ring: string;
  /** base64url. */
  readonly wrapped: string;
}

/**
 * The keys that a deployment holds. They never seal bodies: they wrap data keys, so that rotation re-wraps and a
 * key-management service fits behind the same two calls.
 */
export interface KeyRing {
  /** Wraps with the ring's current key; `bound` is authenticated with it. */
  wrap(key: Uint8Array, bound: string): Promise<WrappedKey>;
  /** Unwraps; KEY_WRONG when the ring has no such key, DAMAGED when it has and the wrapping does not open. */
  unwrap(key: WrappedKey, bound: string): Promise<Uint8Array>;
  /** The keys that it holds, the current one first, as far as they are known before one was used. */
  keys?(): readonly RingKey[];
  /** The same keys with another one as the current one; null when it holds no such key. */
  withCurrent?(id: string): KeyRing | null;
  /** True while it holds the key, looked up afresh. */
  holds?(id: string): Promise<boolean>;
  /** True while the key is the current one, looked up afresh. A ring whose keys do not change while it is open needs no such method. */
  isCurrent?(id: string): Promise<boolean>;
}

/** A key of a ring, for people. */
export interface RingKey {
  readonly id: string;
  /** Where it comes from: a file, a variable, a service. Never a secret. */
  readonly origin: string;
  /** The key file that holds it, where it is in one. */
  readonly file?: string;
}

/** The length of every key, in bytes. */
export const KEY_BYTES = 32;

/** The id of a ring key: derived from it one way, so that the same key has the same id everywhere. */
export function ringKeyId(key: Uint8Array): string {
  return `k${createHmac("sha256", key).update("memento ring key id 1").digest("base64url").slice(0, 10)}`;
}

/** A ring of raw 256-bit keys; the first one wraps, all of them unwrap. AES-256-GCM with a random nonce. */
export function rawKeyRing(
  keys: readonly Uint8Array[],
  random: Random = systemRandom,
  from: Omit<RingKey, "id"> = { origin: "raw key" },
): KeyRing {
  const byId = new Map(keys.map((key) => [ringKeyId(checkedKey(key)), key]));
  const [current] = keys;
  if (current === undefined) throw new MementoError("KEY_MISSING", "The key ring is empty");
  return {
    keys: () => [...byId.keys()].map((id) => ({ id, ...from })),
    holds: async (id) => byId.has(id),
    withCurrent: (id) => {
      const chosen = byId.get(id);
      return chosen === undefined ? null : rawKeyRing([chosen, ...keys.filter((key) => key !== chosen)], random, from);
    },
    wrap: async (key, bound) => {
      const nonce = random.bytes(12);
      const cipher = createCipheriv("aes-256-gcm", current, nonce).setAAD(Buffer.from(bound, "utf8"));
      const wrapped = Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
      return { ring: ringKeyId(current), wrapped: wrapped.toString("base64url") };
    },
    unwrap: async ({ ring, wrapped }, bound) => {
      const key = byId.get(ring);
      if (key === undefined) {
        throw new MementoError(
          "KEY_WRONG",
          `The store needs the key ${ring}; the ring holds ${[...byId.keys()].join(", ")}`,
        );
      }
      const bytes = Buffer.from(wrapped, "base64url");
      if (bytes.length !== 12 + KEY_BYTES + 16 || bytes.toString("base64url") !== wrapped)
        throw new MementoError("DAMAGED", `A key wrapped by ${ring} is not what was written`);
      const opener = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12)).setAAD(Buffer.from(bound, "utf8"));
      opener.setAuthTag(bytes.subarray(-16));
      try {
        return Buffer.concat([opener.update(bytes.subarray(12, -16)), opener.final()]);
      } catch (cause) {
        throw new MementoError("DAMAGED", `A key wrapped by ${ring} does not open`, { cause });
      }
    },
  };
}

const WRAP_ATTEMPTS_MAX = 3;

/**
 * Wraps by a ring's current key, and opens the wrapping again before anything relies on it: what is sealed by a key that
 * came back as something else is lost. KEY_SERVICE_FAILED when it does not open to the same key.
 */
export async function wrapChecked(ring: KeyRing, key: Uint8Array, bound: string): Promise<WrappedKey> {
  for (let attempt = 1; ; attempt++) {
    const wrapped = await ring.wrap(key, bound);
    const failure = await whyNotOpened(ring, wrapped, bound, key);
    if (failure === null) return wrapped;
    // The key may have been revoked between the two calls; then the ring has another current one by now.
    if (isMementoError(failure, "KEY_WRONG") && attempt < WRAP_ATTEMPTS_MAX) continue;
    throw new MementoError(
      "KEY_SERVICE_FAILED",
      `What ${wrapped.ring} wrapped is not what was given to it; nothing was sealed by it, and nothing replaced`,
      { cause: failure },
    );
  }
}

async function whyNotOpened(
  ring: KeyRing,
  wrapped: WrappedKey,
  bound: string,
  key: Uint8Array,
): Promise<MementoError | null> {
  try {
    const opened = await ring.unwrap(wrapped, bound);
    if (opened.length === key.length && timingSafeEqual(opened, key)) return null;
    return new MementoError("DAMAGED", `A key wrapped by ${wrapped.ring} opens to another one`);
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "KEY_WRONG")) return error;
    throw error;
  }
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length === KEY_BYTES) return key;
  throw new MementoError("KEY_WRONG", `A key has ${key.length} bytes and must have ${KEY_BYTES}`);
}

/** The error for a key that a ring or a key file does not hold. */
export function keyNotHeld(where: string, id: string): MementoError {
  return new MementoError("NOT_FOUND", `${where} does not hold the key ${id}`, {
    hint: "`memento keys list` names those that it holds.",
  });
}
