import { once } from "node:events";
/**
 * The program of a worker process of the conformance kit. It opens the store through the driver's worker module, says
 * `ready`, waits for a line on its input, does its job, and prints one line of JSON for each thing that the store
 * acknowledged, before it goes on to the next.
 */
import { writeSync } from "node:fs";

import { isMementoError } from "../../core/errors.ts";
import type { TimelineRecord } from "../../core/timeline.ts";
import type { MementoStore } from "../../store/store.ts";
import { StoreFixture, TestTimeline } from "./fixture.ts";

/** What a worker is to do, and what it prints. */
export type WorkerJob =
  /** Append `count` mementos to one timeline, against others: prints `{ id }`. */
  | { readonly kind: "append"; readonly timeline: TimelineRecord; readonly count: number }
  /** Take the timeline's lease over and over, against others, until its epoch is `epoch`: prints `{ epoch }`. */
  | { readonly kind: "acquire"; readonly timeline: string; readonly epoch: number }
  /** Save, remove, reclaim and note for ever: prints `{ saved }`, `{ removed }` or `{ noted }`. */
  | { readonly kind: "use"; readonly timelines: readonly TimelineRecord[] }
  /** Remove these mementos, one after the other, and reclaim each: prints `{ removed }`. */
  | { readonly kind: "remove"; readonly ids: readonly string[] };

/** What a worker process is started with. */
export interface WorkerOrder {
  readonly module: string;
  readonly address: string;
  readonly seed: number;
  readonly job: WorkerJob;
}

const tell = (news: unknown): void => void writeSync(1, `${JSON.stringify(news)}\n`);

async function main({ module, address, seed, job }: WorkerOrder): Promise<void> {
  const { openStore } = (await import(module)) as { openStore: (address: string) => Promise<MementoStore> };
  await using store = await openStore(address);
  const make = new StoreFixture(seed);
  tell("ready");
  await once(process.stdin, "data");
  process.stdin.destroy();
  switch (job.kind) {
    case "append":
      return await append(store, make, job.timeline, job.count);
    case "acquire":
      return await acquire(store, make, job.timeline, job.epoch);
    case "use":
      return await use(store, make, job.timelines);
    case "remove":
      for (const id of job.ids) {
        await patiently(() => store.remove([id], make.notice("removed", { mementos: [id] })));
        tell({ removed: [id] });
        await patiently(() => store.reclaim([id]));
      }
  }
}

async function append(store: MementoStore, make: StoreFixture, facts: TimelineRecord, count: number): Promise<void> {
  for (let left = count; left > 0;) {
    const record = (await timelineNow(store, make, facts)).next();
    const [result] = await patiently(() => store.append(make.batch([record])));
    if (result?.outcome !== "appended") continue;
    left -= 1;
    tell({ id: record.entry.id });
  }
}

async function acquire(store: MementoStore, make: StoreFixture, timeline: string, until: number): Promise<void> {
  for (;;) {
    const epoch = ((await patiently(() => store.timeline(timeline)))?.lease.epoch ?? 0) + 1;
    if (epoch > until) return;
    if (await patiently(() => store.acquireLease({ timeline, lease: make.lease(epoch) }))) tell({ epoch });
  }
}

async function use(store: MementoStore, make: StoreFixture, timelines: readonly TimelineRecord[]): Promise<void> {
  const lines: TestTimeline[] = [];
  for (const facts of timelines) {
    const line = await timelineNow(store, make, facts);
    line.epoch += 1;
    if (!(await store.acquireLease({ timeline: line.key, lease: make.lease(line.epoch) })))
      throw new Error("the lease is taken");
    lines.push(line);
  }
  for (let round = 0; ; round++) {
    const [first, second] = [lines[round % lines.length], lines[(round + 1) % lines.length]];
    if (first === undefined || second === undefined) return;
    const saved: string[] = [];
    for (const records of [
      [first.next()],
      [second.next(), first.next({ name: "last", replaceName: true }), second.next()],
    ]) {
      await store.append(make.batch(records));
      saved.push(...records.map(({ entry }) => entry.id));
      tell({ saved: records.map(({ entry }) => entry.id) });
    }
    await store.remove(saved.slice(1, 3), make.notice("removed", { mementos: saved.slice(1, 3) }));
    tell({ removed: saved.slice(1, 3) });
    await store.reclaim(saved);
    await store.note(make.notice("restored", { details: { round } }));
    tell({ noted: round });
  }
}

async function timelineNow(store: MementoStore, make: StoreFixture, facts: TimelineRecord): Promise<TestTimeline> {
  const state = await patiently(() => store.timeline(facts.key));
  const line = new TestTimeline(make, facts);
  line.epoch = state?.lease.epoch ?? 0;
  line.sequence = state?.head?.sequence ?? 0;
  line.parent = state?.head?.id ?? null;
  return line;
}

/** A lock that others hold for long is no failure of the store while workers crowd it on purpose. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!isMementoError(error, "LOCKED") || tries === 20) throw error;
    }
  }
}

const order = process.argv[2];
if (order !== undefined && process.argv[1] === import.meta.filename) await main(JSON.parse(order) as WorkerOrder);
