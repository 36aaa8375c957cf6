import { describe, expect, test } from "vitest";

import { Killed, SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { expectSoundPack } from "../../testing/store/answers.ts";
import { StoreFixture, TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { decodeHeader, decodePackHeader } from "../header.ts";
import { mementoQuery } from "../query.ts";
import { FileStore } from "./store.ts";

const PATH = "/data/store";
const WORKERS = 4;
const STEPS = 14;
const RACES = Number(process.env["MEMENTO_TEST_RACES"] ?? 40);

/** What all workers together were told. */
interface Told {
  readonly saved: MementoEntry[];
  readonly removed: Set<string>;
  readonly holders: Set<string>;
  readonly epochs: Map<string, Set<number>>;
}

/** One worker on the shared store: whatever it does, others do at the same time. */
class Worker {
  readonly #store: FileStore;
  readonly #make: StoreFixture;
  readonly #random: SeededRandom;
  readonly #told: Told;
  readonly #lines: readonly TestTimeline[];

  constructor(store: FileStore, seed: number, lines: readonly TestTimeline[], told: Told) {
    this.#store = store;
    this.#make = new StoreFixture(seed);
    this.#random = new SeededRandom(seed + 500);
    this.#lines = lines;
    this.#told = told;
  }

  async work(): Promise<void> {
    const steps = [
      () => this.#save({}),
      () => this.#save({ name: "free" }),
      () => this.#save({ name: "moves", replaceName: true }),
      () => this.#save({ name: "free" }),
      () => this.#takeOver(),
      () => this.#remove(),
      () => this.#saveBoth(),
    ];
    for (let step = 0; step < STEPS; step++) await steps[this.#random.integer(steps.length)]?.();
  }

  async #line(): Promise<TestTimeline> {
    const line = this.#lines[this.#random.integer(this.#lines.length)];
    if (line === undefined) throw new Error("there are lines");
    return await this.#now(line);
  }

  /** The line as it stands now, which may be old news when it is used. */
  async #now({ facts }: TestTimeline): Promise<TestTimeline> {
    const line = new TestTimeline(this.#make, facts);
    const state = await this.#store.timeline(facts.key);
    line.epoch = state?.lease.epoch ?? 0;
    line.sequence = state?.head?.sequence ?? 0;
    line.parent = state?.head?.id ?? null;
    return line;
  }

  async #save(options: { readonly name?: string; readonly replaceName?: boolean }): Promise<void> {
    const record = (await this.#line()).next(options);
    const [result] = await this.#store.append(this.#make.batch([record]));
    if (result?.outcome === "appended") this.#told.saved.push(record.entry);
    if (result?.outcome === "exists") this.#told.holders.add(result.id);
  }

  async #saveBoth(): Promise<void> {
    const records = [];
    for (const line of this.#lines) records.push((await this.#now(line)).next());
    const results = await this.#store.append(this.#make.batch(records));
    for (const [slot, { outcome }] of results.entries()) {
      const entry = records[slot]?.entry;
      if (outcome === "appended" && entry !== undefined) this.#told.saved.push(entry);
    }
  }

  async #takeOver(): Promise<void> {
    const line = await this.#line();
    const epoch = line.epoch + 1;
    if (!(await this.#store.acquireLease({ timeline: line.key, lease: this.#make.lease(epoch) }))) return;
    const epochs = this.#told.epochs.get(line.key) ?? new Set();
    expect(epochs.has(epoch), `epoch ${epoch} has one owner`).toBe(false);
    this.#told.epochs.set(line.key, epochs.add(epoch));
  }

  async #remove(): Promise<void> {
    const rows = await collect(this.#store.query(mementoQuery({ limit: 4 })));
    const row = rows[this.#random.integer(rows.length + 1)];
    if (row === undefined) return;
    const { id } = row.entry;
    const live = await this.#store.remove([id], this.#make.notice("removed", { mementos: [id] }));
    for (const gone of live) {
      expect(this.#told.removed.has(gone), `${gone} is removed once`).toBe(false);
      this.#told.removed.add(gone);
    }
    await this.#store.reclaim([id]);
  }
}

/** Follows the log to its end, again and again, and keeps what it meets. */
class Follower {
  readonly ids: string[] = [];
  readonly removed: string[] = [];
  #cursor: string | null = null;

  async follow(store: FileStore): Promise<void> {
    for await (const { cursor, header, accepted } of store.commits(this.#cursor)) {
      this.#cursor = cursor;
      const decoded = decodeHeader(header, "a commit");
      if (decoded.type === "notice") this.removed.push(...decoded.notice.mementos);
      else {
        const { entries } = decodePackHeader(header, "a commit");
        for (const slot of accepted) this.ids.push(entries[slot]?.id ?? "");
      }
      for (const id of this.removed) expect(this.ids, "nothing is removed before it is met").toContain(id);
    }
  }
}

async function open(disk: SimulatedDisk, seed: number, killAt = Infinity): Promise<FileStore> {
  const files = disk.process({ killAt, interleave: new SeededRandom(seed) });
  return await FileStore.open({ path: PATH, files, clock: new StoreFixture(1).clock, random: new SeededRandom(seed) });
}

async function untilKilled(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
}

async function race(
  seed: number,
): Promise<{ readonly disk: SimulatedDisk; readonly told: Told; readonly follower: Follower }> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  disk.syncFolder("/");
  const make = new StoreFixture(seed);
  const first = await open(disk, seed);
  await first.create(make.meta(), make.key("integrity"));
  const lines = [await make.timeline(first), await make.timeline(first)];
  const told: Told = { saved: [], removed: new Set(), holders: new Set(), epochs: new Map() };
  const random = new SeededRandom(seed + 900);
  const workers = Array.from({ length: WORKERS }, async (_, index) => {
    const killAt = index % 2 === 0 ? 20 + random.integer(1_200) : Infinity;
    const store = await open(disk, seed * 100 + index, killAt);
    await untilKilled(() => new Worker(store, seed * 100 + index, lines, told).work());
  });
  const follower = new Follower();
  const reader = await open(disk, seed * 100 + 50);
  const state = { isOver: false };
  const following = (async (): Promise<void> => {
    while (!state.isOver) await follower.follow(reader);
  })();
  await Promise.all(workers);
  state.isOver = true;
  await following;
  await follower.follow(reader);
  return { disk, told, follower };
}

async function expectTold(store: FileStore, { saved, removed, holders }: Told): Promise<readonly string[]> {
  expect(await collect(store.check())).toEqual([]);
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  const stored = new Map(rows.map((row) => [row.entry.id, row]));
  for (const { id } of saved) expect(stored.has(id), `${id} was acknowledged`).toBe(true);
  for (const id of removed) expect(stored.get(id)?.removed, `the removal of ${id} was acknowledged`).toBe(true);
  for (const id of holders) expect(stored.has(id), `${id} was said to have the name`).toBe(true);
  for (const line of Map.groupBy(rows, ({ entry }) => entry.timeline).values()) {
    expect(line.map(({ entry }) => entry.sequence)).toEqual(line.map((_, index) => index + 1));
    const epochs = line.map(({ entry }) => entry.epoch);
    expect(epochs, "no save of an old epoch follows one of a new").toEqual(epochs.toSorted((a, b) => a - b));
  }
  const named = rows.filter(({ entry, removed: gone }) => entry.name === "free" && !gone).map(({ entry }) => entry.id);
  expect(named.length, "a name has one live memento").toBeLessThan(2);
  expect(await store.findByName("etl", "free")).toBe(named[0] ?? null);
  const mover = await store.findByName("etl", "moves");
  if (mover !== null) expect(stored.get(mover)?.removed).toBe(false);
  for (const { entry, removed: gone } of rows) {
    const pack = await store.read(entry.id);
    if (pack?.body) expectSoundPack(pack.header, pack.body);
    else expect(gone, `${entry.id} has no body`).toBe(true);
  }
  return rows.map(({ entry }) => entry.id);
}

describe("workers on one store, some of them killed", { timeout: 300_000 }, () => {
  test("keep what was acknowledged, one winner for everything, and a log in order", async () => {
    let saves = 0;
    for (let seed = 1; seed <= RACES; seed++) {
      const { disk, told, follower } = await race(seed);
      const stored = await expectTold(await open(disk, 7), told);
      expect(follower.ids.toSorted(), "the follower meets each once").toEqual(stored.toSorted());
      for (const line of Map.groupBy(follower.ids, (id) => id.slice(0, 12)).values()) {
        const sequences = line.map((id) => Number(id.split("-")[1]));
        expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
      }
      saves += told.saved.length;
      for (const loss of [1, 2, 3]) {
        const left = disk.afterPowerLoss(new SeededRandom(seed * 10 + loss));
        await expectTold(await open(left, 8), { ...told, holders: new Set() });
      }
    }
    expect(saves).toBeGreaterThan(RACES * 5);
  });
});
