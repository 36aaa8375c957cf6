import { isMementoError, type ErrorCode } from "../core/errors.ts";
import { systemClock, type Clock } from "../core/ports.ts";
import type { EngineFacts, MementoStore, StoreMeta, StoreSupports } from "./store.ts";
import type { ReplicaLag, ReplicatedStore } from "./wrap/index.ts";

/** How long a kind of call took, in milliseconds: the median of a few. */
export interface HealthLatencies {
  /** The store's own facts; a driver may remember them. */
  readonly meta: number;
  /** A look for a timeline that is not there. */
  readonly timeline: number;
  /** A look for a memento that is not there. */
  readonly read: number;
}

/** How a store is. */
export interface StoreHealth {
  readonly url: string;
  /** True: every call was answered. */
  readonly isHealthy: boolean;
  /** What the first call that failed said. */
  readonly problem: { readonly code: ErrorCode; readonly message: string; readonly hint: string } | null;
  /** null for a place that holds no store, and where it could not be asked. */
  readonly store: Pick<StoreMeta, "id" | "format" | "sealed" | "created"> | null;
  /** null where the driver cannot tell, or could not be asked. */
  readonly engine: EngineFacts | null;
  readonly supports: StoreSupports;
  /** null where a call failed. */
  readonly latencies: HealthLatencies | null;
  /** How far each replica is behind; null for a store that has none. */
  readonly replicas: readonly ReplicaLag[] | null;
}

/** How to look. */
export interface HealthOptions {
  /** How often each call is timed; 3 by default. */
  readonly rounds?: number;
  /** The store that has the replicas, where it is wrapped by another one. */
  readonly replicated?: Pick<ReplicatedStore, "lag">;
  readonly clock?: Clock;
}

const NOWHERE = "000000000000";

/**
 * Asks a store how it is: by calls that change nothing and cost little. Never throws what the store throws: that is what it
 * tells. A replica that lags or fails is shown, and leaves the store healthy; whoever asks decides how much is too much.
 */
export async function healthOf(store: MementoStore, options: HealthOptions = {}): Promise<StoreHealth> {
  const { rounds = 3, clock = systemClock } = options;
  const replicated = options.replicated ?? (hasReplicas(store) ? store : null);
  const facts = { url: store.url, supports: store.supports };
  const seen: { -readonly [Part in "store" | "engine" | "latencies" | "replicas"]: StoreHealth[Part] } = {
    store: null,
    engine: null,
    latencies: null,
    replicas: null,
  };
  try {
    const meta = await store.meta();
    if (meta !== null) {
      const { id, format, sealed, created } = meta;
      seen.store = { id, format, sealed, created };
      seen.latencies = await latenciesOf(store, rounds, clock);
      seen.engine = (await store.engine?.()) ?? null;
      seen.replicas = (await replicated?.lag()) ?? null;
    }
    return { ...facts, ...seen, isHealthy: true, problem: null };
  } catch (error) {
    if (!isMementoError(error)) throw error;
    const { code, message, hint } = error;
    return { ...facts, ...seen, isHealthy: false, problem: { code, message, hint } };
  }
}

function hasReplicas(store: MementoStore): store is ReplicatedStore {
  return "lag" in store && typeof store.lag === "function";
}

async function latenciesOf(store: MementoStore, rounds: number, clock: Clock): Promise<HealthLatencies> {
  const timed = async (call: () => Promise<unknown>): Promise<number> => {
    const durations: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const begun = clock.monotonic();
      await call();
      durations.push(clock.monotonic() - begun);
    }
    return durations.toSorted((a, b) => a - b)[rounds >> 1] ?? 0;
  };
  return {
    meta: await timed(async () => await store.meta()),
    timeline: await timed(async () => await store.timeline(NOWHERE)),
    read: await timed(async () => await store.read(`${NOWHERE}-1-000000`)),
  };
}
