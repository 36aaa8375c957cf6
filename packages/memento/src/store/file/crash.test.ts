import { describe, expect, test } from "vitest";

import { Killed, SimulatedDisk } from "../../../../../test/disk/simulated-disk.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { expectSoundPack } from "../../testing/store/answers.ts";
import { expectAppended, StoreFixture, type RecordOptions, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import type { AppendRecord, IndexRow, KeyRecord } from "../store.ts";
import type { FilePort } from "./file-port.ts";
import { FileStore } from "./store.ts";

const PATH = "/data/store";

/** What a user of the store was told, and what was asked when the process died. */
class Story {
  readonly make = new StoreFixture(1);
  readonly lines: TestTimeline[] = [];
  readonly saved: MementoEntry[] = [];
  readonly removed = new Set<string>();
  readonly epochs = new Map<string, number>();
  key: KeyRecord | null = null;
  isMade = false;
  policy = 0;
  notices = 0;
  ring = "ring-1";
  /** The step under way; its effects may be there or not, but never in part. */
  asked: Asked = {};

  async step(asked: Asked, run: () => Promise<void>): Promise<void> {
    this.asked = asked;
    await run();
    this.asked = {};
  }
}

interface Asked {
  readonly saves?: readonly (readonly MementoEntry[])[];
  readonly removes?: readonly string[];
  readonly epoch?: { readonly key: string; readonly epoch: number };
  readonly policy?: number;
  readonly notices?: number;
  readonly ring?: string;
}

async function open(files: FilePort, seed: number): Promise<FileStore> {
  const { clock } = new StoreFixture(1);
  return await FileStore.open({ path: PATH, files, clock, random: new SeededRandom(seed) });
}

/** Uses everything that writes, once or twice. */
async function tell(story: Story, store: FileStore): Promise<void> {
  const { make } = story;
  story.key = make.key("integrity");
  const { key } = story;
  await story.step({}, async () => {
    await store.create(make.meta(), key);
    story.isMade = true;
  });
  await story.step({ policy: 1, notices: 1 }, async () => {
    expect(await store.saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved"))).toBe(true);
    story.policy = 1;
    story.notices += 1;
  });
  for (let index = 0; index < 2; index++) {
    await story.step({}, async () => {
      story.lines.push(await make.timeline(store));
    });
  }
  const [one, two] = story.lines as [TestTimeline, TestTimeline];
  await save(story, store, [[one, { name: "gold" }]]);
  await save(story, store, [
    [one, {}],
    [two, {}],
    [one, { name: "gold", replaceName: true }],
  ]);
  await story.step({}, async () => {
    expect(await store.renewLease({ timeline: one.key, lease: make.lease(1) })).not.toBeNull();
    await store.requestOf(one.key, "pause");
  });
  const gone = story.saved.slice(0, 3).map(({ id }) => id);
  await story.step({ removes: gone, notices: 1 }, async () => {
    expect(await store.remove(gone, make.notice("removed", { mementos: gone }))).toEqual(gone);
    for (const id of gone) story.removed.add(id);
    story.notices += 1;
  });
  await story.step({}, async () => void (await store.reclaim(gone)));
  await story.step({ ring: "ring-2" }, async () => {
    expect(await store.rewrapKey({ ...key, ring: "ring-2" }, "ring-1")).toBe(true);
    story.ring = "ring-2";
  });
  await story.step({ notices: 1 }, async () => {
    await store.note(make.notice("restored"));
    story.notices += 1;
  });
  await story.step({}, async () => {
    expect(await store.releaseLease({ timeline: one.key, lease: make.lease(1, null) }, "owner-1")).toBe(true);
  });
  await takeOver(story, store, two);
  await save(story, store, [[two, {}]]);
  await store.close();
}

async function save(
  story: Story,
  store: FileStore,
  wanted: readonly (readonly [TestTimeline, RecordOptions])[],
): Promise<void> {
  const records = wanted.map(([line, options]): AppendRecord => line.next(options));
  const groups = Map.groupBy(records, ({ entry }) => entry.timeline);
  const saves = [...groups.values()].map((group) => group.map(({ entry }) => entry));
  await story.step({ saves }, async () => {
    expectAppended(await store.append(story.make.batch(records)));
    story.saved.push(...records.map(({ entry }) => entry));
  });
}

async function takeOver(story: Story, store: FileStore, line: TestTimeline): Promise<void> {
  const state = await store.timeline(line.key);
  const epoch = (state?.lease.epoch ?? 0) + 1;
  await story.step({ epoch: { key: line.key, epoch } }, async () => {
    expect(await store.acquireLease({ timeline: line.key, lease: story.make.lease(epoch) })).toBe(true);
    story.epochs.set(line.key, epoch);
    line.epoch = epoch;
  });
  line.sequence = state?.head?.sequence ?? 0;
  line.parent = state?.head?.id ?? null;
}

/** Fails unless the store holds what was acknowledged, and of the step under way all or nothing. */
async function expectStory(story: Story, store: FileStore): Promise<void> {
  const { asked } = story;
  if ((await store.meta()) === null) {
    expect(story.isMade).toBe(false);
    return;
  }
  expect(await collect(store.check())).toEqual([]);
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  const stored = new Map(rows.map((row) => [row.entry.id, row]));
  for (const { id } of story.saved) expect(stored.has(id), `${id} was acknowledged`).toBe(true);
  const extra = rows.filter(({ entry }) => !story.saved.some(({ id }) => id === entry.id)).map(({ entry }) => entry.id);
  for (const group of asked.saves ?? []) {
    const there = group.filter(({ id }) => extra.includes(id));
    expect([0, group.length], "a timeline's records are there or not").toContain(there.length);
  }
  expect(extra.filter((id) => !asked.saves?.flat().some((entry) => entry.id === id))).toEqual([]);
  expectRemovals(story, rows);
  for (const { entry, removed } of rows) {
    const pack = await store.read(entry.id);
    if (pack?.body) expectSoundPack(pack.header, pack.body);
    else expect(removed, `${entry.id} has no body`).toBe(true);
  }
  await expectName(story, store);
  for (const line of story.lines) {
    const state = await store.timeline(line.key);
    const epoch = story.epochs.get(line.key) ?? 1;
    expect([epoch, asked.epoch?.key === line.key ? asked.epoch.epoch : epoch]).toContain(state?.lease.epoch);
    const ofLine = rows.filter(({ entry }) => entry.timeline === line.key);
    expect(state?.head?.id).toBe(ofLine.at(-1)?.entry.id);
    expect(ofLine.map(({ entry }) => entry.sequence)).toEqual(ofLine.map((_, index) => index + 1));
  }
  const [key, ...more] = (await store.keys()).filter(({ purpose }) => purpose === "integrity");
  expect(more).toEqual([]);
  expect([story.ring, asked.ring ?? story.ring]).toContain(key?.ring);
  expect([story.policy, asked.policy ?? story.policy]).toContain((await store.caretaker("etl"))?.version ?? 0);
  const notices = (await collect(store.commits(null))).filter(({ accepted }) => accepted.length === 0).length;
  expect([story.notices, story.notices + (asked.notices ?? 0)]).toContain(notices);
}

function expectRemovals({ removed, asked }: Story, rows: readonly IndexRow[]): void {
  const isRemoved = (id: string): boolean => rows.find(({ entry }) => entry.id === id)?.removed === true;
  for (const { entry, removed: gone } of rows) {
    if (removed.has(entry.id)) expect(gone, `the removal of ${entry.id} was acknowledged`).toBe(true);
    else if (asked.removes?.includes(entry.id) !== true) expect(gone).toBe(false);
  }
  expect(new Set((asked.removes ?? []).map(isRemoved)).size, "a removal is of all or none").toBeLessThan(2);
}

async function expectName({ saved, removed, asked }: Story, store: FileStore): Promise<void> {
  const last = saved.findLast(({ name }) => name === "gold");
  const holder = await store.findByName("etl", "gold");
  const possible = asked.saves?.flat().find(({ name }) => name === "gold");
  const before = last === undefined || removed.has(last.id) ? null : last.id;
  expect([before, possible?.id ?? before]).toContain(holder);
}

/** What is left can be worked with: taken over, saved to, and named. */
async function goOn(story: Story, store: FileStore): Promise<void> {
  if (!story.isMade) await store.create(story.make.meta(), story.make.key("integrity"));
  for (const line of story.lines) {
    await takeOver(story, store, line);
    await save(story, store, [
      [line, { name: "gold", replaceName: true }],
      [line, {}],
    ]);
  }
  const late = await story.make.timeline(store);
  const named = late.next({ name: `late-${late.key}` });
  expectAppended(await store.append(story.make.batch([named])));
  const [fresh] = await store.append(story.make.batch([late.record({ name: `late-${late.key}` })]));
  expect(fresh).toEqual({ outcome: "exists", id: named.entry.id });
  expect(await collect(store.check())).toEqual([]);
}

/** How many calls the whole story makes when nobody dies. */
async function countCalls(): Promise<number> {
  const process = new SimulatedDisk().process();
  await makeRoot(process);
  await tell(new Story(), await open(process, 5));
  return process.calls;
}

/** `/data`, as an operator would have made it. */
function makeRoot(process: { makeFolder(folder: string): Promise<void> }): Promise<void> {
  return process.makeFolder("/data");
}

async function tellUntilKilled(disk: SimulatedDisk, killAt: number): Promise<Story> {
  disk.makeFolder("/data");
  disk.syncFolder("/");
  const story = new Story();
  const process = disk.process({ killAt });
  await expect(
    open(process, 5).then(async (store) => await tell(story, store)),
    `killed before call ${killAt}`,
  ).rejects.toThrow(Killed);
  return story;
}

describe("a process that is killed before any of its file-system calls", { timeout: 240_000 }, () => {
  test("leaves all that was acknowledged, and all or nothing of what was not", async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(300);
    for (let killAt = 1; killAt < calls; killAt++) {
      const disk = new SimulatedDisk();
      const story = await tellUntilKilled(disk, killAt);
      const store = await open(disk.process(), 6);
      await expectStory(story, store);
      story.asked = {};
      await goOn(story, store);
    }
  });

  test("and loses its power with it", async () => {
    const calls = await countCalls();
    for (let killAt = 1; killAt < calls; killAt++) {
      const disk = new SimulatedDisk();
      const story = await tellUntilKilled(disk, killAt);
      for (const seed of [killAt, killAt + 10_000, killAt + 20_000]) {
        const left = disk.afterPowerLoss(new SeededRandom(seed));
        await expectStory(story, await open(left.process(), 6));
      }
    }
  });
});
