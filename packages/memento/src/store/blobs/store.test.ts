import { describe, expect, test } from "vitest";

import { openOnMemory, type MemoryBlobs, type Objects } from "../../../../../test/harness/memory-blobs.ts";
import { sha256 } from "../../core/digest.ts";
import { expectAppended, StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { mementoQuery } from "../query.ts";
import type { BlobStore } from "./store.ts";

interface Opened {
  readonly store: BlobStore;
  readonly blobs: MemoryBlobs;
}

interface Begun extends Opened {
  readonly objects: Objects;
  readonly make: StoreFixture;
  readonly timeline: TestTimeline;
}

let seeds = 100;
const open = (objects: Objects): Opened => openOnMemory(objects, (seeds += 1));

async function begin(): Promise<Begun> {
  const objects: Objects = new Map();
  const { store, blobs } = open(objects);
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  return { objects, store, blobs, make, timeline: await make.timeline(store) };
}

/** What a call asks of the objects. */
async function requestsOf(blobs: MemoryBlobs, call: () => Promise<unknown>): Promise<string[]> {
  const before = blobs.requests.length;
  await call();
  return blobs.requests.slice(before).map(({ kind }) => kind);
}

const sealed = { suite: "A256GCM" } as const;

describe("BlobStore with packs of their own", () => {
  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "process", bodyBytesMax: 2 ** 24, reclaimsSpace: true },
    place: async () => {
      const objects: Objects = new Map();
      const place = async (): Promise<BlobStore> => openOnMemory(objects, (seeds += 1), { inlineBytesMax: 0 }).store;
      return { open: place, address: "", dispose: async () => {} };
    },
  });
});

describe("BlobStore with packs in their log entries", () => {
  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "process", bodyBytesMax: 2 ** 24, reclaimsSpace: true },
    place: async () => {
      const objects: Objects = new Map();
      return { open: async () => open(objects).store, address: "", dispose: async () => {} };
    },
  });
});

describe("what a call asks of the objects", () => {
  test("a save of one writer is one request, a large one two; their keys are not asked for", async () => {
    const { store, blobs, make, timeline } = await begin();
    const dataKey = make.key("data");
    const save = (body?: Uint8Array) => async () =>
      expectAppended(await store.append(make.batch([timeline.next()], { ...sealed, dataKey, ...(body && { body }) })));
    await save()();
    const known = { ...sealed, dataKey };
    const small = (): ReturnType<StoreFixture["batch"]> => ({ ...make.batch([timeline.next()], known), dataKey: null });
    for (let index = 0; index < 20; index++) {
      expect(await requestsOf(blobs, async () => expectAppended(await store.append(small())))).toEqual(["create"]);
    }
    const large = { ...make.batch([timeline.next()], { ...known, body: Buffer.alloc(50_000) }), dataKey: null };
    expect(await requestsOf(blobs, async () => expectAppended(await store.append(large)))).toEqual([
      "create",
      "create",
    ]);
  });

  test("a thousand saves ask for little more than a thousand requests, and read nothing", async () => {
    const { store, blobs, timeline } = await begin();
    const asked: string[] = [];
    for (let index = 0; index < 1_000; index++) asked.push(...(await requestsOf(blobs, () => timeline.save(store))));
    expect(asked.filter((kind) => kind === "read" || kind === "list")).toEqual([]);
    // The state every 64, a chapter every 256.
    expect(asked.length).toBeLessThan(1_025);
  });

  test("a save with a new name is four requests", async () => {
    const { store, blobs, timeline } = await begin();
    await timeline.save(store);
    const asked = await requestsOf(blobs, () => timeline.save(store, { name: "daily" }));
    expect(asked).toEqual(["list", "create", "list", "create"]);
  });

  test("a batch across timelines is one pack, and an entry for each", async () => {
    const { store, blobs, make, timeline } = await begin();
    const other = await make.timeline(store);
    const records = [timeline.next(), other.next(), timeline.next()];
    const asked = await requestsOf(blobs, async () => expectAppended(await store.append(make.batch(records))));
    expect(asked).toEqual(["create", "create", "create"]);
  });

  test("a long timeline is opened in few requests, in few rounds, also when its last writer died", async () => {
    const { objects, store, timeline } = await begin();
    let last = "";
    for (let index = 0; index < 500; index++) last = (await timeline.save(store)).id;
    const cold = open(objects);
    let [underWay, rounds] = [0, 0];
    cold.blobs.before = async () => {
      rounds += underWay++ === 0 ? 1 : 0;
      await new Promise((resolve) => void setImmediate(resolve));
      underWay -= 1;
    };
    expect((await cold.store.timeline(timeline.key))?.head?.id).toBe(last);
    expect(cold.blobs.requests.length).toBeLessThan(90);
    expect(rounds).toBeLessThan(25);
    const asked = await requestsOf(cold.blobs, async () => expect(await cold.store.read(last)).not.toBeNull());
    expect(asked).toEqual(["read", "read"]);
  });
});

describe("a key that one writer remembers as fit", () => {
  test.each(["retireKey", "dropKey"] as const)("is refused after another's %s", async (call) => {
    const { objects, store, make, timeline } = await begin();
    const dataKey = make.key("data");
    const batch = (): ReturnType<StoreFixture["batch"]> => make.batch([timeline.next()], { ...sealed, dataKey });
    expectAppended(await store.append(batch()));
    expectAppended(await store.append({ ...batch(), dataKey: null }));
    expect(await open(objects).store[call](dataKey.id)).toBe(true);
    await expect(store.append({ ...batch(), dataKey: null })).rejects.toMatchObject({ code: "KEY_RETIRED" });
  });

  test.each(["before", "after"] as const)(
    "brings no pack once its retirement is done: held up %s the entry",
    async (when) => {
      const { objects, store, blobs, make, timeline } = await begin();
      const dataKey = make.key("data");
      expectAppended(await store.append(make.batch([timeline.next()], { ...sealed, dataKey })));
      const batch = { ...make.batch([timeline.next()], { ...sealed, dataKey }), dataKey: null };
      const { promise: gate, resolve: go } = Promise.withResolvers<void>();
      const { promise: held, resolve: isHeld } = Promise.withResolvers<void>();
      let isFirst = true;
      blobs[when] = async () => {
        if (!isFirst) return;
        isFirst = false;
        isHeld();
        await gate;
      };
      const save = store.append(batch).then(
        ([result]) => result?.outcome,
        (error: unknown) => (error as { code?: string }).code,
      );
      await held;
      const other = open(objects).store;
      await other.retireKey(dataKey.id);
      const isThere = async (): Promise<boolean> => (await other.read(batch.records[0]?.entry.id ?? "")) !== null;
      expect(await isThere()).toBe(when === "after");
      go();
      expect(await save).toBe(when === "after" ? "appended" : "KEY_RETIRED");
      expect(await isThere()).toBe(when === "after");
    },
  );
});

describe("a pack in its log entry", () => {
  test("is emptied and replaced, and its entry stays as it was", async () => {
    const { objects, store, make, timeline } = await begin();
    const [gone, kept] = [timeline.next(), timeline.next()];
    expectAppended(await store.append(make.batch([gone])));
    const batch = make.batch([kept]);
    expectAppended(await store.append(batch));
    expect([...objects.keys()].filter((key) => key.includes("/packs/"))).toEqual([]);
    await store.remove([gone.entry.id], make.notice("removed", { mementos: [gone.entry.id] }));
    expect(await store.reclaim([gone.entry.id])).toMatchObject({ packs: 1 });
    const other = make.batch([kept], { body: Buffer.from("another body") });
    const expectedHeaderDigest = sha256(batch.header);
    expect(await store.replacePack({ ...other, ids: [kept.entry.id], expectedHeaderDigest })).toBe(true);
    const cold = open(objects).store;
    expect((await cold.read(gone.entry.id))?.body).toBeNull();
    expect(Buffer.from((await cold.read(kept.entry.id))?.body ?? [])).toEqual(Buffer.from(other.body));
    expect(await collect(cold.check())).toEqual([]);
    const all = Buffer.concat([...objects.values()]);
    expect(all.includes(Buffer.from(batch.body))).toBe(false);
    expect((await collect(cold.query(mementoQuery({ removed: true })))).length).toBe(2);
  });

  test("a flipped byte is found by check() wherever it is, and names the memento", async () => {
    const { objects, store, timeline } = await begin();
    const { id } = await timeline.save(store);
    await store.close();
    const [key = ""] = [...objects.keys()]
      .filter((each) => each.includes("/timelines/"))
      .toSorted()
      .slice(-3, -2);
    const sound = objects.get(key) ?? new Uint8Array();
    expect(Buffer.from(sound).includes("memento-file/1 pack")).toBe(true);
    for (let at = 0; at < sound.byteLength; at++) {
      objects.set(
        key,
        sound.map((byte, index) => (index === at ? byte ^ 1 : byte)),
      );
      const found = await collect(open(objects).store.check());
      expect(found.map(({ problem }) => problem).join()).toContain(key);
      expect(found.flatMap(({ mementos }) => mementos)).toContain(id);
    }
    for (let bytes = 0; bytes < sound.byteLength; bytes++) {
      objects.set(key, sound.subarray(0, bytes));
      expect(await collect(open(objects).store.check())).not.toEqual([]);
    }
  });

  test("stays when its damaged entry is made anew", async () => {
    const { objects, store, make, timeline } = await begin();
    const ids = [];
    for (let index = 0; index < 3; index++) ids.push((await timeline.save(store)).id);
    await store.close();
    const folder = [...objects.keys()].find((each) => each.endsWith("/000000000003.json")) ?? "";
    const sound = objects.get(folder) ?? new Uint8Array();
    for (const at of [100, 300, Buffer.from(sound).indexOf(10, 80)]) {
      const copy: Objects = new Map(objects);
      copy.set(
        folder,
        sound.map((byte, index) => (index === at ? byte ^ 3 : byte)),
      );
      const mended = open(copy).store;
      const authority = {
        isGenuine: () => true,
        headCheck: (timelineKey: string, id: string, sequence: number) => sha256(`${timelineKey} ${id} ${sequence}`),
        freeLease: (_: string, epoch: number) => make.lease(epoch, null),
        mendedTimeline: () => null,
        lostCommit: () => make.notice("removed"),
      };
      expect((await mended.rebuildIndex(authority, false)).problems).toEqual([]);
      expect(await collect(mended.check())).toEqual([]);
      for (const id of ids) expect((await mended.read(id))?.body).not.toBeNull();
    }
  });
});
