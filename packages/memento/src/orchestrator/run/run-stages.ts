import { MementoError, isMementoError } from "../../core/errors.ts";
import type { TimelineRequest } from "../../core/timeline.ts";
import type { LostCredential } from "../credentials/keeper.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { errorRecord, StageFailure, type StagePorts } from "./attempts.ts";
import type { RunSession } from "./run-session.ts";
import { PIECE } from "./run-state.ts";
import { StageOutputs } from "./stage-outputs.ts";
import { runUnit, unitOf, type StageUnit } from "./stage-units.ts";
import { StopRun, type StopWish } from "./stop.ts";
import { runUnitsAtOnce } from "./units-at-once.ts";

/** How the stages of a run ended. */
export interface StagesOutcome {
  readonly status: "completed" | "interrupted" | "paused";
  /** The stage whose approval the run waits for; null where it waits for none. */
  readonly waitingFor: string | null;
  /** The credential that could not be had, and that the run waits for; null where it waits for none. */
  readonly credential: LostCredential | null;
}

/** What running the stages needs besides the session. */
export interface RunStagesPorts {
  /** Aborted by Ctrl-C, SIGTERM or a lost lease. */
  readonly signal: AbortSignal;
  readonly request: () => TimelineRequest | null;
}

/** Runs every stage that is not done, each with its mementos; a failure is kept as a memento and thrown as STAGE_FAILED. */
export async function runStages(session: RunSession, given: RunStagesPorts): Promise<StagesOutcome> {
  const ports: StagePorts = { session, stop: stopWish(session, given), outputs: new StageOutputs(session) };
  try {
    if (session.pipeline.concurrency > 1) await runUnitsAtOnce(ports, unitsToDo(session));
    else await runInOrder(ports);
    return { status: "completed", waitingFor: null, credential: null };
  } catch (error) {
    if (error instanceof StopRun) return stopped(error);
    return await fail(ports, error);
  }
}

async function runInOrder(ports: StagePorts): Promise<void> {
  const { completed, pipeline } = ports.session;
  for (const stage of pipeline.stages)
    if (!completed.has(stage.name)) await runUnit(ports, unitOf(stage, pipeline.stages));
}

function unitsToDo({ completed, pipeline }: RunSession): StageUnit[] {
  const units: StageUnit[] = [];
  const covered = new Set(completed);
  for (const stage of pipeline.stages) {
    if (covered.has(stage.name)) continue;
    const unit = unitOf(stage, pipeline.stages);
    units.push(unit);
    for (const { name } of unit.segment?.stages ?? [stage]) covered.add(name);
  }
  return units;
}

const stopped = ({ kind, waitingFor, credential }: StopRun): StagesOutcome => ({
  status: kind === "pause" ? "paused" : "interrupted",
  waitingFor,
  credential,
});

/** Keeps the failure as a memento. The state stays what the last one says where memory may hold half a batch. */
async function fail({ session, stop }: StagePorts, thrown: unknown): Promise<StagesOutcome> {
  const [stage, cause] = thrown instanceof StageFailure ? [thrown.stage, thrown.cause] : [null, thrown];
  // What a driver or a far end says often quotes what it was given.
  const error = session.redaction.error(cause);
  session.lease.demand();
  if (isMementoError(error, "FENCED") || isMementoError(error, "CONFLICT")) throw error;
  const where = stage === null ? {} : { stage };
  const kind = stop.current();
  if (kind !== null && stop.signal.aborted) {
    const outcome = stopped(new StopRun(kind));
    await session.save({ reason: kind, status: outcome.status, unchanged: !session.parallel, ...where });
    return outcome;
  }
  const kept = errorRecord(session, error);
  // Whoever mends the cause and runs again has all attempts before him.
  const drop = session.pieceKeys().filter((key) => key.startsWith(PIECE.attempts));
  await session.save({
    reason: "failure",
    status: "failed",
    // Where each stage works on a draft of its own, what the run has is whole.
    unchanged: !session.parallel,
    fields: { error: kept },
    drop,
    ...where,
  });
  if (isMementoError(error)) throw error;
  throw stageFailed(session, stage, kept.message, error);
}

function stageFailed(session: RunSession, stage: StageDefinition | null, text: string, error: unknown): MementoError {
  return new MementoError(
    "STAGE_FAILED",
    `Stage ${stage?.name ?? "?"} of pipeline ${session.pipeline.name} failed: ${text}`,
    {
      cause: error,
      details: { stage: stage?.name ?? null, run: session.run.id },
    },
  );
}

function stopWish(session: RunSession, ports: RunStagesPorts): StopWish {
  return {
    signal: ports.signal,
    current: () => {
      if (ports.request() === "pause") return "pause";
      return ports.signal.aborted && !session.lease.signal.aborted ? "interrupt" : null;
    },
  };
}
