import { describe, expect, test } from "vitest";

import { systemClock } from "../core/ports.ts";
import { decodePackHeader, type PackHeader } from "../store/header.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { AppendBatch } from "../store/store.ts";
import { interceptStore } from "../store/wrap/intercept.ts";
import { StoreFixture, type TestTimeline } from "../testing/store/fixture.ts";
import { DataKeys } from "./data-keys.ts";
import { type KeyRing, rawKeyRing } from "./keys/key-ring.ts";
import { PackQueue, type QueuedSave } from "./pack-queue.ts";
import { nextTurn } from "./turns.ts";

/** The next save of a timeline, of nothing but its entry. */
function saveOf(line: TestTimeline): QueuedSave {
  const { entry, ...conditions } = line.next();
  return {
    entry,
    conditions,
    parentDigest: null,
    base: null,
    layer: { id: entry.id, depth: 1, changes: new Map() },
    held: [],
  };
}

describe("PackQueue", () => {
  test("commits in one pack what is asked for at once, and of two unequal groups a half of all", async () => {
    const packs: number[] = [];
    let meanwhile = (): void => undefined;
    const make = new StoreFixture(1);
    await using store = interceptStore(await MemoryStore.open(), async (call, proceed) => {
      if (call.method !== "append") return await proceed();
      packs.push((call.args[0] as AppendBatch).records.length);
      meanwhile();
      return await proceed();
    });
    await store.create({ ...make.meta(), sealed: false }, make.key("integrity"));
    const lines: TestTimeline[] = [];
    for (let index = 0; index < 10; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
    const queue = new PackQueue(store, null, make.random, systemClock);
    const saveAll = async (of: readonly TestTimeline[]): Promise<void> => {
      const outcomes = await Promise.all(of.map(async (line) => await queue.save(saveOf(line))));
      for (const { result } of outcomes) expect(result).toEqual({ outcome: "appended" });
    };

    await saveAll(lines);
    expect(packs).toEqual([10]);

    packs.length = 0;
    let others: Promise<void> | undefined;
    meanwhile = () => void (others ??= saveAll(lines.slice(1)));
    await saveAll(lines.slice(0, 1));
    await others;
    expect(packs).toEqual([1, 5, 4]);
  });

  test("P4: a pack that was made while another one was under way is sealed anew when its key was retired meanwhile", async () => {
    const make = new StoreFixture(2);
    const headers: PackHeader[] = [];
    let meanwhile: (() => Promise<void>) | null = null;
    await using store = interceptStore(await MemoryStore.open(), async (call, proceed) => {
      if (call.method !== "append") return await proceed();
      headers.push(decodePackHeader((call.args[0] as AppendBatch).header, "the pack"));
      const results = await proceed();
      const once = meanwhile;
      meanwhile = null;
      await once?.();
      return results;
    });
    await store.create(make.meta(true), make.key("integrity"));
    const lines: TestTimeline[] = [];
    for (let index = 0; index < 20; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
    const keys = new DataKeys(store, rawKeyRing([make.random.bytes(32)]), systemClock, make.random);
    const queue = new PackQueue(store, keys, make.random, systemClock);
    const saveAll = async (of: readonly TestTimeline[]): Promise<void> => {
      const outcomes = await Promise.all(of.map(async (line) => await queue.save(saveOf(line))));
      for (const { result } of outcomes) expect(result).toEqual({ outcome: "appended" });
    };

    let others: Promise<void> | undefined;
    meanwhile = async () => {
      others = saveAll(lines.slice(10));
      await nextTurn();
      await store.retireKey(headers[0]?.dataKey ?? "");
    };
    await saveAll(lines.slice(0, 10));
    await others;
    const [first, refused, again] = headers.map(({ dataKey }) => dataKey);
    expect(headers).toHaveLength(3);
    expect(refused).toBe(first);
    expect(again).not.toBe(first);
    expect(headers.map(({ entries }) => entries.length)).toEqual([10, 10, 10]);
  });
});

describe("DataKeys", () => {
  test("P4: whoever asks while a group's key is being wrapped gets that one", async () => {
    const make = new StoreFixture(3);
    await using store = await MemoryStore.open();
    const ring = rawKeyRing([make.random.bytes(32)]);
    let wrapped = 0;
    const slow: KeyRing = {
      wrap: async (key, bound) => {
        wrapped += 1;
        await nextTurn();
        return await ring.wrap(key, bound);
      },
      unwrap: async (key, bound) => await ring.unwrap(key, bound),
    };
    const keys = new DataKeys(store, slow, systemClock, make.random);
    const asked = await Promise.all(["a", "a", "b", "a"].map(async (group) => (await keys.forSealing(group)).key.id));
    expect(new Set(asked).size).toBe(2);
    expect(wrapped).toBe(2);
    keys.retire(asked[0] ?? "");
    expect((await keys.forSealing("a")).key.id).not.toBe(asked[0]);
  });
});
