import { describe, expect, test } from "vitest";

import { SimulatedDisk, type DiskProcess } from "../../../../../test/disk/simulated-disk.ts";
import { systemClock } from "../../core/ports.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { Log, type LogMeaning } from "../blobs/log.ts";
import { Stamps } from "../blobs/stamps.ts";
import { DurableFiles } from "./durable-write.ts";

interface Sum {
  readonly sum: number;
}

const adding: LogMeaning<number, Sum> = {
  initial: () => ({ sum: 0 }),
  fold: ({ sum }, { entry }) => ({ sum: sum + entry }),
  encode: (state) => state,
  decode: (encoded) => encoded as Sum,
  stateEvery: () => 32,
};

interface Opened {
  readonly log: Log<number, Sum>;
  readonly process: DiskProcess;
}

const tuning = { requestsAtOnce: 8, stateEveryMin: 1 };

function openLog(disk: SimulatedDisk, seed: number): Opened {
  const process = disk.process();
  const random = new SeededRandom(seed);
  const files = new DurableFiles({ files: process, clock: systemClock, random, temporaryFolder: "/temporary" });
  const place = { kind: "timeline", id: "log", folder: "/log" } as const;
  return { log: new Log({ place, meaning: adding, files, tuning, stamps: new Stamps(systemClock), random }), process };
}

function emptyDisk(): SimulatedDisk {
  const disk = new SimulatedDisk();
  disk.makeFolder("/log");
  return disk;
}

async function grow({ log }: Opened, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await log.commit(() => ({ entry: 1, result: null }));
}

describe("Log", () => {
  test("gives each position to one of many writers, and adds all entries up", async () => {
    const disk = emptyDisk();
    const logs = [1, 2, 3].map((seed) => openLog(disk, seed));
    const sums = await Promise.all(
      logs.flatMap(({ log }) =>
        Array.from({ length: 10 }, () => log.commit(({ state }) => ({ entry: 1, result: state.sum }))),
      ),
    );
    expect(sums.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index));
    for (const { log } of logs) expect((await log.refresh()).state.sum).toBe(30);
  });

  test("takes a refusal only after a look", async () => {
    const disk = emptyDisk();
    const [late, early] = [openLog(disk, 1), openLog(disk, 2)];
    await grow(late, 1);
    await grow(early, 1);
    const refuseAtOne = await late.log.commit(({ state }) =>
      state.sum === 1 ? { entry: null, result: "refused" } : { entry: 1, result: "written" },
    );
    expect(refuseAtOne).toBe("written");
  });

  test("finds the end of a long log in few calls, also when its last writer died", async () => {
    const disk = emptyDisk();
    await grow(openLog(disk, 1), 1_000);
    const cold = openLog(disk, 2);
    expect((await cold.log.refresh()).state.sum).toBe(1_000);
    // The state, its entry, at most 31 entries behind it, and two looks beyond the end.
    expect(cold.process.calls).toBeLessThan(36);
    const before = cold.process.calls;
    await cold.log.refresh();
    expect(cold.process.calls - before).toBe(1);
  });

  test("reads any span upwards and downwards, across chapters and without them", async () => {
    const disk = emptyDisk();
    await grow(openLog(disk, 1), 600);
    const { log } = openLog(disk, 2);
    for (const withChapters of [true, false]) {
      for (const [from, to] of [
        [1, 600],
        [600, 1],
        [250, 520],
        [520, 250],
        [256, 257],
        [512, 512],
        [600, 513],
      ] as const) {
        const positions: number[] = [];
        for await (const { position } of log.reader.records(from, to)) positions.push(position);
        const step = from <= to ? 1 : -1;
        expect(positions).toEqual(Array.from({ length: Math.abs(to - from) + 1 }, (_, index) => from + index * step));
      }
      expect((await log.reader.chapter(2)) === null).toBe(!withChapters);
      for (const file of disk.files()) if (file.includes("chapter")) disk.delete(file);
    }
  });

  test("knows its own entry again when the answer to the link was lost", async () => {
    const disk = emptyDisk();
    const { process } = openLog(disk, 1);
    const link = process.link.bind(process);
    // As a network file system does that repeats a call whose answer it has not got.
    process.link = async (file, name) => {
      await link(file, name);
      await link(file, name);
    };
    const random = new SeededRandom(3);
    const files = new DurableFiles({ files: process, clock: systemClock, random, temporaryFolder: "/temporary" });
    const place = { kind: "timeline", id: "log", folder: "/log" } as const;
    const log = new Log({ place, meaning: adding, files, tuning, stamps: new Stamps(systemClock), random });
    await log.commit(() => ({ entry: 5, result: null }));
    expect(await log.refresh()).toMatchObject({ position: 1, state: { sum: 5 } });
  });

  test("a file in the middle that is gone is damage, not the end", async () => {
    const disk = emptyDisk();
    await grow(openLog(disk, 1), 40);
    for (const position of [20, 33, 39]) {
      const left = disk.copy();
      left.delete(`/log/0000000000${position}.json`);
      const { log } = openLog(left, 2);
      if (position > 32) await expect(log.refresh()).rejects.toMatchObject({ code: "DAMAGED" });
      else await expect(log.reader.demand(position)).rejects.toMatchObject({ code: "DAMAGED" });
    }
  });
});

describe("Stamps", () => {
  test("grow whatever the clock does, and stay above what was met", () => {
    let now = 1_000;
    const stamps = new Stamps({ ...systemClock, now: () => now });
    const first = stamps.next();
    now = 0;
    const second = stamps.next();
    expect(second).toBeGreaterThan(first);
    stamps.meet(second + 50);
    expect(stamps.next()).toBe(second + 51);
    now = Number.MAX_SAFE_INTEGER;
    const last = stamps.next();
    expect(Number.isSafeInteger(last + 1_000_000)).toBe(true);
    expect(stamps.next()).toBe(last + 1);
  });
});
