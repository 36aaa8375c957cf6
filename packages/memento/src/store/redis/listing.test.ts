import process from "node:process";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { runProcess } from "../../../../../test/harness/process.ts";
import { redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import { expectAppended, StoreFixture } from "../../testing/store/fixture.ts";
import { RedisStore } from "./store.ts";

const LIST = fileURLToPath(new URL("../../../../../test/workers/url-list.ts", import.meta.url));
/** What a process has that lists: what it holds is a fifth of that. The rows of the whole list, held at once, take some 90 MB. */
const HEAP_MB = 96;
const TIMELINES = 20;
const SINGLE = 1_000;
const PACKED = 99_000;
const PACK = 150;

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))(
  "a list of 100,000 mementos on Redis",
  { timeout: 200_000 },
  () => {
    let server: RedisServer;
    beforeAll(async () => {
      server = await startRedis();
      await using store = await RedisStore.openUrl(server.url("listing"));
      const make = new StoreFixture(1);
      await store.create(make.meta(), make.key("integrity"));
      const lines = [];
      for (let index = 0; index < TIMELINES; index++) lines.push(await make.timeline(store));
      for (let index = 0; index < SINGLE; index++) await lines[0]?.save(store, { labels: { number: String(index) } });
      for (let index = 0; index < PACKED / PACK; index++) {
        const line = lines[index % TIMELINES];
        if (line === undefined) continue;
        const records = Array.from({ length: PACK }, () =>
          line.next({ created: new Date((index * 7_919) % 4_001).toISOString() }),
        );
        expectAppended(await store.append(make.batch(records)));
      }
    }, 300_000);
    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    test.each(["log", "created"])("by %s fits into a small heap", async (sort) => {
      const limit = `--max-old-space-size=${HEAP_MB}`;
      const { stdout, exitCode, stderr } = await runProcess(
        process.execPath,
        [limit, LIST, server.url("listing"), sort],
        { timeoutMs: 180_000 },
      );
      expect(exitCode, stderr.slice(0, 2_000)).toBe(0);
      expect(Number(stdout)).toBe(SINGLE + PACKED);
    });
  },
);
