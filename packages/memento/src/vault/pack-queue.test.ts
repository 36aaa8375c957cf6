import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { systemClock, systemRandom } from "../core/ports.ts";
import type { ApartAppender } from "../store/apart.ts";
import { decodePackHeader, type PackHeader } from "../store/header.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { SqliteStore } from "../store/sqlite/index.ts";
import type { AppendBatch, MementoStore } from "../store/store.ts";
import { interceptStore } from "../store/wrap/intercept.ts";
import { StoreFixture, type TestTimeline } from "../testing/store/fixture.ts";
import { collect } from "../testing/store/kit.ts";
import { RowChecks } from "./checks.ts";
import { DataKeys } from "./data-keys.ts";
import { type KeyRing, rawKeyRing } from "./keys/key-ring.ts";
import { PackQueue, type QueuedSave } from "./pack-queue.ts";
import { manifestOf, openPack } from "./repack.ts";
import { nextTurn } from "./turns.ts";

const checks = new RowChecks(Buffer.alloc(32, 7));

/** The next save of a timeline, of nothing but its entry. */
function saveOf(line: TestTimeline): QueuedSave {
  const { entry, expectedSequence, replaceName } = line.next();
  return {
    entry,
    conditions: { expectedSequence, replaceName },
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
    const queue = new PackQueue(store, { keys: null, checks }, make.random, systemClock);
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
    const queue = new PackQueue(store, { keys, checks }, make.random, systemClock);
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

describe("PackQueue beside a store's other thread", () => {
  /** Saves by 20 timelines at once in an SQLite store, sealed, round after round. */
  async function withStore(
    run: (lent: {
      readonly store: SqliteStore;
      /** The headers of what was saved since the last look. */
      saveRound(through?: MementoStore): Promise<readonly PackHeader[]>;
    }) => Promise<void>,
  ): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "memento-apart-"));
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => await rm(folder, { recursive: true }));
    const store = stack.use(await SqliteStore.open({ path: join(folder, "store.db") }));
    const make = new StoreFixture(4);
    await store.create(make.meta(true), make.key("integrity"));
    const lines: TestTimeline[] = [];
    for (let index = 0; index < 20; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
    const keys = new DataKeys(store, rawKeyRing([make.random.bytes(32)]), systemClock, systemRandom);
    const digests = new Map<string, string>();
    await run({
      store,
      saveRound: async (through = store) => {
        const queue = new PackQueue(through, { keys, checks }, systemRandom, systemClock);
        const saves = lines.map(saveOf);
        for (const [slot, { result, digest }] of (
          await Promise.all(saves.map(async (save) => await queue.save(save)))
        ).entries()) {
          expect(result).toEqual({ outcome: "appended" });
          digests.set(saves[slot]?.entry.id ?? "", digest);
        }
        const headers: PackHeader[] = [];
        for (const { entry } of saves) {
          const stored = await store.read(entry.id);
          const { slot = -1, header: bytes = new Uint8Array(), body = null } = stored ?? {};
          const header = decodePackHeader(bytes, entry.id);
          const key = await keys.forOpening(header.dataKey ?? "");
          const opened = openPack({ header: bytes, body: body ?? new Uint8Array() }, key, entry.id);
          expect(manifestOf(opened, slot)?.digest).toBe(digests.get(entry.id));
          headers.push(header);
        }
        return headers;
      },
    });
    expect(await collect(store.check())).toEqual([]);
  }

  async function untilOpen(store: SqliteStore, save: () => Promise<unknown>): Promise<void> {
    for (const start = Date.now(); !store.apart.isOpen; await save())
      if (Date.now() - start > 30_000) throw new Error("The thread did not start");
  }

  /** The store, with another `apart`. */
  const withApart = (store: SqliteStore, apart: ApartAppender): MementoStore =>
    new Proxy(store, {
      get: (target, member) => {
        if (member === "apart") return apart;
        const value: unknown = Reflect.get(target, member, target);
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });

  test("what that thread makes is opened as all else, from the first group on", async () => {
    await withStore(async ({ store, saveRound }) => {
      await untilOpen(store, saveRound);
      let taken = 0;
      const counting: ApartAppender = {
        isOpen: true,
        append: async (batch) => {
          taken += 1;
          return await store.apart.append(batch);
        },
      };
      for (let round = 0; round < 10; round++) await saveRound(withApart(store, counting));
      expect(taken).toBe(10);
    });
  });

  test("P4: seals anew there where the key was retired", async () => {
    await withStore(async ({ store, saveRound }) => {
      await untilOpen(store, saveRound);
      const [before] = await saveRound();
      await store.retireKey(before?.dataKey ?? "");
      const [after] = await saveRound();
      expect(after?.dataKey).not.toBe(before?.dataKey);
      expect((await saveRound())[0]?.dataKey).toBe(after?.dataKey);
    });
  });

  test("where the thread has ended meanwhile, what was laid out for it is made here", async () => {
    await withStore(async ({ store, saveRound }) => {
      let asked = 0;
      const ended: ApartAppender = {
        isOpen: true,
        append: async () => {
          asked += 1;
          return await Promise.resolve(null);
        },
      };
      await saveRound(withApart(store, ended));
      expect(asked).toBe(1);
    });
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
