import { describe, expect, onTestFinished, test } from "vitest";

import { MementoError } from "../core/errors.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { StoredCommit } from "../store/store.ts";

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
        let position = 0;
        for await (const commit of commits(after)) yield position++ === index ? change(commit) : commit;
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
});
