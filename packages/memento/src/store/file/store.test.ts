import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, test } from "vitest";

import type { StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { FileStore } from "./store.ts";

async function filePlace(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), "memento-file-"));
  const path = join(folder, "store");
  return {
    open: () => FileStore.open({ path }),
    address: path,
    dispose: () => rm(folder, { recursive: true }),
  };
}

describe("FileStore", () => {
  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "machine", bodyBytesMax: 2 ** 30, reclaimsSpace: true },
    place: filePlace,
    workerModule: new URL("../../../../../test/workers/file-store.ts", import.meta.url),
  });
});
