import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, test } from "vitest";

import type { StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { SqliteStore } from "./store.ts";

async function sqlitePlace(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), "memento-sqlite-"));
  const path = join(folder, "store.db");
  return {
    open: () => SqliteStore.open({ path }),
    address: path,
    dispose: () => rm(folder, { recursive: true }),
  };
}

describe("SqliteStore", () => {
  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "machine", bodyBytesMax: 900_000_000, reclaimsSpace: true },
    place: sqlitePlace,
    workerModule: new URL("../../../../../test/workers/sqlite-store.ts", import.meta.url),
  });
});
