import { describe, expect, test } from "vitest";

import { type DiskProcess, Killed, SimulatedDisk } from "../../../../../../test/disk/simulated-disk.ts";
import { sha256 } from "../../../core/digest.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { SeededRandom } from "../../../testing/seeded-random.ts";
import type { Sink, SinkMark } from "../sink.ts";
import { Chain } from "./chain.ts";
import type { DatasetFiles } from "./files.ts";
import { datasetFolder } from "./index.ts";

const FOLDER = "/data/out";
type Row = Readonly<Record<string, unknown>>;

/** What a process has been told, and what it had asked for when it died. */
interface Story {
  /** The mark after each step that was acknowledged. */
  readonly marks: SinkMark[];
  step: number;
}

/** The rows after each step. */
const STATES = [
  [],
  ["a"],
  ["a", "b"],
  ["a", "b", "c"],
  ["a", "b", "c", "d"],
  ["a"],
  ["a"],
  ["a", "e"],
  ["a", "b"],
  ["a", "b"],
];

/** Everything that changes a dataset, merges included; a step that is repeated with its token does nothing more. */
const STEPS: readonly ((sink: Sink<Row>, marks: readonly SinkMark[]) => Promise<SinkMark>)[] = [
  ...["a", "b", "c", "d"].map(
    (id) => async (sink: Sink<Row>) => (await sink.write([{ id }], { epoch: 1, token: `write ${id}` })).mark,
  ),
  async (sink, [first]) => (await sink.revertTo(first ?? null, { epoch: 1, token: "back" }, { force: false })).mark,
  async (sink, [first]) => {
    await sink.trim(first ?? null);
    return await sink.mark();
  },
  async (sink) => (await sink.write([{ id: "e" }], { epoch: 1, token: "write e" })).mark,
  async (sink, [, second]) => (await sink.revertTo(second ?? null, { epoch: 1, token: "on" }, { force: false })).mark,
  async (sink) => {
    await sink.trim(await sink.mark());
    return await sink.mark();
  },
];

function filesOf(process: DiskProcess): DatasetFiles {
  return {
    read: (path) => process.read(path),
    create: (path) => process.create(path),
    link: (file, name) => process.link(file, name),
    rename: (file, name) => process.rename(file, name),
    unlink: (path) => process.unlink(path),
    overwrite: (path, bytes) => process.overwrite(path, bytes),
    makeFolder: (path) => process.makeFolder(path),
    syncFolder: (path) => process.syncFolder(path),
    list: (path) => process.list(path),
    modifiedAt: (path) => process.modifiedAt(path),
    async *blocks(path) {
      yield await process.read(path);
    },
    // The disk knows no links to folders: a file that was synced stands for one.
    linkFolder: async (target, name) => {
      const file = await process.create(name);
      const bytes = Buffer.from(target);
      for (let offset = 0; offset < bytes.length;) offset += await file.write(bytes.subarray(offset));
      await file.sync();
      await file.close();
    },
    readLink: async (name) => Buffer.from(await process.read(name)).toString(),
    removeFolder: async () => await Promise.resolve(),
  };
}

async function openSink(process: DiskProcess, seed: number): Promise<Sink<Row>> {
  const files = filesOf(process);
  const random = new SeededRandom(seed);
  const sink = datasetFolder<Row>({ folder: FOLDER, format: "jsonl", mergeFiles: 2, graceMs: 0, files, random });
  await sink.open({ timeline: "one", name: "out", clock: new ManualClock(), signal: new AbortController().signal });
  return sink;
}

/** Does the steps from the first that was not acknowledged on. */
async function tell(story: Story, process: DiskProcess, seed: number): Promise<void> {
  const sink = await openSink(process, seed);
  await sink.fence(1);
  for (; story.step < STEPS.length; story.step++) {
    const mark = await STEPS[story.step]?.(sink, story.marks);
    story.marks.push(mark ?? null);
  }
}

/** The ids that the newest version has; fails where a file is not what its manifest says. */
async function idsOf(disk: SimulatedDisk): Promise<string[]> {
  const chain = new Chain({
    folder: FOLDER,
    files: filesOf(disk.process()),
    clock: new ManualClock(),
    random: new SeededRandom(9),
  });
  const ids: string[] = [];
  for (const { files } of (await chain.open()).streams.values()) {
    for (const { path, digest } of files.values()) {
      const content = disk.content(chain.path(path));
      expect(sha256(content), path).toBe(digest);
      const lines = content.toString().trimEnd().split("\n");
      ids.push(...lines.map((line) => String((JSON.parse(line) as Row)["id"])));
    }
  }
  return ids.toSorted();
}

function newDisk(): SimulatedDisk {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  disk.syncFolder("/");
  return disk;
}

async function expectStory(disk: SimulatedDisk, { step }: Story): Promise<void> {
  expect([STATES[step], STATES[step + 1]]).toContainEqual(await idsOf(disk));
}

async function countCalls(): Promise<number> {
  const process = newDisk().process();
  await tell({ marks: [], step: 0 }, process, 1);
  return process.calls;
}

async function tellUntilKilled(disk: SimulatedDisk, killAt: number): Promise<Story> {
  const story: Story = { marks: [], step: 0 };
  await expect(tell(story, disk.process({ killAt }), 1), `killed before call ${killAt}`).rejects.toThrow(Killed);
  return story;
}

describe("a process that is killed before any of its file-system calls", { timeout: 240_000 }, () => {
  test("leaves one version or the next, and the same steps lead on from there", async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(100);
    for (let killAt = 1; killAt < calls; killAt++) {
      const disk = newDisk();
      const story = await tellUntilKilled(disk, killAt);
      await expectStory(disk, story);
      await tell(story, disk.process(), 2);
      expect(await idsOf(disk), `killed before call ${killAt}`).toEqual(STATES.at(-1));
    }
  });

  test("and loses its power with it", async () => {
    const calls = await countCalls();
    for (let killAt = 1; killAt < calls; killAt++) {
      const disk = newDisk();
      const story = await tellUntilKilled(disk, killAt);
      for (const seed of [killAt, killAt + 10_000, killAt + 20_000]) {
        const left = disk.afterPowerLoss(new SeededRandom(seed));
        await expectStory(left, story);
        await tell({ ...story, marks: [...story.marks] }, left.process(), 3);
        expect(await idsOf(left), `power lost before call ${killAt}`).toEqual(STATES.at(-1));
      }
    }
  });
});
