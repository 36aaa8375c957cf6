import { describe, expect, test } from "vitest";

import { MemoryStore } from "../store/memory/index.ts";
import type { AppendBatch } from "../store/store.ts";
import { interceptStore } from "../store/wrap/intercept.ts";
import { StoreFixture, type TestTimeline } from "../testing/store/fixture.ts";
import { PackQueue, type QueuedSave } from "./pack-queue.ts";

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
    const queue = new PackQueue(store, null, make.random);
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
});
