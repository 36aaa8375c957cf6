/**
 * Uses an SQLite store from its making to its closing, in seven steps. Prints a line of JSON for each step that the
 * store acknowledged. A step that fails with one of our errors is told, and asked for once more.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { isMementoError } from "../../packages/memento/src/core/errors.ts";
import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import type { AppendBatch } from "../../packages/memento/src/store/store.ts";
import { StoreFixture, TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";

/** What a step's line says. */
export interface StepNews {
  readonly step: string;
  /** The error's code, for a step that failed; it is asked for once more. */
  readonly failed?: string;
  readonly saved?: readonly string[];
  readonly removed?: readonly string[];
}

const tell = (news: StepNews): void => void writeSync(1, `${JSON.stringify(news)}\n`);

async function doStep(step: string, run: () => Promise<Omit<StepNews, "step"> | void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      tell({ step, ...(await run()) });
      return;
    } catch (error) {
      if (!isMementoError(error) || attempt > 0) throw error;
      tell({ step, failed: error.code });
    }
  }
}

async function main(path: string): Promise<void> {
  const make = new StoreFixture(7);
  let store: SqliteStore | undefined;
  await doStep("open", async () => {
    store ??= await SqliteStore.open({ path });
    await store.create(make.meta(), make.key("integrity"));
  });
  if (store === undefined) return;
  const used = store;

  const facts = make.timelineRecord();
  await doStep("timeline", async () => {
    await used.createTimeline(facts, make.lease(0, null));
    const lease = make.lease(1);
    if (await used.acquireLease({ timeline: facts.key, lease })) return;
    // After an error the first try may have been done all the same.
    if ((await used.timeline(facts.key))?.lease.check !== lease.check) throw new Error("the lease was refused");
  });

  const line = new TestTimeline(make, facts);
  const append = async (batch: AppendBatch): Promise<Omit<StepNews, "step">> => {
    const ids = batch.records.map(({ entry }) => entry.id);
    const [first = ""] = ids;
    if ((await used.read(first)) === null) {
      const results = await used.append(batch);
      if (results.some(({ outcome }) => outcome !== "appended")) throw new Error(JSON.stringify(results));
    }
    return { saved: ids };
  };
  const one = make.batch([line.next({ name: "gold" })]);
  await doStep("append", () => append(one));
  const three = make.batch([line.next(), line.next({ name: "gold", replaceName: true }), line.next()], {
    body: Buffer.alloc(9_000, 1),
  });
  await doStep("append three", () => append(three));

  const gone = three.records.map(({ entry }) => entry.id);
  await doStep("remove", async () => {
    await used.remove(gone, make.notice("removed", { mementos: gone }));
    return { removed: gone };
  });
  await doStep("reclaim", async () => void (await used.reclaim(gone)));
  await doStep("close", () => used.close());
}

await main(process.argv[2] ?? "");
