import { describe, expect, test } from "vitest";

import { sqlitePlace, sqliteWorker } from "../../../../../test/workers/sqlite-place.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, type StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { MemoryStore } from "../memory/store.ts";
import { mementoQuery } from "../query.ts";
import { describeCall, interceptStore, type AroundCall } from "./intercept.ts";

const passOn: AroundCall = async (_, proceed) => await proceed();
const memory = await MemoryStore.open();
const sqliteSupports = { durable: true, sharedBy: "machine", bodyBytesMax: 900_000_000, reclaimsSpace: true } as const;

async function interceptedSqlitePlace(): Promise<StorePlace> {
  const place = await sqlitePlace();
  return { ...place, open: async () => interceptStore(await place.open(), passOn) };
}

describe("interceptStore() around MemoryStore", () => {
  const open = async () => interceptStore(await MemoryStore.open(), passOn);
  testStore({
    test,
    describe,
    supports: memory.supports,
    place: async () => ({ open, address: "", dispose: async () => undefined }),
  });
});

describe("interceptStore() around SqliteStore", () => {
  testStore({
    test,
    describe,
    supports: sqliteSupports,
    place: interceptedSqlitePlace,
    workerModule: sqliteWorker,
    kills: 1,
  });
});

describe("interceptStore()", () => {
  async function withCalls(
    run: (store: ReturnType<typeof interceptStore>, make: StoreFixture, calls: string[]) => Promise<void>,
  ) {
    const calls: string[] = [];
    const inner = await MemoryStore.open();
    const make = new StoreFixture(1);
    await inner.create(make.meta(), make.key("integrity"));
    await using store = interceptStore(inner, async (call, proceed) => {
      calls.push(describeCall(call));
      return await proceed();
    });
    await run(store, make, calls);
  }

  test("shows every call once, and what it is about", async () => {
    await withCalls(async (store, make, calls) => {
      const timeline = await make.timeline(store);
      const { id } = await timeline.save(store);
      await store.read(id);
      await store.close();
      const { key } = timeline;
      expect(calls).toEqual([
        `createTimeline(${key})`,
        `acquireLease(${key})`,
        `append(${id})`,
        `read(${id})`,
        "close()",
      ]);
    });
  });

  test("shows each next() of an iterable as a call, the one that ends it too", async () => {
    await withCalls(async (store, make, calls) => {
      const timeline = await make.timeline(store);
      for (let index = 0; index < 2; index++) await timeline.save(store);
      calls.length = 0;
      await collect(store.query(mementoQuery()));
      expect(calls).toEqual(["query()[0]", "query()[1]", "query()[2]"]);
      calls.length = 0;
      for await (const _ of store.commits(null)) break;
      expect(calls).toEqual(["commits()[0]"]);
    });
  });

  test("never describes wrapped keys, checks and bodies", async () => {
    await withCalls(async (store, make, calls) => {
      const key = make.key("data");
      await store.rewrapKey(key, "ring-1");
      await (await make.timeline(store)).save(store);
      expect(calls.join()).not.toContain(key.wrapped);
      expect(calls[0]).toBe(`rewrapKey(${key.id})`);
    });
  });

  test("an iterable that failed goes on behind its last item when it is asked again", async () => {
    const inner = await MemoryStore.open();
    const make = new StoreFixture(1);
    await inner.create(make.meta(), make.key("integrity"));
    const timelines = [await make.timeline(inner), await make.timeline(inner), await make.timeline(inner)];
    for (const timeline of timelines) await timeline.save(inner);
    // Below the outer store every fifth answer is lost, and with it the iterator that gave it.
    let calls = 0;
    const losing = interceptStore(inner, async (_, proceed) => {
      const result = await proceed();
      calls += 1;
      if (calls % 5 === 2) throw new Error("lost");
      return result;
    });
    const patient = interceptStore(losing, async (_, proceed) => await proceed().catch(proceed));
    const keys = timelines.map(({ key }) => key);
    expect((await collect(patient.timelines(null))).map(({ record }) => record.key)).toEqual(keys);
    expect((await collect(patient.commits(null))).length).toBe(3);
    for (const sort of ["log", "created"] as const) {
      const rows = await collect(patient.query(mementoQuery({ order: "ascending", sort, limit: 2 })));
      expect(rows.map(({ entry }) => entry.timeline)).toEqual(keys.slice(0, 2));
    }
  });
});
