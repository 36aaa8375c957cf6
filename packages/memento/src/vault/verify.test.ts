import { describe, expect, onTestFinished, test } from "vitest";

import { memoryInUse } from "../../../../test/harness/memory-in-use.ts";
import { MementoError } from "../core/errors.ts";
import { systemClock } from "../core/ports.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { StoredCommit } from "../store/store.ts";
import { StoreFixture, TestTimeline } from "../testing/store/fixture.ts";
import { RecordGraph } from "./gc/record-graph.ts";
import type { VerifyState } from "./verify.ts";
import { RecordTable } from "./verify/record-table.ts";

interface Bench {
  readonly memento: Memento;
  readonly ids: readonly string[];
  /** From now on the store gives commit `index` changed. */
  damage: (index: number, change: (commit: StoredCommit) => StoredCommit) => void;
}

/** Five mementos; the third to fifth share the large piece that the third one holds. */
async function bench(): Promise<Bench> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(5)] } });
  onTestFinished(async () => await memento.close());
  const etl = memento.caretaker("etl");
  const ids: string[] = [];
  for (let n = 1; n <= 5; n++) ids.push((await etl.save({ n, table: n < 3 ? `own ${n}` : "shared".repeat(100) })).id);
  const commits = store.commits.bind(store);
  return {
    memento,
    ids,
    damage: (index, change) => {
      store.commits = async function* (after) {
        for await (const commit of commits(after)) yield Number(commit.cursor) === index ? change(commit) : commit;
      };
    },
  };
}

const flipped = (bytes: Uint8Array, index: number): Uint8Array =>
  bytes.map((byte, at) => (at === index ? byte ^ 4 : byte));

describe("verifyVault()", () => {
  test("finds nothing in a sound store, and says how much it read", async () => {
    const { memento } = await bench();
    const seen: number[] = [];
    const report = await memento.verify({ onProgress: ({ mementos, total }) => void seen.push(mementos / total) });
    expect(report).toMatchObject({ sound: true, mementos: 5, damages: [] });
    expect(report.bytes).toBeGreaterThan(1_000);
    expect(seen.at(-1)).toBe(1);
  });

  test("names a damaged memento, those that need it, and the nearest good one of each", async () => {
    const { memento, ids, damage } = await bench();
    damage(2, (commit) => ({ ...commit, body: flipped(commit.body ?? new Uint8Array(), 30) }));
    const { sound, damages } = await memento.verify();
    expect(sound).toBe(false);
    expect(damages.flatMap(({ mementos }) => mementos)).toEqual([ids[2], ids[3], ids[4]]);
    expect(damages[0]?.problem).toContain(ids[2]);
    expect(damages[1]?.problem).toMatch(/needs .*table/u);
    for (const { nearestGood } of damages) expect(Object.values(nearestGood)).toEqual([ids[1]]);
  });

  test("judges what lies behind damage that ends the log and the list", async () => {
    const { memento, ids } = await bench();
    const { store } = memento.vault;
    const [commits, query] = [store.commits.bind(store), store.query.bind(store)];
    const ending = async function* <Item>(items: AsyncIterable<Item>, after: number): AsyncGenerator<Item> {
      let count = 0;
      for await (const item of items) {
        if (count++ === after) throw new MementoError("DAMAGED", "a page is torn");
        yield item;
      }
    };
    store.commits = (after) => ending(commits(after), 2);
    store.query = (asked) => ending(query(asked), asked.order === "ascending" ? 1 : 3);
    const { sound, damages, mementos } = await memento.verify();
    expect(sound).toBe(false);
    expect(mementos).toBe(4);
    expect(damages.flatMap((damage) => damage.mementos)).toEqual([]);
    expect(damages.map(({ problem }) => problem)).toEqual([
      "The rows of the store: a page is torn",
      "The log of the store: a page is torn",
    ]);
    expect(ids).toHaveLength(5);
  });

  test("finds a record that is gone from the log", async () => {
    const { memento, ids, damage } = await bench();
    damage(0, (commit) => ({ ...commit, accepted: [] }));
    const { damages } = await memento.verify();
    expect(damages.flatMap(({ mementos }) => mementos)).toContain(ids[0]);
  });

  test("finds a pack whose place was taken by another sealed one", async () => {
    const { memento, ids, damage } = await bench();
    let second: StoredCommit | undefined;
    let position = 0;
    for await (const commit of memento.vault.store.commits(null)) if (position++ === 1) second = commit;
    damage(0, (commit) => ({ ...commit, header: second?.header ?? commit.header, body: second?.body ?? commit.body }));
    const { sound, damages } = await memento.verify();
    expect(sound).toBe(false);
    expect(damages.flatMap(({ mementos }) => mementos)).toContain(ids[0]);
  });

  test("names the pieces that each affected memento has lost, by their keys", async () => {
    const { memento, ids, damage } = await bench();
    damage(2, (commit) => ({ ...commit, body: flipped(commit.body ?? new Uint8Array(), 30) }));
    const { damages } = await memento.verify();
    const lost = Object.assign({}, ...damages.map((one) => one.lost)) as Record<string, unknown>;
    expect(lost[ids[2] ?? ""]).toBeNull();
    expect(lost[ids[3] ?? ""]).toContain("state/table");
    expect(lost[ids[4] ?? ""]).toContain("state/table");
  });
});

describe("verifyVault() in part", () => {
  const index = { scope: { kind: "index" } } as const;

  test("by the index finds what is short, gone or told otherwise, and says that nothing was opened", async () => {
    const { memento, ids, damage } = await bench();
    expect(await memento.verify(index)).toMatchObject({ sound: true, depth: "index", mementos: 5 });
    damage(2, (commit) => ({ ...commit, body: flipped(commit.body ?? new Uint8Array(), 30) }));
    const blind = await memento.verify(index);
    expect(blind.sound).toBe(true);
    expect(blind.notRead).toMatch(/no body was opened/u);
    damage(2, (commit) => ({ ...commit, body: commit.body?.subarray(1) ?? null }));
    expect((await memento.verify(index)).damages.flatMap(({ mementos }) => mementos)).toEqual([ids[2]]);
    damage(2, (commit) => ({ ...commit, body: null }));
    expect((await memento.verify(index)).damages.flatMap(({ mementos }) => mementos)).toEqual([ids[2]]);
  });

  test("by a sample opens as many as asked for, the same ones for a seed, and says what it left out", async () => {
    const { memento } = await bench();
    const read: string[] = [];
    const store = memento.vault.store;
    const original = store.read.bind(store);
    store.read = async (id) => {
      read.push(id);
      return await original(id);
    };
    const first = await memento.verify({ scope: { kind: "sample", count: 2, seed: "one" } });
    expect(first).toMatchObject({ sound: true, mementos: 2, total: 5, seed: "one", depth: "sample" });
    expect(first.notRead).toMatch(/3 of 5 live mementos were not opened/u);
    const drawn = read.splice(0);
    await memento.verify({ scope: { kind: "sample", share: 0.4, seed: "one" } });
    expect(read).toEqual(drawn);
    const seeded = await memento.verify({ scope: { kind: "sample", share: 1 } });
    expect(seeded.mementos).toBe(5);
    expect(seeded.seed).toMatch(/^\w{8}$/u);
  });

  test("by one memento reads it and what it needs, whatever happens to others", async () => {
    const { memento, ids } = await bench();
    const store = memento.vault.store;
    const original = store.read.bind(store);
    const harm = (bad: string): void => {
      store.read = async (id) => {
        const stored = await original(id);
        return id !== bad || stored?.body === null || stored === null
          ? stored
          : { ...stored, body: flipped(stored.body, 30) };
      };
    };
    const scope = (id: string | undefined) => ({ scope: { kind: "memento", id: id ?? "" } as const });
    harm(ids[1] ?? "");
    expect(await memento.verify(scope(ids[4]))).toMatchObject({ sound: true, depth: "memento", mementos: 1 });
    harm(ids[2] ?? "");
    const { damages, sound } = await memento.verify(scope(ids[4]));
    expect(sound).toBe(false);
    expect(damages[0]?.lost[ids[4] ?? ""]).toContain("state/table");
    await expect(memento.verify(scope("000000000000-1-aaaaaa"))).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("by one memento counts every pack that it needs, each once", async () => {
    const { memento, ids } = await bench();
    const { store } = memento.vault;
    const bytesOf = async (id = ""): Promise<number> => {
      const stored = await store.read(id);
      return (stored?.header.length ?? 0) + (stored?.body?.length ?? 0);
    };
    const { bytes } = await memento.verify({ scope: { kind: "memento", id: ids[4] ?? "" } });
    // Its own, its parent's, and that of the one which holds the large piece.
    expect(bytes).toBeGreaterThanOrEqual((await bytesOf(ids[4])) + (await bytesOf(ids[3])) + (await bytesOf(ids[2])));
    const all = await memento.verify({ scope: { kind: "sample", share: 1 } });
    expect(all.bytes).toBe((await memento.verify()).bytes);
  });

  test("goes on where it was stopped, with all that was found before", async () => {
    const { memento, ids, damage } = await bench();
    damage(1, (commit) => ({ ...commit, body: flipped(commit.body ?? new Uint8Array(), 30) }));
    const whole = await memento.verify();
    const states: VerifyState[] = [];
    const controller = new AbortController();
    const stopped = memento.verify({
      signal: controller.signal,
      onProgress: ({ mementos }) => {
        if (mementos === 2) controller.abort(new MementoError("CANCELLED", "enough"));
      },
      onState: (state) => void states.push(structuredClone(state)),
    });
    await expect(stopped).rejects.toMatchObject({ code: "CANCELLED" });
    const [state] = states;
    expect(state?.mementos).toBe(2);
    const store = memento.vault.store;
    const cursors: (string | null)[] = [];
    const commits = store.commits.bind(store);
    store.commits = (after) => {
      cursors.push(after);
      return commits(after);
    };
    const resumed = await memento.verify(state === undefined ? {} : { resume: state });
    expect(cursors).toEqual([state?.cursor]);
    expect(resumed).toEqual(whole);
    expect(resumed.damages.flatMap(({ mementos }) => mementos)).toEqual([ids[1]]);
    const foreign = { ...state, store: "another" } as VerifyState;
    await expect(memento.verify({ resume: foreign })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("verifyVault() over a store that never waits", () => {
  /** Many mementos in memory, and a clock by which each look at it takes five milliseconds. */
  async function many(count: number): Promise<Memento> {
    let nowMs = 0;
    const clock = { ...systemClock, monotonic: () => (nowMs += 5) };
    const memento = await Memento.open(await MemoryStore.open(), { clock });
    onTestFinished(async () => await memento.close());
    const etl = memento.caretaker("etl");
    for (let n = 1; n <= count; n++) await etl.save({ n });
    return memento;
  }

  /** A signal that comes in by the event loop, as Ctrl-C does. */
  function soon(): AbortSignal {
    const controller = new AbortController();
    setImmediate(() => controller.abort(new MementoError("CANCELLED", "enough")));
    return controller.signal;
  }

  test("is stopped by what the event loop brings, in every scope, and so are repair and gc", async () => {
    const memento = await many(40);
    const cancelled = { code: "CANCELLED" };
    await expect(memento.verify({ signal: soon() })).rejects.toMatchObject(cancelled);
    await expect(memento.verify({ signal: soon(), scope: { kind: "index" } })).rejects.toMatchObject(cancelled);
    const sample = { kind: "sample", share: 1 } as const;
    await expect(memento.verify({ signal: soon(), scope: sample })).rejects.toMatchObject(cancelled);
    await expect(memento.planRepair({ signal: soon() })).rejects.toMatchObject(cancelled);
    await expect(RecordGraph.read(memento.vault, soon())).rejects.toMatchObject(cancelled);
  });

  test("leaves where it stands when it is stopped, and goes on from there to the same end", async () => {
    const memento = await many(40);
    const controller = new AbortController();
    const states: VerifyState[] = [];
    const work = memento.verify({
      signal: controller.signal,
      onProgress: ({ mementos }) => {
        if (mementos === 3) setImmediate(() => controller.abort(new MementoError("CANCELLED", "enough")));
      },
      onState: (state) => void states.push(structuredClone(state)),
    });
    await expect(work).rejects.toMatchObject({ code: "CANCELLED" });
    const [resume] = states;
    expect(resume?.mementos).toBeGreaterThanOrEqual(3);
    expect(resume?.mementos).toBeLessThan(40);
    expect(await memento.verify(resume === undefined ? {} : { resume })).toEqual(await memento.verify());
  });

  test("ends with the failure to keep where it stands, and not with an unhandled one", async () => {
    const memento = await many(2_000);
    let told = 0;
    const work = memento.verify({
      onProgress: () => void told++,
      onState: async () => await Promise.reject(new MementoError("IO_FAILED", "no folder")),
    });
    await expect(work).rejects.toMatchObject({ code: "IO_FAILED" });
    expect(told).toBeLessThan(2_000);
  });
});

describe("RecordTable", () => {
  test("remembers a hundred thousand mementos in about 200 bytes each", () => {
    const make = new StoreFixture(3);
    const { entry } = new TestTimeline(make, make.timelineRecord()).record();
    const table = new RecordTable();
    const before = memoryInUse();
    for (let sequence = 1; sequence <= 100_000; sequence++) {
      const id = `${entry.timeline}-${sequence}-abcdef`;
      table.addLive({ ...entry, id, sequence });
      table.setOpened(id, `digest of ${id}`);
      for (const key of ["offsets/source", "output/stage"]) table.addGood(id, key, `digest of ${key} in ${id}`);
    }
    const bytes = memoryInUse() - before;
    expect(table.liveCount).toBe(100_000);
    expect(
      table.isGood(
        `${entry.timeline}-77-abcdef`,
        "output/stage",
        `digest of output/stage in ${entry.timeline}-77-abcdef`,
      ),
    ).toBe(true);
    expect(table.isGood(`${entry.timeline}-77-abcdef`, "output/stage", "another")).toBe(false);
    expect(Object.values(table.judged())).toEqual([[[1, 100_000]]]);
    expect(bytes / 100_000).toBeLessThan(250);
  });
});
