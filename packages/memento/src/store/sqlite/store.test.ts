import { describe, test } from "vitest";

import { sqlitePlace, sqliteWorker } from "../../../../../test/workers/sqlite-place.ts";
import { testStore } from "../../testing/store/store-kit.ts";

describe("SqliteStore", () => {
  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "machine", bodyBytesMax: 900_000_000, reclaimsSpace: true },
    place: sqlitePlace,
    workerModule: sqliteWorker,
  });
});
