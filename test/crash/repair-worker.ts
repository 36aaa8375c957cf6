/**
 * Repairs a store from a replica, and dies by SIGKILL at a call of the store. Arguments: driver, folder, and the call's
 * number and phase (0: it lives). Prints the names of its calls.
 */
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

import { Memento } from "../../packages/memento/src/memento.ts";
import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import type { RepairResult } from "../../packages/memento/src/vault/repair.ts";
import { CallCounter, type KillPoint } from "./killing.ts";

// The keys of the store and of its replica.
const REPAIR_KEYS = { raw: [new Uint8Array(32).fill(5)] };

/** Opens one of the two stores; its calls go through the counter where there is one. */
export async function openForRepair(driver: string, place: string, counter: CallCounter | null): Promise<Memento> {
  const store = driver === "file" ? await FileStore.open({ path: place }) : await SqliteStore.open({ path: place });
  return await Memento.open(counter === null ? store : counter.wrap("store", store), { keys: REPAIR_KEYS });
}

/** Plans and applies a repair of `store` from `replica`, both in this folder. */
export async function repairIn(driver: string, folder: string, counter: CallCounter | null): Promise<RepairResult> {
  await using replica = await openForRepair(driver, path.join(folder, "replica"), null);
  await using memento = await openForRepair(driver, path.join(folder, "store"), counter);
  const replicas = [{ name: "replica", vault: replica.vault }];
  const { hash } = await memento.planRepair({ replicas });
  return await memento.repair({
    replicas,
    plan: hash,
    setAside: async (name, bytes) => {
      const file = path.join(folder, `aside-${name}`);
      if (!existsSync(file)) writeFileSync(file, bytes);
    },
  });
}

const [driver = "", folder = "", call = "0", phase = "before"] = process.argv.slice(2);
if (process.argv[1] === import.meta.filename) {
  const counter = new CallCounter({ call: Number(call), phase: phase as KillPoint["phase"] });
  await repairIn(driver, folder, counter);
  process.stdout.write(JSON.stringify(counter.names));
}
