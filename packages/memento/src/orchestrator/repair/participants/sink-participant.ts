import { isDeepStrictEqual } from "node:util";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { PIECE, type SinkRecord } from "../../run/run-state.ts";
import type { Sink, SinkInspection, SinkMark, SinkReverted, SinkSupports, SinkWrite } from "../../sinks/sink.ts";
import type { SinkPlan, SinkVerdict } from "../plan.ts";
import type { Participant, PartReverted, RestoreGoal } from "./participant.ts";

const NOTHING = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, fingerprint: "" } as const;

/** A sink in a restore: what the timeline wrote at its present place goes back to the target's mark. */
export function sinkParticipant(name: string, sink: Sink): Participant {
  let left = false;
  return {
    kind: "sink",
    name,
    key: `sink:${name}`,
    remembered: false,
    inspect: async (goal) => {
      const sinks = await planSink(name, sink, goal);
      return { sinks, refused: sinks.some(({ verdict }) => REFUSED.has(verdict)) };
    },
    fence: async (epoch) => await sink.fence(epoch),
    revert: async (goal, write, options) => {
      const place = await sink.place();
      const mark = goal.wanted.sinks.get(name)?.marks[place] ?? null;
      const reverted = await takeBack(sink, mark, write, options);
      left = reverted === null;
      if (reverted === null) return await leave(name, sink, goal);
      const { removed, restored, kept, stays, mark: now } = reverted;
      const did = sink.supports.revert === "compensate" ? "compensated" : "reverted";
      const verdict = removed + restored > 0 ? did : "unchanged";
      return {
        evidence: { kind: "sink", name, verdict },
        sink: { name, verdict, removed, restored, kept, ...(stays === undefined ? {} : { stays }) },
        pieces: new Map([[PIECE.sink + name, recordOf(name, goal, place === "" ? {} : { [place]: now })]]),
      };
    },
    verify: async ({ sinks }) => {
      if (left) return;
      const [wanted, found] = [sinks.get(name)?.marks[await sink.place()] ?? null, await sink.mark()];
      if (isDeepStrictEqual(wanted, found)) return;
      throw new MementoError(
        "DAMAGED",
        `After the restore the sink ${name} stands at ${JSON.stringify(found)} and should stand at ${JSON.stringify(wanted)}`,
      );
    },
  };
}

const REFUSED: ReadonlySet<SinkVerdict> = new Set(["trimmed", "not-revertible", "elsewhere"]);

async function planSink(name: string, sink: Sink, goal: RestoreGoal): Promise<SinkPlan[]> {
  const [where, place] = [sink.describe(), await sink.place()];
  const { trimmed, oldest: _oldest, ...counts } = await sink.inspect(goal.wanted.sinks.get(name)?.marks[place] ?? null);
  const elsewhere = placesBehind(goal, name, place).map((other): SinkPlan => {
    return { name, where: `another place (${other})`, verdict: "elsewhere", ...NOTHING };
  });
  return [{ name, where, verdict: verdictOf(sink.supports, trimmed, counts), ...counts }, ...elsewhere];
}

function verdictOf(
  { revert }: SinkSupports,
  trimmed: boolean,
  { remove, restore, foreignTotal, stays, unanswered }: Omit<SinkInspection, "trimmed" | "oldest">,
): SinkVerdict {
  if (trimmed) return "trimmed";
  if (remove + restore + foreignTotal + (stays?.total ?? 0) === 0) return "unchanged";
  if (revert === "none" || unanswered !== undefined) return "not-revertible";
  return revert === "compensate" ? "compensate" : "revert";
}

/**
 * Places that the sink wrote to since the target, other than the one that its present parameters name. Where nothing of the
 * timeline is at that one, also those that the target's rows are at: they were removed, made anew, or are not where one looks.
 */
function placesBehind({ now, wanted }: RestoreGoal, name: string, place: string): string[] {
  const marks = now.sinks.get(name)?.marks ?? {};
  const before = wanted.sinks.get(name)?.marks ?? {};
  const isNew = !(place in marks);
  return Object.keys(marks).filter((other) => {
    if (other === place) return false;
    return !isDeepStrictEqual(marks[other], before[other]) || (isNew && other in before);
  });
}

/** null where it cannot go there, and was forced by its name: it stays as it is. */
async function takeBack(
  sink: Sink,
  mark: SinkMark,
  write: SinkWrite,
  options: { readonly force: boolean },
): Promise<SinkReverted | null> {
  if (sink.supports.revert === "none") return null;
  try {
    return await sink.revertTo(mark, write, options);
  } catch (error) {
    const cannot = isMementoError(error, "TRIMMED") || isMementoError(error, "NOT_REVERTIBLE");
    if (options.force && cannot) return null;
    throw error;
  }
}

/** What cannot be taken back stays, and is named; where the head has no mark of it, as it stands now. */
async function leave(name: string, sink: Sink, goal: RestoreGoal): Promise<PartReverted> {
  const place = await sink.place();
  const { stays } = await sink.inspect(goal.wanted.sinks.get(name)?.marks[place] ?? null);
  const isMarked = place === "" || place in (goal.now.sinks.get(name)?.marks ?? {});
  const verdict = "not revertible";
  return {
    evidence: { kind: "sink", name, verdict },
    sink: { name, verdict, removed: 0, restored: 0, kept: [], ...(stays === undefined ? {} : { stays }) },
    pieces: new Map([[PIECE.sink + name, recordOf(name, goal, isMarked ? {} : { [place]: await sink.mark() })]]),
  };
}

/** Marks of before at all other places, and never a number of writes that was used. */
function recordOf(name: string, { now, wanted }: RestoreGoal, marks: SinkRecord["marks"]): SinkRecord {
  const batches = Math.max(now.sinks.get(name)?.batches ?? 0, wanted.sinks.get(name)?.batches ?? 0);
  return { batches, marks: { ...now.sinks.get(name)?.marks, ...marks } };
}
