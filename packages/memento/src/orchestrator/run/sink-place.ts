import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import type { MementoReason } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Sink } from "../sinks/sink.ts";
import { readSnapshot, type RestoreRecord, type RunRecord, type SinkRecord } from "./run-state.ts";

/** A sink about to be written to, with what the timeline knows of it. */
export interface SinkPlace {
  readonly name: string;
  readonly sink: Sink;
  /** Where it writes now. */
  readonly place: string;
  readonly known: SinkRecord;
}

/** True where the timeline has written by this sink, and never at the place that it has now. */
export function isElsewhere({ place, known }: SinkPlace): boolean {
  return !(place in known.marks) && Object.keys(known.marks).length > 0;
}

/**
 * SINK_MOVED when the run has written at another place than the sink has now: the rest of its rows would go to one, and those
 * before are in the other, or gone with it. Who has rolled back with the sink forced by its name has been told.
 */
export async function demandPlaceOfRun(vault: Vault, timeline: string, run: RunRecord, at: SinkPlace): Promise<void> {
  const { name, sink, place, known } = at;
  if (Object.keys(known.marks).every((other) => other === place)) return;
  const begun = await marksAtStart(vault, timeline, run, name);
  if (begun === null) return;
  const written = Object.keys(known.marks).filter((other) => !isDeepStrictEqual(known.marks[other], begun[other]));
  if (written.length === 0 || written.includes(place)) return;
  throw new MementoError(
    "SINK_MOVED",
    `Run ${run.id} has written to the sink ${name}, and nothing of it is in ${sink.describe()}: that was removed, made anew, or is another one`,
    { details: { sink: name, run: run.id } },
  );
}

/**
 * The marks that a sink had when the run began. A run of an earlier release has them in its first memento alone; where that is gone, all
 * count as the run's. null where the run was taken back since with the sink forced.
 */
async function marksAtStart(
  vault: Vault,
  timeline: string,
  run: RunRecord,
  sink: string,
): Promise<SinkRecord["marks"] | null> {
  let begun = run.begun;
  for await (const { entry } of vault.store.query(mementoQuery({ timeline, run: run.id }))) {
    if (entry.reason === "start") begun ??= await marksIn(vault, entry.id);
    if (!RESTORES.has(entry.reason)) continue;
    // What a repair went back to has evidence of another kind: nobody was asked about sinks.
    const memento = await vault.loadLive(entry.id);
    const { evidence } = (memento?.fields() ?? {}) as { readonly evidence?: Partial<RestoreRecord> };
    if (evidence?.forced?.some((item) => item === sink || item === `sink:${sink}`) === true) return null;
  }
  return begun !== undefined && Object.hasOwn(begun, sink) ? (begun[sink] ?? {}) : {};
}

async function marksIn(vault: Vault, start: string): Promise<RunRecord["begun"]> {
  const snapshot = await vault.readLive(start, readSnapshot);
  return snapshot === null ? undefined : marksOf(snapshot.sinks);
}

/** The marks of sinks, by their names. */
export function marksOf(sinks: Iterable<readonly [string, SinkRecord]>): NonNullable<RunRecord["begun"]> {
  return Object.fromEntries([...sinks].map(([name, { marks }]) => [name, marks]));
}

const RESTORES: ReadonlySet<MementoReason> = new Set(["rollback", "reset", "adopt"]);
