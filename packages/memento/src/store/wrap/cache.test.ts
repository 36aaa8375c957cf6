import { describe, expect, test } from "vitest";

import { testWrapped } from "../../../../../test/workers/embedded-places.ts";
import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { expectCode } from "../../testing/store/kit.ts";
import { sealedBatch } from "../../testing/store/sealed-batch.ts";
import { MemoryStore } from "../memory/store.ts";
import type { MementoStore } from "../store.ts";
import { cacheStore } from "./cache.ts";
import { interceptStore } from "./intercept.ts";

testWrapped("cacheStore()", (store, { supports }) =>
  // Nobody else can have a memory store, so that all of the kit's packs, which are not sealed, are kept there.
  cacheStore(store, supports.sharedBy === "process" ? { trustMs: Infinity } : { bytesMax: 2_000 }),
);

/** A store with one sealed pack of two mementos in it, behind a cache, and how often it was read. */
async function filled(options: Parameters<typeof cacheStore>[1] = {}) {
  const inner = await MemoryStore.open();
  const make = new StoreFixture(1);
  await inner.create(make.meta(true), make.key("integrity"));
  const calls = { read: 0, glance: 0 };
  const counted = interceptStore(inner, async (call, proceed) => {
    if (call.method === "read" || call.method === "glance") calls[call.method] += 1;
    return await proceed();
  });
  const store = cacheStore(counted, options);
  const timeline = await make.timeline(inner);
  const records = [timeline.next(), timeline.next()];
  const dataKey = make.key("data");
  const batch = sealedBatch(make, records, dataKey);
  await inner.append(batch);
  const ids = records.map(({ entry }) => entry.id);
  return { inner, store, make, calls, batch, records, dataKey, ids, first: ids[0] ?? "", second: ids[1] ?? "" };
}

describe("cacheStore()", () => {
  test("reads a sealed pack once for all of its mementos, and asks each time what they are by now", async () => {
    const { store, inner, calls, first, second, make } = await filled();
    for (let round = 0; round < 3; round++) {
      expect(await store.read(first)).toEqual(await inner.read(first));
      expect(await store.read(second)).toEqual(await inner.read(second));
    }
    expect(calls).toEqual({ read: 1, glance: 6 });
    expect(store.cacheFacts()).toMatchObject({ hits: 5, misses: 1, packs: 1 });
    await inner.remove([first], make.notice("removed", { mementos: [first] }));
    expect((await store.read(first))?.removed).toBe(true);
    expect((await store.read(second))?.removed).toBe(false);
    expect(calls.read).toBe(1);
  });

  test("gives no bytes of a pack that somebody else replaced or reclaimed", async () => {
    const { store, inner, make, records, ids, first } = await filled();
    await store.read(first);
    const { header, body } = sealedBatch(make, records, make.key("data"));
    await inner.replacePack({ ids, header, body, expectedHeaderDigest: null, dataKey: null });
    expect(Buffer.from((await store.read(first))?.body ?? [])).toEqual(Buffer.from(body));
    await inner.remove(ids, make.notice("removed", { mementos: ids }));
    await inner.reclaim(ids);
    expect((await store.read(first))?.body).toBe(null);
  });

  test("a caller cannot change what is kept", async () => {
    const { store, inner, first } = await filled();
    for (let round = 0; round < 2; round++) {
      const given = await store.read(first);
      given?.body?.fill(0);
      given?.header.fill(0);
    }
    expect(await store.read(first)).toEqual(await inner.read(first));
  });

  test("keeps nothing that is not sealed, unless it may be trusted for a while", async () => {
    for (const [trustMs, reads] of [
      [0, 4],
      [1_000, 1],
    ] as const) {
      const { store, make, calls } = await filled({ trustMs, clock: new ManualClock() });
      const other = await MemoryStore.open();
      await other.create(make.meta(), make.key("integrity"));
      const open = cacheStore(
        interceptStore(other, async (call, proceed) => {
          if (call.method === "read") calls.read += 1;
          return await proceed();
        }),
        { trustMs, clock: new ManualClock() },
      );
      const { id } = await (await make.timeline(other)).save(other);
      for (let round = 0; round < 4; round++) expect(await open.read(id)).toEqual(await other.read(id));
      expect(calls.read).toBe(reads);
      await store.close();
    }
  });

  test("trusts an answer as long as it was told to, and asks again after that", async () => {
    const clock = new ManualClock();
    const { store, inner, make, calls, first } = await filled({ trustMs: 1_000, clock });
    await store.read(first);
    await clock.tick(999);
    await inner.remove([first], make.notice("removed", { mementos: [first] }));
    expect((await store.read(first))?.removed).toBe(false);
    expect(calls).toEqual({ read: 1, glance: 1 });
    await clock.tick(1);
    expect((await store.read(first))?.removed).toBe(true);
    expect(calls).toEqual({ read: 1, glance: 2 });
  });

  test("what is changed through it is seen at once, however long answers are trusted", async () => {
    const { store, make, records, ids, dataKey, first, second } = await filled({ trustMs: Infinity });
    for (const id of ids) await store.read(id);
    await store.remove([first], make.notice("removed", { mementos: [first] }));
    expect((await store.read(first))?.removed).toBe(true);
    const fresh = make.key("data");
    const { header, body } = sealedBatch(make, records, fresh);
    await store.replacePack({ ids: [second], header, body, expectedHeaderDigest: null, dataKey: fresh });
    expect(Buffer.from((await store.read(first))?.body ?? [])).toEqual(Buffer.from(body));
    await store.retireKey(dataKey.id);
    await store.dropKey(fresh.id);
    expect(store.cacheFacts().packs).toBe(0);
    await store.read(second);
    await store.remove([second], make.notice("removed", { mementos: [second] }));
    await store.reclaim([second]);
    expect((await store.read(second))?.body).toBe(null);
  });

  test("a read that was under way while a memento was removed is not kept", async () => {
    const { inner, make, first } = await filled();
    let hold = async (): Promise<void> => undefined;
    const slow = interceptStore(inner, async (call, proceed) => {
      const answer = await proceed();
      if (call.method === "read") await hold();
      return answer;
    });
    const store = cacheStore(slow, { trustMs: Infinity });
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const reached = new Promise<void>((resolve) => {
      hold = async () => {
        resolve();
        await held;
      };
    });
    const reading = store.read(first);
    await reached;
    await store.remove([first], make.notice("removed", { mementos: [first] }));
    go();
    expect((await reading)?.removed).toBe(false);
    expect((await store.read(first))?.removed).toBe(true);
  });

  test("bytes that were damaged when they were read are not kept once the pack is mended, whoever mends it", async () => {
    for (const withCheck of [true, false]) {
      const { inner, batch, first, ids } = await filled();
      let damaged = true;
      const flipping = interceptStore(inner, async (call, proceed) => {
        const answer = await proceed();
        if (call.method === "read" && damaged) (answer as { body: Uint8Array }).body.fill(0);
        return answer;
      });
      const isWhole = async (pack: { readonly body: Uint8Array }): Promise<boolean> =>
        pack.body.some((byte) => byte !== 0);
      const store = cacheStore(flipping, withCheck ? { isWhole } : {});
      expect((await store.read(first))?.body?.every((byte) => byte === 0)).toBe(true);
      damaged = false;
      const { header, body } = batch;
      const mend = { ids, header, body, expectedHeaderDigest: null, dataKey: null };
      await (withCheck ? inner : store).replacePack(mend);
      expect(await store.read(first)).toEqual(await inner.read(first));
      expect(store.cacheFacts().packs).toBe(1);
    }
  });

  test("keeps within its bound, the packs that were asked for last", async () => {
    const { store, inner, make } = await filled({ bytesMax: 5_000 });
    const timeline = await make.timeline(inner);
    const ids: string[] = [];
    for (let index = 0; index < 8; index++) {
      const record = timeline.next();
      await inner.append(sealedBatch(make, [record], make.key("data"), make.random.bytes(1_000)));
      ids.push(record.entry.id);
    }
    for (const id of ids) await store.read(id);
    expect(store.cacheFacts().bytes).toBeLessThanOrEqual(5_000);
    expect(store.cacheFacts().packs).toBeGreaterThan(1);
    const { misses } = store.cacheFacts();
    await store.read(ids.at(-1) ?? "");
    expect(store.cacheFacts().misses).toBe(misses);
    await store.read(ids[0] ?? "");
    expect(store.cacheFacts().misses).toBe(misses + 1);
  });

  test("gives after any sequence of changes from two sides what the store itself gives", async () => {
    for (let seed = 1; seed <= 12; seed++) await expectAlwaysTrue(seed);
  });

  test("refuses a shared part before a store that cannot be asked what it has", async () => {
    const inner = await MemoryStore.open();
    const blind: MementoStore = interceptStore(inner, async (_, proceed) => await proceed());
    Object.assign(blind, { glance: undefined });
    const shared = { get: async () => null, put: () => undefined };
    await expectCode("CAPABILITY_MISSING", async () => cacheStore(blind, { shared }));
  });
});

/** One opening of a database is cached, the other one is bare; both change it, and every read is compared. */
async function expectAlwaysTrue(seed: number): Promise<void> {
  const place = await sqlitePlace();
  await using disposed = new AsyncDisposableStack();
  disposed.defer(async () => await place.dispose());
  const bare = disposed.use(await place.open());
  const cached = disposed.use(cacheStore(await place.open(), { bytesMax: 3_000 }));
  const make = new StoreFixture(seed);
  await bare.create(make.meta(true), make.key("integrity"));
  const { random } = make;
  const timeline = await make.timeline(bare);
  const packs: { ids: string[]; records: ReturnType<typeof timeline.next>[] }[] = [];
  const ids: string[] = [];
  for (let step = 0; step < 60; step++) {
    const writer = random.integer(2) === 0 ? bare : cached;
    const pack = packs[random.integer(Math.max(1, packs.length))];
    const what = random.integer(6);
    if (what <= 1 || pack === undefined) {
      const records = Array.from({ length: 1 + random.integer(3) }, () => timeline.next());
      await writer.append(sealedBatch(make, records, make.key("data"), random.bytes(100 + random.integer(400))));
      packs.push({ ids: records.map(({ entry }) => entry.id), records });
      ids.push(...records.map(({ entry }) => entry.id));
    } else if (what === 2)
      await writer.remove([pack.ids[0] ?? ""], make.notice("removed", { mementos: pack.ids.slice(0, 1) }));
    else if (what === 3) await writer.reclaim(pack.ids);
    else if (what === 4) {
      const { header, body } = sealedBatch(make, pack.records, make.key("data"), random.bytes(200));
      if ((await bare.read(pack.ids[0] ?? ""))?.body !== null)
        await writer.replacePack({ ids: pack.ids, header, body, expectedHeaderDigest: null, dataKey: null });
    }
    for (let reads = 0; reads < 4; reads++) {
      const id = ids[random.integer(ids.length)] ?? "";
      expect(await cached.read(id)).toEqual(await bare.read(id));
    }
  }
  expect(cached.cacheFacts().hits).toBeGreaterThan(10);
}
