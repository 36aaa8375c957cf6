import { expect } from "vitest";

import type { FilePort } from "../../packages/memento/src/store/file/file-port.ts";
import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";
import { expectSoundPack } from "../../packages/memento/src/testing/store/answers.ts";
import { StoreFixture, TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import { Killed, SimulatedDisk } from "./simulated-disk.ts";

/** Where the store is on the disk. */
export const STORE_PATH = "/data/store";

/** A store with two timelines, on a disk of its own for each case. */
export interface Ground {
  readonly disk: SimulatedDisk;
  readonly make: StoreFixture;
  readonly lines: readonly [TestTimeline, TestTimeline];
}

/** What a process does with a store. */
export type Play<T> = (store: FileStore, ground: Ground) => Promise<T>;

/** The store, as a process sees the disk. */
export async function openStore(files: FilePort, seed: number): Promise<FileStore> {
  return await FileStore.open({
    path: STORE_PATH,
    files,
    clock: new StoreFixture(1).clock,
    random: new SeededRandom(seed),
  });
}

async function prepare(setUp: Play<void>): Promise<Ground> {
  const disk = new SimulatedDisk();
  disk.makeFolder("/data");
  disk.syncFolder("/");
  const make = new StoreFixture(1);
  const store = await openStore(disk.process(), 1);
  await store.create(make.meta(), make.key("integrity"));
  const lines = [await make.timeline(store), await make.timeline(store)] as const;
  await setUp(store, { disk, make, lines });
  await store.close();
  return { disk, make, lines };
}

/** The same ground for one more case: nothing that a case does is seen by the next. */
function again({ disk, make, lines: [one, two] }: Ground, seed: number): Ground {
  const fixture = new StoreFixture(seed);
  const copy = (line: TestTimeline): TestTimeline => {
    const other = new TestTimeline(fixture, line.facts);
    other.sequence = line.sequence;
    other.epoch = line.epoch;
    other.parent = line.parent;
    return other;
  };
  fixture.clock.setNow(make.clock.now());
  return { disk: disk.copy(), make: fixture, lines: [copy(one), copy(two)] };
}

/** How many calls the first one makes by itself. */
async function countCalls<T>(ground: Ground, first: Play<T>): Promise<number> {
  const case0 = again(ground, 2);
  const process = case0.disk.process();
  await first(await openStore(process, 2), case0);
  return process.calls;
}

/**
 * Stops a process before each of its calls in turn; another one does its whole work meanwhile; then the first goes on.
 * Both tell what they were told.
 */
export async function stopEverywhere<A, B>(
  setUp: Play<void>,
  first: Play<A>,
  second: Play<B>,
  judge: (told: { readonly first: A; readonly second: B }, store: FileStore, ground: Ground) => Promise<void>,
): Promise<void> {
  const ground = await prepare(setUp);
  const calls = await countCalls(ground, first);
  for (let stopAt = 1; stopAt <= calls; stopAt++) {
    const its = again(ground, 2);
    const process = its.disk.process({ stopAt });
    const doing = openStore(process, 2).then(async (store) => await first(store, its));
    await process.stopped;
    const toldSecond = await second(await openStore(its.disk.process(), 3), {
      ...its,
      ...again(ground, 3),
      disk: its.disk,
    });
    process.goOn();
    const toldFirst = await doing;
    const store = await openStore(its.disk.process(), 4);
    expect(await collect(store.check()), `stopped before call ${stopAt}`).toEqual([]);
    await expectBodies(store);
    await judge({ first: toldFirst, second: toldSecond }, store, its);
  }
}

/**
 * Kills a process before each of its calls in turn; another one, which has known the store before or has not, does its
 * whole work on what it sees; then the power is lost. What the second was told must be true afterwards.
 */
export async function losePowerEverywhere<A, B>(
  setUp: Play<void>,
  first: Play<A>,
  second: Play<B>,
  judge: (second: B, store: FileStore, ground: Ground) => Promise<void>,
): Promise<void> {
  const ground = await prepare(setUp);
  const calls = await countCalls(ground, first);
  for (let case0 = 2; case0 < 2 * calls + 2; case0++) {
    const [killAt, isWarm] = [case0 >>> 1, case0 % 2 === 1];
    const its = again(ground, 2);
    const other = await openStore(its.disk.process(), 3);
    if (isWarm) await collect(other.query(mementoQuery()));
    await expect(
      openStore(its.disk.process({ killAt }), 2).then(async (store) => await first(store, its)),
    ).rejects.toThrow(Killed);
    const told = await second(other, { ...its, ...again(ground, 3), disk: its.disk });
    for (let loss = 0; loss < 8; loss++) {
      const left = its.disk.afterPowerLoss(new SeededRandom(killAt * 100 + loss));
      const store = await openStore(left.process(), 4);
      const when = `killed before call ${killAt}, loss ${loss}, ${isWarm ? "warm" : "cold"}`;
      expect(await collect(store.check()), when).toEqual([]);
      await expectBodies(store);
      await judge(told, store, { ...its, disk: left });
    }
  }
}

/** Every live memento has its body. */
async function expectBodies(store: FileStore): Promise<void> {
  for await (const { entry } of store.query(mementoQuery())) {
    const pack = await store.read(entry.id);
    if (pack?.body) expectSoundPack(pack.header, pack.body);
    else expect.fail(`${entry.id} is live and has no body`);
  }
}
