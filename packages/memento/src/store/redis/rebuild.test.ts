import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import type { Json } from "../../core/json.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { fixtureAuthority } from "../../testing/store/authority.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { RedisStore } from "./store.ts";

interface Filled {
  readonly store: RedisStore;
  readonly make: StoreFixture;
  readonly redis: Redis;
  /** The full name of a key of the store. */
  readonly key: (name: string) => string;
  /** Every key of the store that begins so. */
  readonly keys: (name: string) => Promise<readonly string[]>;
  readonly before: Json;
}

type Tamper = (filled: Filled) => Promise<unknown>;

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("an index of a store on Redis", () => {
  let server: RedisServer;
  let places = 0;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** Lends a store that holds a row of every kind, with all that it answers. */
  async function withFilled(run: (filled: Filled) => Promise<void>): Promise<void> {
    const prefix = `rebuild-${++places}`;
    await using store = await RedisStore.openUrl(server.url(prefix));
    const redis = new Redis(server.port, "127.0.0.1");
    const key = (name: string): string => `{${prefix}}:${name}`;
    try {
      const make = new StoreFixture(1);
      await store.create(make.meta(), make.key("integrity"));
      await fillStore(store, make);
      const keys = async (name: string): Promise<readonly string[]> => (await redis.keys(`${key(name)}*`)).toSorted();
      await run({ store, make, redis, key, keys, before: await allAnswers(store) });
    } finally {
      redis.disconnect();
    }
  }

  /** Changes the place of the memento of a name. */
  const changePlace =
    (name: string, change: (place: string) => string | null): Tamper =>
    async ({ store, redis, key }) => {
      const id = await store.findByName(name === "silver" ? "lab" : "etl", name);
      const [timeline = "", sequence = ""] = id?.split("-") ?? [];
      const bucket = key(`m:${timeline}:0`);
      const changed = change((await redis.hget(bucket, sequence)) ?? "");
      await (changed === null ? redis.hdel(bucket, sequence) : redis.hset(bucket, sequence, changed));
    };

  const everyTimeline =
    (change: (redis: Redis, key: string) => Promise<unknown>): Tamper =>
    async ({ redis, keys }) => {
      for (const key of await keys("t:")) await change(redis, key);
    };

  const mendable: readonly (readonly [string, Tamper])[] = [
    ["a memento's place is gone", changePlace("gold", () => null)],
    ["a last memento's place is gone", changePlace("silver", () => null)],
    ["a place has another nonce", changePlace("gold", (place) => place.replace(/^\w{6}/u, "aaaaaa"))],
    ["a place points to another slot", changePlace("gold", (place) => place.replace(/^(\w+ \d+) \d+/u, "$1 0"))],
    ["a place points to another commit", changePlace("gold", (place) => place.replace(/ \d+/u, " 2"))],
    ["a place has another name", changePlace("gold", (place) => place.replace("gold", "cold"))],
    ["a place does not read", changePlace("gold", () => "?")],
    ["a removal is by a commit that does not say so", changePlace("silver", (place) => place.replace(/ 0 /u, " 1 "))],
    ["all places are gone", async ({ redis, keys }) => await redis.del(...(await keys("m:")))],
    [
      "removals were undone",
      async ({ redis, keys }) => {
        for (const key of await keys("m:"))
          for (const [field, place] of Object.entries(await redis.hgetall(key)))
            await redis.hset(key, field, place.replace(/^(\w+ \d+ \d+) \d+/u, "$1 0"));
      },
    ],
    ["heads went back", everyTimeline(async (redis, key) => await redis.hincrby(key, "sequence", -1))],
    ["heads name another memento", everyTimeline(async (redis, key) => await redis.hset(key, "head", "x-1-aaaaaa"))],
    [
      "heads were forgotten",
      everyTimeline(async (redis, key) => await redis.hdel(key, "sequence", "head", "headCheck")),
    ],
    ["names are gone", async ({ redis, key }) => await redis.del(key("names"))],
    ["a name points elsewhere", async ({ redis, key }) => await redis.hset(key("names"), '["etl","gold"]', "x-1-a")],
    ["a name is nobody's", async ({ redis, key }) => await redis.hset(key("names"), '["etl","new"]', "x-1-a")],
    ["addresses are gone", async ({ redis, key }) => await redis.del(key("at"))],
    ["the log's counter went back", async ({ redis, key }) => await redis.hset(key("store"), "last", "3")],
    ["the log's counter went far ahead", async ({ redis, key }) => await redis.hset(key("store"), "last", "999999999")],
  ];

  test.each(mendable)("is put back when %s", { timeout: 60_000 }, async (name, tamper) => {
    await withFilled(async (filled) => {
      const { store, make, before } = filled;
      await tamper(filled);
      const authority = fixtureAuthority(make);
      const dry = await store.rebuildIndex(authority, true);
      expect(dry.changes.length).toBeGreaterThan(0);
      expect(dry.problems).toEqual([]);
      // A log that claims to be endless is not read to its end.
      if (!name.includes("far ahead")) expect((await collect(store.check())).length).toBeGreaterThan(0);
      expect(await store.rebuildIndex(authority, false)).toEqual(dry);
      expect(await collect(store.check())).toEqual([]);
      expect(await allAnswers(store)).toEqual(before);
      expect(await store.rebuildIndex(authority, false)).toEqual({ changes: [], problems: [] });
    });
  });

  test.each([
    ["a notice is gone", async ({ redis, key }: Filled) => await redis.hdel(key("log:0"), "1")],
    ["the last commits are gone", async ({ redis, key }: Filled) => await redis.hdel(key("log:0"), "9", "10", "11")],
    ["a notice does not read", async ({ redis, key }: Filled) => await redis.hset(key("log:0"), "1", "?")],
    [
      "a notice's header was changed",
      async ({ redis, key }: Filled) => {
        const row = (await redis.hget(key("log:0"), "1")) ?? "";
        await redis.hset(key("log:0"), "1", row.replace("etl", "lte"));
      },
    ],
  ] satisfies readonly (readonly [string, Tamper])[])("says so in the log when %s", async (name, tamper) => {
    await withFilled(async (filled) => {
      const { store, make, redis, keys } = filled;
      await tamper(filled);
      // What stood in lost packs is lost with them: its places too.
      if (name.includes("commits"))
        for (const key of await keys("m:"))
          for (const [field, place] of Object.entries(await redis.hgetall(key)))
            if (/^\w+ (9|10|11) /u.test(place)) await redis.hdel(key, field);
      expect((await collect(store.check())).length).toBeGreaterThan(0);
      const { changes, problems } = await store.rebuildIndex(fixtureAuthority(make), false);
      expect(problems).toEqual([]);
      expect(changes.map(({ problem }) => problem).join()).toMatch(/takes its place/u);
      expect(await collect(store.check())).toEqual([]);
      const headers = (await collect(store.commits(null))).map(({ header }) => Buffer.from(header).toString());
      expect(headers.some((header) => header.includes('"kind":"repaired"'))).toBe(true);
    });
  });

  test("a pack whose header was changed is found by every read, kept for salvage, and replaced whole", async () => {
    await withFilled(async ({ store, make, redis, key }) => {
      const timeline = await make.timeline(store);
      const record = timeline.next();
      const batch = make.batch([record]);
      await store.append(batch);
      const { id } = record.entry;
      const fields = Object.entries(await redis.hgetall(key("log:0"))).find(([, row]) => row.includes(id));
      const [commit = "", row = ""] = fields ?? [];
      await redis.hset(key("log:0"), commit, row.replace('"type":"pack"', '"type":"kcap"'));
      await expectCode("DAMAGED", async () => await store.read(id));
      expect((await collect(store.check())).map(({ problem }) => problem)).toContain(
        `The header of commit ${commit} was changed`,
      );
      const { changes } = await store.rebuildIndex(fixtureAuthority(make), true);
      expect(changes).toEqual([]);
      const salvaged = await store.salvage(id);
      expect(salvaged?.mementos).toEqual([{ id, slot: 0, removed: false }]);
      expect(Buffer.from(salvaged?.body ?? [])).toEqual(Buffer.from(batch.body));
      const whole = { ids: [id], header: batch.header, body: batch.body, dataKey: null, expectedHeaderDigest: null };
      expect(await store.replacePack(whole)).toBe(true);
      expect(Buffer.from((await store.read(id))?.header ?? [])).toEqual(Buffer.from(batch.header));
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("a body that is gone or cut is found by read and check", async () => {
    await withFilled(async ({ store, make, redis, keys }) => {
      const timeline = await make.timeline(store);
      const { id } = await timeline.save(store);
      const bodies = await keys("b:");
      for (const body of bodies) await redis.setrange(body, await redis.strlen(body), "x");
      await expectCode("DAMAGED", async () => await store.read(id));
      expect((await collect(store.check())).length).toBe(bodies.length);
      await redis.del(...bodies);
      await expectCode("DAMAGED", async () => await store.read(id));
      await expectCode("DAMAGED", async () => await collect(store.commits(null)));
      expect((await collect(store.check())).length).toBe(bodies.length);
    });
  });

  test("a counter that went back writes over nothing: the next save is DAMAGED", async () => {
    await withFilled(async ({ store, make, redis, key }) => {
      const timeline = await make.timeline(store);
      await redis.hset(key("store"), "last", "2");
      await expectCode("DAMAGED", async () => await store.append(make.batch([timeline.record()])));
      await expectCode("DAMAGED", async () => await store.note(make.notice("restored")));
      expect((await store.timeline(timeline.key))?.head).toBe(null);
    });
  });

  test("a place that was emptied is NOT_A_STORE, and no empty store", async () => {
    await withFilled(async ({ store, make, redis, keys }) => {
      await redis.del(...(await keys("")));
      await expectCode("NOT_A_STORE", async () => await store.timeline("aaaaaaaaaaaa"));
      await expectCode("NOT_A_STORE", async () => await collect(store.commits(null)));
      await expectCode("NOT_A_STORE", async () => await store.note(make.notice("restored")));
    });
  });
});
