import { MementoError } from "../../core/errors.ts";
import { thrownText } from "../../core/thrown-text.ts";
import { isFinal, retryDelayMs, type AttemptsRecord } from "../pipeline/retry.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { rewind } from "./rewind.ts";
import type { RunSession } from "./run-session.ts";
import { PIECE } from "./run-state.ts";
import type { StageOutputs } from "./stage-outputs.ts";
import { StageRun } from "./stage-run.ts";
import { StopRun, type StopWish } from "./stop.ts";

/** What runs stages: the session, the wish to stop, and the outputs of those that are done. */
export interface StagePorts {
  readonly session: RunSession;
  readonly stop: StopWish;
  readonly outputs: StageOutputs;
}

/** A stage's failure, with the stage whose code it was; the run says it to its caller. */
export class StageFailure extends Error {
  override readonly name = "StageFailure";
  readonly stage: StageDefinition;

  constructor(stage: StageDefinition, cause: unknown) {
    super(`Stage ${stage.name} failed`, { cause });
    this.stage = stage;
  }
}

/** The same ports for work that goes on at once: after `halt` all of it stops at its next point between two batches. */
export function haltable(ports: StagePorts): { readonly ports: StagePorts; readonly halt: (cause: unknown) => void } {
  const halt = new AbortController();
  const stop: StopWish = {
    signal: AbortSignal.any([ports.stop.signal, halt.signal]),
    current: () => ports.stop.current() ?? (halt.signal.aborted ? "interrupt" : null),
  };
  return { ports: { ...ports, stop }, halt: (cause) => halt.abort(cause) };
}

/** How often a wait looks whether the run is to stop. */
const LOOK_MS = 500;

/** What is tried. */
export interface Attempting<Given> {
  readonly stage: StageDefinition;
  /** Of an item `stage[3]`; by default the stage's name. */
  readonly owner?: string;
  /** What the code is given. It is asked for before each attempt: what the one before has changed of it is gone. */
  readonly given: () => Given | Promise<Given>;
}

/** An attempt that came to its end, and what came of it. */
export interface Attempted<Value> {
  readonly run: StageRun;
  readonly value: Value;
}

/**
 * Runs the code of a stage (or of one of its items) until an attempt succeeds or its policy gives up. Before each further
 * attempt everything goes back to the last memento. StageFailure, StopRun.
 */
export async function withAttempts<Given, Value>(
  { session, stop }: StagePorts,
  { stage, owner = stage.name, given }: Attempting<Given>,
  code: (run: StageRun, given: Given) => Value,
): Promise<Attempted<Awaited<Value>>> {
  const before = stage.retry === null ? null : await attemptsBefore(session, stop, stage, owner);
  let failed = before?.failed ?? 0;
  for (let first = true; ; first = false) {
    let run: StageRun | null = null;
    try {
      if (!first) await rewind(session, owner);
      const what = await given();
      const begun = new StageRun({ session, work: session.begin(stage, owner), stage, stop });
      run = begun;
      return { run: begun, value: await begun.toEnd((attempt) => code(attempt, what)) };
    } catch (error) {
      await run?.attempt.settled();
      if (error instanceof StopRun || error instanceof StageFailure) throw error;
      failed += 1;
      const culprit = run?.work.active ?? stage;
      const policy = stage.retry;
      const final = policy === null || failed >= policy.attempts || isFinal(error) || !policy.retryable(error);
      if (final || session.lease.signal.aborted || stop.current() !== null) throw new StageFailure(culprit, error);
      await keepFailure(session, stop, { stage, owner, failed, error });
    }
  }
}

/** What earlier processes have tried; waits for the rest of the time that is to pass before the next attempt. */
async function attemptsBefore(
  session: RunSession,
  stop: StopWish,
  stage: StageDefinition,
  owner: string,
): Promise<AttemptsRecord | null> {
  // An attempt goes back to the last memento, which must then have what the stages before have done.
  if (session.hasUnsaved && !session.parallel) await session.save({ reason: "risk", status: "running", stage });
  const known = (await session.pieceValue(PIECE.attempts + owner)) as AttemptsRecord | undefined;
  const maxMs = stage.retry?.maxMs ?? 0;
  if (known !== undefined) await waitUnlessStopped(session, stop, stage, { until: Date.parse(known.notBefore), maxMs });
  return known ?? null;
}

interface FailedAttempt {
  readonly stage: StageDefinition;
  readonly owner: string;
  readonly failed: number;
  readonly error: unknown;
}

async function keepFailure(
  session: RunSession,
  stop: StopWish,
  { stage, owner, failed, error }: FailedAttempt,
): Promise<void> {
  const policy = stage.retry;
  if (policy === null) return;
  const delayMs = retryDelayMs(policy, failed, session.random);
  const notBefore = session.clock.now() + delayMs;
  const kept = errorRecord(session, error);
  const record: AttemptsRecord = { failed, notBefore: new Date(notBefore).toISOString(), error: kept.message };
  await session.save({
    reason: "retry",
    status: "running",
    stage,
    unchanged: true,
    fields: { error: kept },
    extra: new Map([[PIECE.attempts + owner, record]]),
  });
  session.emit({
    type: "stage-retry",
    stage: owner,
    failed,
    attempts: policy.attempts,
    delayMs,
    error: kept.message,
  });
  await waitUnlessStopped(session, stop, stage, { until: notBefore, maxMs: delayMs });
}

/** Waits for a moment, and no longer than `maxMs`, for the clock may be set back; a stop that comes before is saved, and unwinds the stage. */
async function waitUnlessStopped(
  session: RunSession,
  stop: StopWish,
  stage: StageDefinition,
  { until, maxMs }: { readonly until: number; readonly maxMs: number },
): Promise<void> {
  const { clock } = session;
  const begunMs = clock.monotonic();
  const left = (): number => Math.min(until - clock.now(), maxMs - (clock.monotonic() - begunMs));
  for (let rest = left(); rest > 0; rest = left()) {
    await stopHere(session, stop, stage, true);
    session.lease.demand();
    await clock.sleep(Math.min(rest, LOOK_MS), stop.signal).catch((error: unknown) => {
      if (stop.current() === null) throw error;
    });
  }
  await stopHere(session, stop, stage, true);
}

/** Saves the stop that is wanted, and unwinds. `unchanged`: what is in memory may be the middle of a batch; default false. */
export async function stopHere(
  session: RunSession,
  stop: StopWish,
  stage: StageDefinition,
  unchanged = false,
): Promise<void> {
  const kind = stop.current();
  if (kind === null) return;
  await session.save({ reason: kind, status: kind === "pause" ? "paused" : "interrupted", unchanged, stage });
  throw new StopRun(kind);
}

/** An error as mementos keep it: what user code throws may hold a credential, for a driver's message often quotes its connection string. */
export function errorRecord(
  session: RunSession,
  error: unknown,
): { readonly name: string; readonly message: string; readonly code: string | null } {
  const text = session.redaction.text(thrownText(error));
  return {
    name: error instanceof Error ? error.name : "Error",
    message: text,
    code: error instanceof MementoError ? error.code : null,
  };
}
