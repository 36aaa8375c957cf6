import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { RedisStore } from "./store.ts";

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("RedisStore", () => {
  let server: RedisServer;
  let places = 0;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 1_000_000_000, reclaimsSpace: true },
    place: async () => {
      const url = server.url(`kit-${++places}`);
      return { open: async () => await RedisStore.openUrl(url), address: url, dispose: async () => undefined };
    },
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
