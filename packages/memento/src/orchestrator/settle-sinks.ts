import { isDeepStrictEqual } from "node:util";

import { mementoQuery } from "../store/query.ts";
import type { Vault } from "../vault/vault.ts";
import type { Resources } from "./resources.ts";
import type { RunListener } from "./run-event.ts";
import { readSnapshot, type PipelineSnapshot, type SinkRecord } from "./run-state.ts";

/** What settling took back. */
export interface Settled {
  /** The sinks' records from now on, where a revert gave them a new mark. */
  readonly marks: ReadonlyMap<string, SinkRecord>;
  /** Records whose effects were taken back, and which are read again. */
  readonly records: number;
}

/**
 * Makes every sink's data what the head says: first all are fenced, so that no old worker can write any more; only then
 * are their marks read, and what was written past the head is taken back. A sink that cannot revert is left as it is.
 */
export async function settleSinks(
  resources: Resources,
  snapshot: PipelineSnapshot,
  epoch: number,
  listener: RunListener,
): Promise<Settled> {
  for (const sink of [...resources.sinks.values(), ...resources.participants.values()]) await sink.fence(epoch);
  const marks = new Map<string, SinkRecord>();
  let records = 0;
  for (const [name, sink] of resources.sinks) {
    const known = snapshot.sinks.get(name) ?? { marks: {}, batches: 0 };
    const place = await sink.place();
    const mark = known.marks[place] ?? null;
    if (isDeepStrictEqual(await sink.mark(), mark) || sink.supports.revert === "none") continue;
    const reverted = await sink.revertTo(mark, { epoch, token: `settle:${epoch}` }, { force: false });
    marks.set(name, { ...known, marks: { ...known.marks, [place]: reverted.mark } });
    // Sinks that were fed from the same records count them once.
    records = Math.max(records, reverted.records);
    listener({
      type: "sink-reverted",
      sink: name,
      rows: reverted.removed + reverted.restored,
      records: reverted.records,
    });
  }
  for (const [name, participant] of resources.participants) {
    const mark = snapshot.participants.get(name) ?? null;
    // The next memento asks it for its mark, whatever that is by then.
    if (!isDeepStrictEqual(await participant.mark(), mark))
      await participant.revertTo(mark, { epoch, token: `settle:${epoch}` }, { force: false });
  }
  return { marks, records };
}

/** Lets each sink forget what is needed only for going back to before the timeline's oldest live memento. */
export async function trimSinks(vault: Vault, timeline: string, resources: Resources): Promise<void> {
  for await (const { entry } of vault.store.query(mementoQuery({ timeline, order: "ascending", limit: 1 }))) {
    const oldest = await readSnapshot(await vault.load(entry.id));
    for (const [name, sink] of resources.sinks)
      await sink.trim(oldest.sinks.get(name)?.marks[await sink.place()] ?? null);
    for (const [name, participant] of resources.participants)
      await participant.trim?.(oldest.participants.get(name) ?? null);
  }
}
