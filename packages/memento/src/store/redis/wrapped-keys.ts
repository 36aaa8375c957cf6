import type { Redis } from "ioredis";

import { MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { KeyRecord } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { KEYS_ALL, RETIRE, REWRAP, WIPED } from "./lua/records.ts";
import { fieldsOf, keyOf } from "./rows.ts";

const LOOK_AGAIN_MS = 20;

/** Every wrapped key that was not destroyed, in the order of their making. */
export async function readKeys(calls: StoreCalls): Promise<readonly KeyRecord[]> {
  const { rest } = await calls.read(KEYS_ALL, [calls.keys.keys], []);
  const keys: KeyRecord[] = [];
  for (let at = 0; at < rest.length; at += 2) {
    const key = keyOf(String(rest[at]), fieldsOf(rest[at + 1] as unknown[]));
    if (key !== null) keys.push(key);
  }
  return keys;
}

/** Replaces a key's wrapping while it is still by `expectedRing`. */
export async function rewrapKey(
  calls: StoreCalls,
  { id, ring, wrapped }: KeyRecord,
  expectedRing: string,
): Promise<boolean> {
  return (await calls.write(REWRAP, [calls.keys.key(id)], [expectedRing, ring, wrapped])).rest[0] === 1;
}

/** Retires a data key, or drops it. `mustWipe`: the engine's own log may still have what was dropped. */
export async function retireKey(
  calls: StoreCalls,
  id: string,
  state: "retired" | "dropped",
): Promise<{ readonly wasThere: boolean; readonly mustWipe: boolean }> {
  const { outcome, rest } = await calls.write(RETIRE, [calls.keys.key(id)], [state]);
  if (outcome === "integrity") throw new MementoError("INVALID_ARGUMENT", `The integrity key cannot be ${state}`);
  return { wasThere: rest[0] === 1, mustWipe: rest[1] === 1 };
}

/** What the engine's log came to when it was written anew. */
export interface RewrittenLog {
  /** `done`; `refused` where the service does not allow it; `busy` when it took too long or failed. */
  readonly outcome: "done" | "refused" | "busy";
  readonly bytesFreed: number;
}

/**
 * Has the server write its append-only file anew, so that what was dropped is no longer in its files. Several times where
 * one was under way already, which began before.
 */
export async function rewriteEngineLog(calls: StoreCalls, clock: Clock, patienceMs: number): Promise<RewrittenLog> {
  const deadline = clock.monotonic() + patienceMs;
  return await calls.link.withServer(async (node) => {
    const before = await persistence(node);
    if (before === null) return { outcome: "refused", bytesFreed: 0 };
    if (before.get("aof_enabled") !== "1") return { outcome: "done", bytesFreed: 0 };
    for (let started = false; clock.monotonic() < deadline; await clock.sleep(LOOK_AGAIN_MS)) {
      const now = await persistence(node);
      if (now?.get("aof_rewrite_in_progress") === "1" || now?.get("aof_rewrite_scheduled") === "1") continue;
      if (!started) {
        const answer = await begin(node);
        if (answer === "refused") return { outcome: "refused", bytesFreed: 0 };
        started = answer === "begun";
        continue;
      }
      if (now?.get("aof_last_bgrewrite_status") !== "ok") return { outcome: "busy", bytesFreed: 0 };
      const freed = Number(before.get("aof_current_size") ?? 0) - Number(now.get("aof_current_size") ?? 0);
      return { outcome: "done", bytesFreed: Math.max(0, freed) };
    }
    return { outcome: "busy", bytesFreed: 0 };
  });
}

/** Notes that nothing that was dropped is left in the engine's log. */
export async function noteWiped(calls: StoreCalls): Promise<void> {
  await calls.write(WIPED, [], []);
}

async function begin(node: Redis): Promise<"begun" | "busy" | "refused"> {
  try {
    await node.bgrewriteaof();
    return "begun";
  } catch (error) {
    if (error instanceof Error && error.message.includes("already in progress")) return "busy";
    if (isRefusal(error)) return "refused";
    throw error;
  }
}

async function persistence(node: Redis): Promise<ReadonlyMap<string, string> | null> {
  try {
    const lines = (await node.info("persistence")).split("\r\n");
    return new Map(lines.map((line) => line.split(/:(.*)/s).slice(0, 2) as [string, string]));
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof Error && /^NOPERM|unknown command|not allowed/i.test(error.message);
