import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import type { StorePlace } from "../../packages/memento/src/testing/store/kit.ts";

/** A place of the conformance kit: a database in a temporary folder of its own. */
export async function sqlitePlace(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), "memento-sqlite-"));
  const path = join(folder, "store.db");
  return {
    open: async () => await SqliteStore.open({ path }),
    address: path,
    dispose: async () => await rm(folder, { recursive: true }),
  };
}

/** The module by which the kit's worker processes open such a place. */
export const sqliteWorker = new URL("./sqlite-store.ts", import.meta.url);
