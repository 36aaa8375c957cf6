import process from "node:process";

import { followCodec } from "../../caretaker/caretaker-record.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { newRunId, checkName } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineAddress } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import { LeaseKeeper, type LeaseOptions } from "../../vault/lease-keeper.ts";
import type { OpenedMemento, PieceValues } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import { cancelledBy } from "../control/cancel.ts";
import type { LostCredential } from "../credentials/keeper.ts";
import { parseParams, sameParams } from "../pipeline/params.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { isOnLine } from "../repair/lineage.ts";
import type { RestorePorts } from "../repair/restore.ts";
import { adaptHead, isUnfinished, statusOnward } from "../schemas/adapt.ts";
import { readOutput, schemasOf, type SchemaStamps } from "../schemas/pipeline-schemas.ts";
import { isStaleSecret, openOrPause } from "./credential-pause.ts";
import type { Resources } from "./resources.ts";
import { takeBack } from "./rewind.ts";
import { RollForward } from "./roll-forward.ts";
import type { RunListener } from "./run-event.ts";
import { RunSession } from "./run-session.ts";
import { keepRunShapes } from "./run-shapes.ts";
import { runStages, type StagesOutcome } from "./run-stages.ts";
import { belongsToRun, PIECE, readSnapshot, type PipelineSnapshot, type RunRecord } from "./run-state.ts";
import { settleSinks, trimSinks } from "./settle-sinks.ts";
import { marksOf } from "./sink-place.ts";

keepRunShapes();

/** The caretaker that keeps pipelines when no other is named. */
const PIPELINES_CARETAKER = "pipelines";

/** How to run a pipeline. */
export interface RunOptions extends LeaseOptions {
  readonly params?: unknown;
  /** The same key is the same run: one that is done is not run again. */
  readonly key?: string;
  /** Tells apart runs of one pipeline that go on at once; each partition is a timeline of its own. */
  readonly partition?: string;
  /** The name of a fork to run on. */
  readonly fork?: string;
  readonly caretaker?: string;
  /** True: a run that stands interrupted is left behind, and a new one starts at its last memento's offsets and state. */
  readonly fresh?: boolean;
  /** True: also goes on with a run that is paused, or whose pipeline says `resume: "ask"`. */
  readonly resume?: boolean;
  /** Aborting it takes a memento at the next point between two batches, and ends the run as interrupted. */
  readonly signal?: AbortSignal;
  readonly onEvent?: RunListener;
  /** Where the definition was loaded from; kept with the run for command lines. */
  readonly module?: string;
}

/** What became of a run. */
export interface RunResult {
  readonly run: string;
  readonly timeline: string;
  readonly status: "completed" | "interrupted" | "paused" | "cancelled";
  /** True: an interrupted run went on. */
  readonly resumed: boolean;
  /** True: a run with this key was done already; nothing was run. */
  readonly alreadyDone: boolean;
  /** Stages that were done before. */
  readonly skipped: readonly string[];
  /** Records that had been read past the last memento, and were read again. */
  readonly recordsReadAgain: number;
  /** The stage whose approval the run waits for; null where it waits for none. */
  readonly waitingFor: string | null;
  /** The credential that could not be had, and that a paused run waits for; null where it waits for none. */
  readonly credential: LostCredential | null;
  /** The timeline's newest memento. */
  readonly head: string;
  /** The output of a stage that is done; undefined for others. */
  output(stage: string): Promise<unknown>;
}

/** Where a pipeline's mementos go. NAME_INVALID. */
export function pipelineAddress(
  pipeline: Pick<Pipeline, "name">,
  options: Pick<RunOptions, "caretaker" | "partition" | "fork"> = {},
): TimelineAddress {
  const { caretaker = PIPELINES_CARETAKER, partition = "", fork = "" } = options;
  checkName("The caretaker", caretaker);
  if (partition !== "") checkName("The partition", partition);
  if (fork !== "") checkName("The fork", fork);
  return { caretaker, originator: pipeline.name, partition, fork };
}

/**
 * Runs a pipeline to its end, from where it stands: an interrupted run goes on at its last memento, with done stages
 * skipped, each sink first reverted to that memento's mark, and sources taken up at their offsets.
 * LOCKED when a live worker holds the timeline; FENCED when another one takes it over; STAGE_FAILED with the cause when a
 * stage throws (a memento of the failure is kept, and the next run resumes); RUN_PENDING, NOTHING_TO_RESUME, PARAMS_INVALID,
 * INVALID_ARGUMENT for `fresh` with `resume`, and what sources, sinks and credentials raise.
 */
export async function runPipeline(vault: Vault, pipeline: Pipeline, options: RunOptions = {}): Promise<RunResult> {
  const address = pipelineAddress(pipeline, options);
  demandOneWay(options);
  if (options.fork !== undefined && (await vault.findTimeline(address)) === null) {
    throw new MementoError("NOT_FOUND", `There is no fork ${describeAddress(address)}`);
  }
  // Parameters are judged before anything is made or held: a bad call leaves no trace.
  const params = options.params === undefined ? null : { value: await parseParams(pipeline, options.params) };
  if (options.key !== undefined) checkName("The key", options.key);
  const standing = await vault.ensureTimeline(address, "pipeline");
  const timeline = standing.record;
  await followCodec(vault, timeline.caretaker);
  await using lease = await LeaseKeeper.acquire(vault, timeline.key, options, standing);
  const listener = options.onEvent ?? (() => undefined);
  const found = await finishBegun({ vault, pipeline, lease, listener }, await loadHead(vault, lease));
  const before = await readSnapshot(found);
  const given = options.fork === undefined ? params : await paramsOnFork(pipeline, before.run?.params, options.params);
  const done = await findDone(vault, timeline.key, options.key, before, found);
  if (done !== null) return resultOf({ vault, pipeline, lease, done });
  const pending = pendingRun(before, found, options, pipeline, options.params === undefined ? null : given);
  // A pause that the worker before has not lived to see was of that run, and older than the wish to resume it.
  if (lease.state.request !== null && (pending === null || options.resume === true)) await dropPause(lease, listener);
  const head = await adaptHead({ vault, lease, pipeline }, found, before, pending !== null);
  const snapshot = head === found ? before : await readSnapshot(head);
  const run = pending ?? (await newRun(vault, pipeline, options, given));
  const signal = options.signal === undefined ? lease.signal : AbortSignal.any([lease.signal, options.signal]);
  const request = { pipeline, params: run.params, timeline: timeline.key, vault, signal: lease.signal };
  const opened = await openOrPause({ ...request, sealed: snapshot.sealed }, pending === null ? null : head, lease);
  if ("lost" in opened) {
    const outcome = { status: "paused", waitingFor: null, credential: opened.lost, head: opened.head } as const;
    return { ...resultOf({ vault, pipeline, lease, run, outcome }), skipped: [...snapshot.completed] };
  }
  await using resources = opened;
  const { epoch } = lease;
  const settling = { vault, timeline: timeline.key, resources, snapshot, epoch, resumed: pending, listener };
  const reverted = await resources.withoutSecrets(async () => await settleSinks(settling));
  const generation = head?.entry.generation ?? 0;
  const session = new RunSession({
    pipeline,
    vault,
    writer: vault.writerAt(lease.state, head),
    lease,
    resources,
    snapshot,
    run: pending ?? begunAt(run, marksOf([...snapshot.sinks, ...reverted.marks])),
    generation,
    listener,
    forward: new RollForward({ resources, run: run.id, generation, kept: snapshot.batches, ahead: reverted.ahead }),
  });
  for (const [name, record] of reverted.marks) session.setSink(name, record);
  const skipped = pending === null ? [] : [...snapshot.completed];
  const begin = async (): Promise<void> => {
    if (pending === null) return await startRun(session, resources);
    const from = { run: run.id, timeline: timeline.key, from: head?.entry.id ?? "", skipped };
    listener({ type: "run-resumed", pipeline: pipeline.name, ...from, stage: snapshot.progress?.stage ?? null });
    // A rollback to the end of a run that was to wait: nothing is left to do but to say that the run is done.
    if (session.remaining.size === 0) await session.save({ reason: "resume", status: "completed" });
  };
  const outcome = await runToEnd(session, signal, begin);
  if (outcome.status === "completed") await trimSinks(vault, timeline.key, resources);
  return {
    ...resultOf({ vault, pipeline, lease, outcome, run, session }),
    resumed: pending !== null,
    skipped,
    recordsReadAgain: reverted.records,
  };
}

/** Begins, runs the stages, and tells how that ended. */
async function runToEnd(session: RunSession, signal: AbortSignal, begin: () => Promise<void>): Promise<RunOutcome> {
  const { id: run } = session.run;
  let outcome: RunOutcome;
  try {
    await begin();
    outcome = await runOrCancel(session, signal);
  } catch (error) {
    try {
      session.emit({ type: "run-ended", run, status: "failed", error: isMementoError(error) ? error.code : "other" });
    } catch (hindered) {
      // The run's own error is the one to be seen.
      process.emitWarning(
        `The listener of run ${run} threw as it was told that the run has failed: ${String(hindered)}`,
      );
    }
    throw error;
  }
  // A listener that throws at the end has been told it: there is no second one.
  session.emit({ type: "run-ended", run, status: outcome.status, error: null });
  return outcome;
}

/** Runs the stages; a worker whose run was cancelled takes back what no memento covers, and ends without a failure. */
async function runOrCancel(session: RunSession, signal: AbortSignal): Promise<RunOutcome> {
  const { lease, vault } = session;
  try {
    return { ...(await runStages(session, { signal, request: () => lease.request })), head: null };
  } catch (error) {
    if (!isMementoError(error, "FENCED")) throw error;
    const cancelled = await cancelledBy(vault, session.timeline, session.run.id);
    if (cancelled === null) throw error;
    try {
      await takeBack(session);
    } catch (late) {
      // The next run is there already, and has taken it back itself.
      if (!isMementoError(late, "FENCED")) throw late;
    }
    return { status: "cancelled", waitingFor: null, credential: null, head: cancelled.id };
  }
}

function demandOneWay({ fresh, resume }: RunOptions): void {
  if (fresh !== true || resume !== true) return;
  throw new MementoError("INVALID_ARGUMENT", "fresh and resume contradict each other", {
    hint: "resume: true only goes on with a run, fresh: true leaves it behind: say one of them.",
  });
}

async function dropPause(lease: LeaseKeeper, listener: RunListener): Promise<void> {
  await lease.forgetRequest();
  listener({ type: "pause-dropped" });
}

async function loadHead(vault: Vault, lease: LeaseKeeper): Promise<OpenedMemento | null> {
  const { head } = lease.state;
  return head === null ? null : await vault.load(head.id);
}

/** The run that stands unfinished at the head and is to go on; null when a new one is to start. */
function pendingRun(
  snapshot: PipelineSnapshot,
  head: OpenedMemento | null,
  options: RunOptions,
  pipeline: Pipeline,
  params: { readonly value: unknown } | null,
): RunRecord | null {
  const { run } = snapshot;
  const status = head?.entry.status;
  const pending = run !== null && status !== undefined && isUnfinished(status);
  if (!pending) {
    if (options.resume === true)
      throw new MementoError("NOTHING_TO_RESUME", `Pipeline ${pipeline.name} has no interrupted or paused run`);
    return null;
  }
  if (options.fresh === true || (pipeline.resume === "never" && options.resume !== true)) return null;
  const otherKey = options.key !== undefined && options.key !== run.key;
  const otherParams = params !== null && !sameParams(params.value, run.params);
  if (otherKey || otherParams) {
    const what = otherKey ? "another key" : "other parameters";
    throw new MementoError("RUN_PENDING", `Run ${run.id} of pipeline ${pipeline.name} stands ${status} with ${what}`, {
      details: { run: run.id, timeline: head?.entry.timeline ?? "", status },
    });
  }
  const isPaused = head !== null && statusOnward(head.entry) === "paused";
  if (options.resume !== true && (isPaused || pipeline.resume === "ask")) {
    const hint = `Go on with it by \`memento resume ${run.id}\` (resume: true), or start anew with fresh: true.`;
    throw new MementoError("RUN_PENDING", `Run ${run.id} of pipeline ${pipeline.name} stands ${status}`, {
      hint,
      details: { run: run.id, timeline: head?.entry.timeline ?? "", status },
    });
  }
  return { ...run, resumeCount: run.resumeCount + 1 };
}

async function newRun(
  vault: Vault,
  pipeline: Pipeline,
  options: RunOptions,
  params: { readonly value: unknown } | null,
): Promise<RunRecord> {
  return {
    id: options.key ?? newRunId(vault.random),
    key: options.key ?? null,
    params: params === null ? await parseParams(pipeline, {}) : params.value,
    started: new Date(vault.clock.now()).toISOString(),
    resumeCount: 0,
    module: options.module ?? null,
  };
}

function begunAt(run: RunRecord, begun: NonNullable<RunRecord["begun"]>): RunRecord {
  const { id, key, params, started, resumeCount, module } = run;
  return { id, key, params, started, resumeCount, module, begun };
}

/** On a fork the fork's own parameters hold, for they may say where it writes; each that is given stands in the place of one. */
async function paramsOnFork(
  pipeline: Pipeline,
  own: unknown,
  given: unknown,
): Promise<{ readonly value: unknown } | null> {
  if (given === undefined) return own === undefined ? null : { value: own };
  const merges = isRecord(own) && isRecord(given);
  return { value: await parseParams(pipeline, merges ? { ...own, ...given } : given) };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The memento that completed the run with this key, which may be removed by now; null when there is none, or no key. */
async function findDone(
  vault: Vault,
  timeline: string,
  key: string | undefined,
  snapshot: PipelineSnapshot,
  head: OpenedMemento | null,
): Promise<MementoEntry | null> {
  if (key === undefined || head === null) return null;
  if (snapshot.run?.key === key) return head.entry.status === "completed" ? head.entry : null;
  // What a rollback has left behind is not done any more. What was collected is: its data stays.
  const completed = mementoQuery({ timeline, run: key, status: "completed", removed: true });
  for await (const { entry } of vault.store.query(completed))
    if (await isOnLine(vault, head.entry, entry)) return entry;
  return null;
}

/** The head, with a restore that was begun brought to its end first. The code for that is loaded where there is one. */
async function finishBegun(ports: RestorePorts, head: OpenedMemento | null): Promise<OpenedMemento | null> {
  if (head?.entry.reason !== "reset" && head?.entry.status !== "reverting") return head;
  const { finishRestore } = await import("../repair/restore.ts");
  return await finishRestore(ports, head);
}

/** A new run's first memento: it says what runs, and drops what the run before left of its stages. */
async function startRun(session: RunSession, resources: Resources): Promise<void> {
  const old = session.restart((key) => belongsToRun(key) || isStaleSecret(key, session.pipeline));
  const { pipeline, run, timeline } = session;
  session.emit({ type: "run-started", pipeline: pipeline.name, run: run.id, timeline });
  await session.save({
    reason: "start",
    status: session.pipeline.stages.length === 0 ? "completed" : "running",
    extra: new Map<string, unknown>([
      [PIECE.schema, Object.fromEntries([...resources.sources].map(([name, source]) => [name, source.schemaVersion]))],
    ]),
    drop: old,
  });
}

interface RunOutcome extends Pick<StagesOutcome, "waitingFor" | "credential"> {
  readonly status: RunResult["status"];
  /** The memento at which somebody else has ended the run; null otherwise. */
  readonly head: string | null;
}

interface ResultParts {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly lease: LeaseKeeper;
  readonly done?: MementoEntry;
  readonly outcome?: RunOutcome;
  readonly run?: RunRecord;
  readonly session?: RunSession;
}

function resultOf({ vault, pipeline, lease, done, outcome, run, session }: ResultParts): RunResult {
  const elsewhere = outcome?.head ?? null;
  const head = elsewhere ?? session?.headId ?? done?.id ?? "";
  // Where this process has saved the head itself, it knows where each piece is.
  let pieces: PieceValues | null = elsewhere === null ? (session?.savedPieces() ?? null) : null;
  return {
    run: run?.id ?? done?.run ?? "",
    timeline: lease.state.record.key,
    status: outcome?.status ?? "completed",
    resumed: false,
    alreadyDone: done !== undefined,
    skipped: [],
    recordsReadAgain: 0,
    waitingFor: outcome?.waitingFor ?? null,
    credential: outcome?.credential ?? null,
    head,
    output: async (stage) => {
      pieces ??= await vault.load(head);
      // A run that was done before had the names of then.
      const names = [stage, ...(pipeline.stages.find(({ name }) => name === stage)?.was ?? [])];
      const kept = names.find((name) => pieces?.has(PIECE.output + name));
      if (kept === undefined) return undefined;
      const stamps = ((await pieces.value(PIECE.schemas)) ?? {}) as SchemaStamps;
      return await readOutput(schemasOf(pipeline), stamps, { stage, kept }, pieces);
    },
  };
}

/** Every memento of a pipeline's timeline, newest first. */
export async function* pipelineHistory(vault: Vault, timeline: string): AsyncGenerator<MementoEntry> {
  for await (const { entry } of vault.store.query(mementoQuery({ timeline }))) yield entry;
}
