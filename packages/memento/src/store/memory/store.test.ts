import { describe, test } from "vitest";

import { testStore } from "../../testing/store/store-kit.ts";
import { MemoryStore } from "./store.ts";

const probe = await MemoryStore.open();

describe("MemoryStore", () => {
  testStore({
    test,
    describe,
    supports: probe.supports,
    place: async () => ({ open: () => MemoryStore.open(), address: "", dispose: async () => undefined }),
  });
});
