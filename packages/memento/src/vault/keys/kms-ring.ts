import { isMementoError, MementoError } from "../../core/errors.ts";
import { KEY_BYTES, type KeyRing } from "./key-ring.ts";

/**
 * A key of a key-management service. The key itself never leaves the service; what it wraps is bound to `bound`, which
 * the service authenticates with it (and may write to its own audit log: it holds a data key's id and its caretaker's name).
 */
export interface KmsClient {
  /** What the store keeps as the ring key's id, for example `aws-kms:arn:…`. Stands in the clear. */
  readonly id: string;
  /** The service, for people. */
  readonly service: string;
  /** How long a call may take, retries of the service's client included. Default a minute. */
  readonly answerMsMax?: number | undefined;
  /** `signal` is aborted when the call has taken too long. */
  wrap(key: Uint8Array, bound: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Throws DAMAGED when the service finds that the bytes or `bound` are not what was wrapped. */
  unwrap(wrapped: Uint8Array, bound: string, signal: AbortSignal): Promise<Uint8Array>;
}

/** How long a service may take for its answer. */
const ANSWER_MS_MAX = 60_000;

/**
 * A ring of keys of key-management services: the first wraps, all of them unwrap. A record is only ever opened by a key that
 * is named here, whatever the record says: a key of somebody else's would let him forge the store.
 * KEY_SERVICE_FAILED when the service does not answer or refuses.
 */
export function kmsKeyRing(...clients: readonly [KmsClient, ...KmsClient[]]): KeyRing {
  const [current] = clients;
  const byId = new Map(clients.map((client) => [client.id, client]));
  return {
    keys: () => [...byId.values()].map(({ id, service }) => ({ id, origin: service })),
    holds: async (id) => byId.has(id),
    withCurrent: (id) => {
      const chosen = byId.get(id);
      return chosen === undefined ? null : kmsKeyRing(chosen, ...clients.filter((client) => client !== chosen));
    },
    wrap: async (key, bound) => {
      const wrapped = await asked(current, async (signal) => await current.wrap(key, bound, signal));
      return { ring: current.id, wrapped: Buffer.from(wrapped).toString("base64url") };
    },
    unwrap: async ({ ring, wrapped }, bound) => {
      const client = byId.get(ring);
      if (client === undefined)
        throw new MementoError(
          "KEY_WRONG",
          `The store needs the key ${ring}; the ring holds ${[...byId.keys()].join(", ")}`,
        );
      const bytes = Buffer.from(wrapped, "base64url");
      if (bytes.length === 0 || bytes.toString("base64url") !== wrapped)
        throw new MementoError("DAMAGED", `A key wrapped by ${ring} is not what was written`);
      const key = await asked(client, async (signal) => await client.unwrap(bytes, bound, signal));
      if (key.length === KEY_BYTES) return key;
      throw new MementoError("DAMAGED", `A key wrapped by ${ring} has ${key.length} bytes`);
    },
  };
}

/** What a service's client throws is told by name and message alone: its request, with the credentials in it, goes no further. */
async function asked(
  { id, service, answerMsMax = ANSWER_MS_MAX }: KmsClient,
  call: (signal: AbortSignal) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const signal = AbortSignal.timeout(answerMsMax);
  try {
    return await Promise.race([call(signal), endOf(signal)]);
  } catch (error) {
    if (signal.aborted)
      throw new MementoError(
        "KEY_SERVICE_FAILED",
        `${service} did not answer within ${answerMsMax / 1_000} s for the key ${id}`,
      );
    if (isMementoError(error)) throw error;
    const [name, message] = error instanceof Error ? [error.name, error.message] : ["Error", String(error)];
    throw new MementoError(
      "KEY_SERVICE_FAILED",
      `${service} did not do its part with the key ${id}: ${name}: ${message.slice(0, 300)}`,
    );
  }
}

/** Rejects when the signal is aborted: not every client listens to it. */
async function endOf(signal: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** The error for a wrapping that the service could not open. */
export function unopened(id: string): MementoError {
  return new MementoError("DAMAGED", `A key wrapped by ${id} does not open`);
}

/** The error for a key that the service does not have, or no longer lets anybody use. */
export function unusable(id: string, why: string): MementoError {
  return new MementoError("KEY_WRONG", `The key ${id} cannot be used: ${why}`);
}
