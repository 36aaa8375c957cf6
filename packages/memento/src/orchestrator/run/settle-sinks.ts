import { isDeepStrictEqual } from "node:util";

import { mementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";
import type { SinkMark } from "../sinks/sink.ts";
import type { Resources } from "./resources.ts";
import { lastTokenOf, rollsForward } from "./roll-forward.ts";
import type { RunListener } from "./run-event.ts";
import { readSnapshot, type PipelineSnapshot, type RunRecord, type SinkRecord } from "./run-state.ts";
import { demandPlaceOfRun, isElsewhere, type SinkPlace } from "./sink-place.ts";
import { demandMarked } from "./unmarked-data.ts";

/** What settling took back. */
export interface Settled {
  /** The sinks' records from now on, where a revert gave them a new mark. */
  readonly marks: ReadonlyMap<string, SinkRecord>;
  /** The last token of each sink that is ahead of the head and stays so. */
  readonly ahead: ReadonlyMap<string, SinkMark>;
  /** Records whose effects were taken back, and which are read again. */
  readonly records: number;
}

/** What settling works with. */
export interface SettleInput {
  readonly vault: Vault;
  readonly timeline: string;
  readonly resources: Resources;
  readonly snapshot: PipelineSnapshot;
  readonly epoch: number;
  /** The run at the head, which goes on; null: what is at the head is left behind, and a new one starts. */
  readonly resumed: RunRecord | null;
  readonly listener: RunListener;
}

/**
 * Makes every sink's data what the head says: first all are fenced, so that no old worker can write any more; only then
 * are their marks read, and what was written past the head is taken back. What a sink cannot take back stays: when the run goes
 * on, its writes come again under the same tokens and are passed over; a new run goes on behind them. SINK_MOVED where what the run
 * has written is not at a sink's place; NOT_REVERTIBLE where they hold what only lost mementos knew of.
 */
export async function settleSinks(input: SettleInput): Promise<Settled> {
  const { resources, snapshot, epoch, resumed, listener } = input;
  await demandMissing(input);
  await demandMarked(resources, snapshot, epoch);
  for (const sink of [...resources.sinks.values(), ...resources.participants.values()]) await sink.fence(epoch);
  const marks = new Map<string, SinkRecord>();
  const ahead = new Map<string, SinkMark>();
  let records = 0;
  // Nothing is taken back before each sink is known to be where the run has written.
  const places = await placesOf(input);
  for (const at of places)
    if (resumed === null && isElsewhere(at)) listener({ type: "sink-moved", sink: at.name, where: at.sink.describe() });
  for (const { name, sink, place, known } of places) {
    const mark = known.marks[place] ?? null;
    const present = await sink.mark();
    if (isDeepStrictEqual(present, mark)) continue;
    if (sink.supports.revert === "none" || (resumed !== null && rollsForward(sink))) {
      const { stays } = await sink.inspect(mark);
      listener({ type: "sink-kept", sink: name, records: stays?.total ?? 0, items: stays?.items ?? [] });
      if (resumed !== null) ahead.set(name, present);
      else marks.set(name, behind(known, place, present));
      continue;
    }
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
  return { marks, ahead, records };
}

/** SINK_MOVED before the first call that writes: what is refused makes no database in the place of one that is missing. */
async function demandMissing({ vault, timeline, resources, snapshot, resumed }: SettleInput): Promise<void> {
  if (resumed === null) return;
  for (const [name, sink] of resources.sinks) {
    const known = snapshot.sinks.get(name);
    if (known === undefined || (await sink.exists?.()) !== false) continue;
    await demandPlaceOfRun(vault, timeline, resumed, { name, sink, place: "", known });
  }
}

/** Where each sink writes now; SINK_MOVED where that is not where the run that goes on has written. */
async function placesOf({ vault, timeline, resources, snapshot, resumed }: SettleInput): Promise<readonly SinkPlace[]> {
  const places: SinkPlace[] = [];
  for (const [name, sink] of resources.sinks) {
    const at = { name, sink, place: await sink.place(), known: snapshot.sinks.get(name) ?? { marks: {}, batches: 0 } };
    if (resumed !== null) await demandPlaceOfRun(vault, timeline, resumed, at);
    places.push(at);
  }
  return places;
}

/** The record of a sink whose data past the head is nobody's any more: a new run's tokens begin after the last one that it took. */
function behind(known: SinkRecord, place: string, present: SinkMark): SinkRecord {
  const batches = Math.max(known.batches, lastTokenOf(present)?.batch ?? 0);
  return { batches, marks: { ...known.marks, [place]: present } };
}

/** Where even these are removed while they are looked at, the next run trims. */
const OLDEST_READ = 4;

/** Lets each sink forget what is needed only for going back to before the timeline's oldest live memento. */
export async function trimSinks(vault: Vault, timeline: string, resources: Resources): Promise<void> {
  if (resources.sinks.size === 0 && resources.participants.size === 0) return;
  for await (const { entry } of vault.store.query(mementoQuery({ timeline, order: "ascending", limit: OLDEST_READ }))) {
    const oldest = await vault.readLive(entry.id, readSnapshot);
    // Removed meanwhile: the next one is the oldest now.
    if (oldest === null) continue;
    await resources.withoutSecrets(async () => {
      for (const [name, sink] of resources.sinks)
        await sink.trim(oldest.sinks.get(name)?.marks[await sink.place()] ?? null);
      for (const [name, participant] of resources.participants)
        await participant.trim?.(oldest.participants.get(name) ?? null);
    });
    return;
  }
}
