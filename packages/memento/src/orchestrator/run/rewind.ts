import { isDeepStrictEqual } from "node:util";

import { rollsForward } from "./roll-forward.ts";
import type { RunSession } from "./run-session.ts";

/**
 * Takes back, inside a run, what an attempt has done since its last memento: its sinks' data and the state; its offsets were never
 * anybody else's. It is what a resumption does. What a sink cannot take back stays, and is passed over by its token.
 */
export async function rewind(session: RunSession, owner: string): Promise<void> {
  const { claims, parallel } = session;
  // Where stages run at once, only what this one holds can be of it.
  await takeBack(session, (name) => !parallel || claims.holds(owner, `sink ${name}`));
  if (!parallel) await session.reloadState();
  claims.release(owner);
}

/** Takes sinks, and all participants, back to what the run has settled. FENCED, and what they raise. */
export async function takeBack(session: RunSession, isMeant: (sink: string) => boolean = () => true): Promise<void> {
  const { resources, lease } = session;
  for (const [name, sink] of resources.sinks) {
    if (!isMeant(name)) continue;
    if (rollsForward(sink)) session.forward.isAhead(name, await sink.mark());
    if (sink.supports.revert === "none" || rollsForward(sink)) continue;
    const known = session.sinkRecord(name);
    const place = await sink.place();
    const mark = known.marks[place] ?? null;
    if (isDeepStrictEqual(await sink.mark(), mark)) continue;
    const write = { epoch: lease.epoch, token: session.nextRevertToken() };
    const reverted = await sink.revertTo(mark, write, { force: false });
    session.setSink(name, { ...known, marks: { ...known.marks, [place]: reverted.mark } });
    session.emit({
      type: "sink-reverted",
      sink: name,
      rows: reverted.removed + reverted.restored,
      records: reverted.records,
    });
  }
  for (const [name, participant] of resources.participants) {
    const mark = session.participantMarks.get(name) ?? null;
    if (isDeepStrictEqual(await participant.mark(), mark)) continue;
    await participant.revertTo(mark, { epoch: lease.epoch, token: session.nextRevertToken() }, { force: false });
  }
}
