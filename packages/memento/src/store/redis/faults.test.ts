import process from "node:process";

import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { ask, redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import { startProxy } from "../../../../../test/harness/servers/tcp-proxy.ts";
import { isMementoError } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import { StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import type { MementoStore } from "../store.ts";
import { retryStore } from "../wrap/retry.ts";
import { PART_BYTES } from "./bodies.ts";
import { RedisStore } from "./store.ts";

const LOST_REPLIES = Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300);

async function idsOf(store: MementoStore): Promise<string[]> {
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  return rows.map(({ entry }) => entry.id);
}

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("faults of a Redis and of the way to it", () => {
  let server: RedisServer;
  let places = 0;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  async function withStore(
    run: (made: { store: RedisStore; make: StoreFixture; prefix: string }) => Promise<void>,
  ): Promise<void> {
    const prefix = `faults-${++places}`;
    await using store = await RedisStore.openUrl(server.url(prefix));
    const make = new StoreFixture(places);
    await store.create(make.meta(), make.key("integrity"));
    await run({ store, make, prefix });
  }

  test(
    "a lost answer is asked for by id: nothing is doubled, and nothing that happened is reported failed",
    { timeout: 240_000 },
    async () => {
      await withStore(async ({ store: plain, make, prefix }) => {
        await using proxy = await startProxy(server.port);
        const url = server.url(prefix).replace(String(server.port), String(proxy.port));
        await using cut = await RedisStore.openUrl(url);
        const store = retryStore(cut, { clock: systemClock });
        const timeline = await make.timeline(plain);
        const saved: string[] = [];
        let lost = 0;
        for (let round = 0; round < LOST_REPLIES; round++) {
          const record = timeline.next();
          // Before the request arrives, after it was done, or in the middle of a larger one.
          const way = round % 3;
          let isDue = true;
          let pieces = 0;
          proxy.passage = {
            toServer: (bytes, connection) => {
              pieces += pieces > 0 || bytes.includes("evalsha") ? 1 : 0;
              if (!isDue || way === 1 || pieces <= (way === 2 ? 1 : 0)) return true;
              isDue = false;
              lost += 1;
              connection.cut();
              return false;
            },
            toClient: (_, connection) => {
              if (!isDue || way !== 1) return true;
              isDue = false;
              lost += 1;
              connection.cut();
              return false;
            },
          };
          const [result] = await store.append(
            make.batch([record], way === 2 ? { body: make.random.bytes(200_000) } : {}),
          );
          expect(result).toEqual({ outcome: "appended" });
          saved.push(record.entry.id);
        }
        expect(lost).toBe(LOST_REPLIES);
        expect(await idsOf(plain)).toEqual(saved);
        expect((await collect(plain.commits(null))).length).toBe(LOST_REPLIES);
        expect(await collect(plain.check())).toEqual([]);
      });
    },
  );

  test("calls that wait fail at once when the connection ends, and the next one connects anew", async () => {
    await withStore(async ({ make, prefix }) => {
      await using proxy = await startProxy(server.port);
      await using store = await RedisStore.openUrl(server.url(prefix).replace(String(server.port), String(proxy.port)));
      const timeline = await make.timeline(store);
      proxy.passage = { toServer: () => false };
      const waiting = [store.timeline(timeline.key), store.caretakers(), timeline.save(store)];
      await new Promise((resolve) => void setTimeout(resolve, 20));
      proxy.passage = {};
      proxy.cutAll();
      for (const call of waiting) await expectCode("STORE_UNREACHABLE", async () => await call);
      expect((await store.timeline(timeline.key))?.head).toBe(null);
    });
  });

  test("a server that has become a replica, and keeps its connections, is left for the one that its address means by now", async () => {
    await using one = await startRedis();
    await using two = await startRedis("replicaof", `127.0.0.1 ${one.port}`);
    await using address = await startProxy(one.port);
    await using first = await RedisStore.openUrl(one.url("moved").replace(String(one.port), String(address.port)));
    const make = new StoreFixture(8);
    await first.create(make.meta(), make.key("integrity"));
    const store = retryStore(first, { clock: systemClock });
    const timeline = await make.timeline(store);
    const saved = [await timeline.save(store)];
    const isThere = async (): Promise<void> => {
      await using other = await RedisStore.openUrl(two.url("moved"));
      expect((await other.timeline(timeline.key))?.head?.sequence).toBe(1);
    };
    await vi.waitFor(isThere, { timeout: 30_000 });
    address.serverPort = two.port;
    await ask(two.port, "REPLICAOF NO ONE");
    await ask(one.port, `REPLICAOF 127.0.0.1 ${two.port}`);
    saved.push(await timeline.save(store));
    expect(await idsOf(store)).toEqual(saved.map(({ id }) => id));
  });

  test("a server that is silent is given up in time, and so is one that takes no connection", async () => {
    await withStore(async ({ make, prefix }) => {
      await using silent = await startRedis();
      const url = silent.url(prefix);
      await using owner = await RedisStore.openUrl(url);
      await owner.create(make.meta(), make.key("integrity"));
      await using store = await RedisStore.open({ url, commandTimeoutMs: 3_000, connectTimeoutMs: 3_000 });
      silent.signal("SIGSTOP");
      await expectCode("STORE_UNREACHABLE", async () => await store.timeline("aaaaaaaaaaaa"));
      await expectCode("STORE_UNREACHABLE", async () => {
        await using other = await RedisStore.open({ url, commandTimeoutMs: 3_000, connectTimeoutMs: 3_000 });
        await other.meta();
      });
      silent.signal("SIGCONT");
      // It may be silent for a moment more.
      await vi.waitFor(async () => expect(await store.timeline("aaaaaaaaaaaa")).toBe(null), { timeout: 60_000 });
    });
  });

  test(
    "what was acknowledged is there after the server was killed under its writers",
    { timeout: 240_000 },
    async () => {
      await using killed = await startRedis();
      await using first = await RedisStore.openUrl(killed.url("killed"));
      const make = new StoreFixture(7);
      await first.create(make.meta(), make.key("integrity"));
      const store = retryStore(first, { clock: systemClock, attemptsMax: 120 });
      const timelines = await Promise.all(Array.from({ length: 8 }, async () => await make.timeline(store)));
      const saved = new Set<string>();
      for (let kill = 0; kill < 6; kill++) {
        const over = new AbortController();
        const write = async (timeline: TestTimeline): Promise<void> => {
          while (!over.signal.aborted) {
            const body = make.random.integer(40) === 0 ? { body: make.random.bytes(PART_BYTES + 1) } : {};
            const record = timeline.next({ name: timeline.key, replaceName: true });
            const [result] = await store.append(make.batch([record], body));
            expect(result).toEqual({ outcome: "appended" });
            saved.add(record.entry.id);
          }
        };
        const enough = saved.size + 10;
        const writers = Promise.all(timelines.map(write));
        while (saved.size < enough) await new Promise((resolve) => void setTimeout(resolve, 3));
        await new Promise((resolve) => void setTimeout(resolve, 100 + make.random.integer(100)));
        await (kill % 2 === 0 ? killed.kill() : killed.stop());
        await killed.start();
        over.abort();
        await writers;
        expect(await collect(store.check())).toEqual([]);
      }
      expect(new Set(await idsOf(store))).toEqual(saved);
      expect(saved.size).toBeGreaterThan(50);
    },
  );

  test("a body of 100 MB comes back, and no command was larger than a part", { timeout: 120_000 }, async () => {
    await withStore(async ({ store, make, prefix }) => {
      const timeline = await make.timeline(store);
      const record = timeline.next();
      const body = Buffer.alloc(100_000_000);
      for (let at = 0; at < body.length; at += 1_000) body.writeUInt32BE(at, at);
      const batch = make.batch([record], { body });
      expect(await store.append(batch)).toEqual([{ outcome: "appended" }]);
      const stored = await store.read(record.entry.id);
      expect(stored?.body && Buffer.compare(stored.body, batch.body)).toBe(0);
      const [commit] = await collect(store.commits(null));
      expect(commit?.body && Buffer.compare(commit.body, batch.body)).toBe(0);
      expect(await collect(store.check())).toEqual([]);
      const ids = [record.entry.id];
      await store.remove(ids, make.notice("removed", { mementos: ids }));
      expect(await store.reclaim(ids)).toEqual({ packs: 1, bytes: batch.body.byteLength });
      const redis = new Redis(server.port, "127.0.0.1");
      expect(await redis.keys(`{${prefix}}:b:*`)).toEqual([]);
      redis.disconnect();
    });
  });

  test("parts that an ended process left are found by the check, and taken away by reclaim", async () => {
    await withStore(async ({ store, make, prefix }) => {
      const redis = new Redis(server.port, "127.0.0.1");
      const timeline = await make.timeline(store);
      await timeline.save(store);
      const left = `{${prefix}}:b:leftover`;
      await redis.mset(`${left}:0`, "abc", `${left}:1`, "de");
      await redis.zadd(`{${prefix}}:pending`, Date.now(), "leftover 3");
      expect(await collect(store.check())).toEqual([]);
      await store.reclaim([]);
      expect(await redis.exists(`${left}:0`)).toBe(1);
      await redis.zadd(`{${prefix}}:pending`, Date.now() - 2 * 3_600_000, "leftover 3");
      expect((await collect(store.check())).map(({ problem }) => problem).join()).toMatch(/of 5 bytes were begun/u);
      await store.reclaim([]);
      expect(await redis.keys(`${left}*`)).toEqual([]);
      expect(await redis.exists(`{${prefix}}:pending`)).toBe(0);
      expect(await collect(store.check())).toEqual([]);
      redis.disconnect();
    });
  });

  test("a refused save leaves no parts of its body", async () => {
    await withStore(async ({ store, make, prefix }) => {
      const timeline = await make.timeline(store);
      const [one, two] = [timeline.record(), timeline.record()];
      const body = Buffer.alloc(PART_BYTES + 5, 1);
      const results = await Promise.all(
        [one, two].map(async (record) => await store.append(make.batch([record], { body }))),
      );
      expect(
        results
          .flat()
          .map(({ outcome }) => outcome)
          .toSorted(),
      ).toEqual(["appended", "conflict"]);
      const redis = new Redis(server.port, "127.0.0.1");
      expect(await redis.keys(`{${prefix}}:b:*`)).toHaveLength(2);
      expect(await redis.exists(`{${prefix}}:pending`)).toBe(0);
      redis.disconnect();
    });
  });

  test("no key of a store has a time to live, whatever was done", async () => {
    await withStore(async ({ store, make, prefix }) => {
      const { fillStore } = await import("../../testing/store/sample.ts");
      await fillStore(store, make);
      const timeline = await make.timeline(store);
      await store.append(make.batch([timeline.next()], { body: Buffer.alloc(PART_BYTES + 1) }));
      await store.compact();
      const redis = new Redis(server.port, "127.0.0.1");
      let seen = 0;
      for (let cursor = "0"; ;) {
        const [next, keys] = await redis.scan(cursor, "MATCH", `{${prefix}}:*`, "COUNT", 1_000);
        for (const key of keys) expect([key, await redis.ttl(key)]).toEqual([key, -1]);
        seen += keys.length;
        cursor = next;
        if (cursor === "0") break;
      }
      expect(seen).toBeGreaterThan(15);
      redis.disconnect();
    });
  });

  test("a dropped key is gone from the server's files", async () => {
    await withStore(async ({ store, make }) => {
      const { readdirSync, readFileSync } = await import("node:fs");
      const { join } = await import("node:path");
      const files = (): string =>
        readdirSync(server.folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => readFileSync(join(parentPath, name), "latin1"))
          .join();
      const timeline = await make.timeline(store);
      const dataKey = make.key("data");
      await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" }));
      expect(files()).toContain(dataKey.wrapped);
      expect(await store.dropKey(dataKey.id)).toBe(true);
      expect(files()).not.toContain(dataKey.wrapped);
    });
  });

  test("errors of a lost answer may be repeated", async () => {
    await withStore(async ({ store, prefix }) => {
      await using proxy = await startProxy(server.port);
      await using cut = await RedisStore.openUrl(server.url(prefix).replace(String(server.port), String(proxy.port)));
      proxy.passage = {
        toServer: (_, connection) => {
          connection.cut();
          return false;
        },
      };
      const error: unknown = await cut.timeline("aaaaaaaaaaaa").catch((failure: unknown) => failure);
      expect(isMementoError(error, "STORE_UNREACHABLE") && error.retryable).toBe(true);
      expect(await store.timeline("aaaaaaaaaaaa")).toBe(null);
    });
  });
});
