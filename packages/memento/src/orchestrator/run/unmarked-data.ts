import { MementoError } from "../../core/errors.ts";
import type { Resources } from "./resources.ts";
import { PIECE, type PipelineSnapshot, type SinkRecord } from "./run-state.ts";

/**
 * What a timeline has at the present places of its sinks and participants and its head has no mark of, as pieces that would
 * mark it as it stands now. All are fenced first.
 */
export async function unmarkedData(
  { sinks, participants }: Pick<Resources, "sinks" | "participants">,
  head: Pick<PipelineSnapshot, "sinks" | "participants">,
  epoch: number,
): Promise<ReadonlyMap<string, unknown>> {
  for (const one of [...sinks.values(), ...participants.values()]) await one.fence(epoch);
  const found = new Map<string, unknown>();
  for (const [name, sink] of sinks) {
    const [place, mark] = [await sink.place(), await sink.mark()];
    const { marks, batches }: SinkRecord = head.sinks.get(name) ?? { marks: {}, batches: 0 };
    if (mark !== null && !(place in marks))
      found.set(PIECE.sink + name, { batches, marks: { ...marks, [place]: mark } });
  }
  for (const [name, participant] of participants) {
    const mark = await participant.mark();
    if (mark !== null && !head.participants.has(name)) found.set(PIECE.participant + name, mark);
  }
  return found;
}

/**
 * NOT_REVERTIBLE where the mementos of a timeline were lost and its sinks or participants still have what these knew of: to
 * take that back and read it again is sound only while the sources still have it, which the plan of a reset says.
 */
export async function demandMarked(resources: Resources, snapshot: PipelineSnapshot, epoch: number): Promise<void> {
  if (snapshot.lost === null) return;
  const items = [...(await unmarkedData(resources, snapshot, epoch)).keys()].map((key) => key.replace(/^.*?\//u, ""));
  if (items.length === 0) return;
  throw new MementoError(
    "NOT_REVERTIBLE",
    `All mementos up to ${snapshot.lost} were lost, and what was written until then is still there: ${items.join(", ")}`,
    {
      hint: "`memento reset` takes it back and shows before whether the sources still have it; with --keep-data it stays.",
      details: { items },
    },
  );
}
