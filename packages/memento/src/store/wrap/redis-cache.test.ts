import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { memoryInUse } from "../../../../../test/harness/memory-in-use.ts";
import { redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { chaosStore } from "../../testing/chaos-store.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { expectCode } from "../../testing/store/kit.ts";
import { sealedBatch } from "../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../memory/store.ts";
import { cacheStore, type SharedPackCache } from "./cache.ts";
import { interceptStore } from "./intercept.ts";
import { framePack, unframePack } from "./pack-frame.ts";
import { RedisPackCache } from "./redis-cache.ts";

const isThere = await requireEngine("Redis", redisIsThere);

/** For caches that must have what was put there: a Redis on a busy machine is not a silent one. */
const PATIENT = { timeoutMs: 20_000 } as const;

/** A store with sealed packs, and two processes' worth of caches before it. */
async function filled(shared: SharedPackCache) {
  const inner = await MemoryStore.open();
  const make = new StoreFixture(1);
  await inner.create(make.meta(true), make.key("integrity"));
  const timeline = await make.timeline(inner);
  const dataKey = make.key("data");
  const records = Array.from({ length: 5 }, () => timeline.next());
  for (const record of records) await inner.append(sealedBatch(make, [record], dataKey));
  const ids = records.map(({ entry }) => entry.id);
  const [one, two] = [cacheStore(inner, { shared }), cacheStore(inner, { shared })];
  return { inner, make, records, ids, dataKey, one, two };
}

describe.skipIf(!isThere)("RedisPackCache", () => {
  let server: RedisServer;
  let client: Redis;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis({ port: server.port });
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  async function settled(name = "*"): Promise<string[]> {
    for (let tries = 0; tries < 2_000; tries++) {
      const keys = await client.keys(name);
      if (keys.length >= 5) return keys;
      await sleep(10);
    }
    throw new Error("nothing came to Redis");
  }

  test("what one process read, another one has from Redis, with a time after which it is gone", async () => {
    await using shared = await RedisPackCache.open({ client, ttlMs: 60_000, prefix: "a:", ...PATIENT });
    const { inner, one, two, ids } = await filled(shared);
    for (const id of ids) await one.read(id);
    const keys = await settled("a:*");
    expect(keys.length).toBe(5);
    for (const key of keys) {
      const ttl = await client.pttl(key);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(60_000);
    }
    for (const id of ids) expect(await two.read(id)).toEqual(await inner.read(id));
    expect(two.cacheFacts()).toMatchObject({ sharedHits: 5, misses: 0 });
  });

  test("only sealed bytes are there: no key, and nothing of a store that is not sealed", async () => {
    await using shared = await RedisPackCache.open({
      url: `redis://127.0.0.1:${server.port}/3`,
      prefix: "b:",
      ...PATIENT,
    });
    const third = new Redis({ port: server.port, db: 3 });
    const { one, ids, dataKey } = await filled(shared);
    for (const id of ids) await one.read(id);
    const open = await MemoryStore.open();
    const make = new StoreFixture(2);
    await open.create(make.meta(), make.key("integrity"));
    const cached = cacheStore(open, { shared, trustMs: 1_000 });
    const { id } = await (await make.timeline(open)).save(open);
    await cached.read(id);
    await shared[Symbol.asyncDispose]();
    const values = await Promise.all((await third.keys("*")).map(async (key) => await third.getBuffer(key)));
    expect(values.length).toBe(5);
    for (const value of values) {
      const { header } = unframePack(value ?? Buffer.alloc(0)) ?? { header: new Uint8Array() };
      expect(JSON.parse(Buffer.from(header).toString("utf8"))).toMatchObject({ suite: "A256GCM" });
      expect(value?.includes(dataKey.wrapped)).toBe(false);
    }
    third.disconnect();
  });

  test("a pack that was replaced or whose key was destroyed is not given from Redis", async () => {
    await using shared = await RedisPackCache.open({ client, prefix: "c:", ...PATIENT });
    const { inner, make, one, two, ids, records, dataKey } = await filled(shared);
    for (const id of ids) await one.read(id);
    await settled("c:*");
    const fresh = make.key("data");
    await inner.retireKey(dataKey.id);
    for (const [at, id] of ids.entries()) {
      const { header, body } = sealedBatch(make, records.slice(at, at + 1), fresh);
      await inner.replacePack({
        ids: [id],
        header,
        body,
        expectedHeaderDigest: null,
        dataKey: at === 0 ? fresh : null,
      });
    }
    await inner.dropKey(dataKey.id);
    for (const id of ids) {
      expect(await two.read(id)).toEqual(await inner.read(id));
      expect(await one.read(id)).toEqual(await inner.read(id));
    }
    expect(two.cacheFacts()).toMatchObject({ sharedHits: 0, misses: 5 });
  });

  test("what was changed in Redis is not believed", async () => {
    await using shared = await RedisPackCache.open({ client, prefix: "d:", ...PATIENT });
    const { inner, one, two, ids } = await filled(shared);
    for (const id of ids) await one.read(id);
    const keys = await settled("d:*");
    const values = await Promise.all(keys.map(async (key) => (await client.getBuffer(key)) ?? Buffer.alloc(0)));
    const flipped = Buffer.from(values[0] ?? []);
    flipped[flipped.length - 40] = (flipped[flipped.length - 40] ?? 0) ^ 1;
    const spoilt = [flipped, values[2], values[1], (values[3] ?? Buffer.alloc(0)).subarray(0, 30), Buffer.alloc(0)];
    for (const [at, key] of keys.entries()) await client.set(key, spoilt[at] ?? Buffer.alloc(0));
    for (const id of ids) expect(await two.read(id)).toEqual(await inner.read(id));
    expect(two.cacheFacts()).toMatchObject({ sharedHits: 0, misses: 5 });
    expect(shared.facts().spoiled).toBe(3);
  });

  test("a sound entry with other sealed bytes is no more than a wrong answer of Redis: it is not kept", async () => {
    await using shared = await RedisPackCache.open({ client, prefix: "e:", ...PATIENT });
    const { inner, one, ids } = await filled(shared);
    for (const id of ids) await one.read(id);
    for (const key of await settled("e:*")) {
      const { header, body } = unframePack((await client.getBuffer(key)) ?? Buffer.alloc(0)) ?? {
        header: Buffer.alloc(0),
        body: Buffer.alloc(0),
      };
      await client.set(key, framePack({ header, body: Buffer.alloc(body.byteLength) }));
    }
    const isWhole = async (pack: { readonly body: Uint8Array }): Promise<boolean> =>
      pack.body.some((byte) => byte !== 0);
    const trusting = cacheStore(inner, { shared });
    expect((await trusting.read(ids[0] ?? ""))?.body?.some((byte) => byte !== 0)).toBe(false);
    expect(trusting.cacheFacts().packs).toBe(0);
    const checking = cacheStore(inner, { shared, isWhole });
    for (const id of ids) expect(await checking.read(id)).toEqual(await inner.read(id));
  });

  test("a pack that was damaged when it was read, and is mended, is given mended to all", async () => {
    await using shared = await RedisPackCache.open({ client, prefix: "f:", ...PATIENT });
    const { inner, two, ids } = await filled(shared);
    const sick = { isSick: true };
    const one = cacheStore(
      interceptStore(inner, async (call, proceed) => {
        const answer = await proceed();
        if (call.method === "read" && sick.isSick) (answer as { readonly body: Uint8Array }).body.fill(0);
        return answer;
      }),
      { shared },
    );
    for (const id of ids) await one.read(id);
    await settled("f:*");
    sick.isSick = false;
    for (const id of ids) {
      const { header, body } = (await inner.read(id)) ?? expect.fail("it is gone");
      await one.replacePack({ ids: [id], header, body, expectedHeaderDigest: null, dataKey: null });
    }
    for (const id of ids) await vi.waitFor(async () => expect(await two.read(id)).toEqual(await inner.read(id)));
    for (const id of ids) expect(await one.read(id)).toEqual(await inner.read(id));
  });

  test("a store that failed once is asked again", async () => {
    await using shared = await RedisPackCache.open({ client, prefix: "g:", ...PATIENT });
    const { inner, ids } = await filled(shared);
    let asked = 0;
    const before = ({ method }: { readonly method: string }): void => {
      if (method !== "meta") return;
      asked += 1;
      if (asked === 1) throw new MementoError("STORE_UNREACHABLE", "made to fail");
    };
    const store = cacheStore(chaosStore(inner, { before }), { shared });
    const [id = ""] = ids;
    await expectCode("STORE_UNREACHABLE", () => store.read(id));
    expect(await store.read(id)).toEqual(await inner.read(id));
  });

  test("a Redis that dies, hangs and comes back is never noticed by readers, and told of once", async () => {
    await using mortal = await startRedis();
    const failures: string[] = [];
    const options = { url: `redis://127.0.0.1:${mortal.port}`, timeoutMs: 2_000, pauseMs: 50 };
    await using shared = await RedisPackCache.open({ ...options, onFailure: (reason) => void failures.push(reason) });
    const { inner, ids } = await filled(shared);
    const readAll = async (): Promise<void> => {
      const store = cacheStore(inner, { shared });
      for (const id of ids) expect(await store.read(id)).toEqual(await inner.read(id));
    };
    await vi.waitFor(
      async () => {
        await readAll();
        expect(shared.facts()).toMatchObject({ answers: true });
      },
      { timeout: 60_000 },
    );
    const known = failures.length;
    mortal.signal("SIGSTOP");
    await readAll();
    expect(shared.facts().answers).toBe(false);
    mortal.signal("SIGCONT");
    await mortal.kill();
    await readAll();
    expect(failures.length).toBeGreaterThan(known);
    await mortal.start();
    for (let tries = 0; !shared.facts().answers && tries < 2_000; tries++) {
      await sleep(25);
      await readAll();
    }
    expect(shared.facts().answers).toBe(true);
  });

  test("what a silent Redis was sent does not stay in memory", async () => {
    await using silent = await startRedis();
    const url = `redis://127.0.0.1:${silent.port}`;
    await using shared = await RedisPackCache.open({ url, timeoutMs: 20, pauseMs: 0 });
    silent.signal("SIGSTOP");
    const before = memoryInUse();
    for (let round = 0; round < 60; round++) {
      shared.put(`pack ${round}`, { header: new Uint8Array(10), body: new Uint8Array(4_000_000) });
      await sleep(100);
    }
    expect(memoryInUse() - before).toBeLessThan(120_000_000);
    silent.signal("SIGCONT");
  });

  test("a Redis that is not there is a cache with nothing in it", async () => {
    await using shared = await RedisPackCache.open({ url: "redis://127.0.0.1:1", pauseMs: 0 });
    const { inner, one, ids } = await filled(shared);
    for (const id of ids) expect(await one.read(id)).toEqual(await inner.read(id));
    expect(shared.facts().answers).toBe(false);
  });
});

describe("RedisPackCache.open()", () => {
  test("wants a URL or a client", async () => {
    await expectCode("INVALID_ARGUMENT", () => RedisPackCache.open({}));
  });

  test.each(["http://127.0.0.1/", "127.0.0.1", "redis://u:SECRET@127.0.0.1:99999", "redis://u:SECRET%zz@127.0.0.1"])(
    "refuses %s, and repeats no secret",
    async (url) => {
      const error: unknown = await RedisPackCache.open({ url }).catch((caught: unknown) => caught);
      expect(isMementoError(error, "INVALID_ARGUMENT")).toBe(true);
      expect(inspect(error)).not.toContain("SECRET");
    },
  );
});

describe("unframePack()", () => {
  test("gives what was framed, and nothing of any value that was cut or changed", () => {
    const pack = { header: Buffer.from("header"), body: Buffer.from("body") };
    const framed = framePack(pack);
    expect(unframePack(framed)).toEqual(pack);
    for (let at = 0; at < framed.length; at++) {
      expect(unframePack(framed.subarray(0, at))).toBe(null);
      const changed = Buffer.from(framed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(unframePack(changed)).toBe(null);
    }
  });
});
