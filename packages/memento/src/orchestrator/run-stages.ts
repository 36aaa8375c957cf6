import { MementoError, isMementoError } from "../core/errors.ts";
import type { TimelineRequest } from "../core/timeline.ts";
import type { Vault } from "../vault/vault.ts";
import { flowSegment, runFlow, type FlowSegment } from "./flow-run.ts";
import { inputDigest, type RunSession } from "./run-session.ts";
import { PIECE } from "./run-state.ts";
import { StageRun, StopRun, type StopWish } from "./stage-run.ts";
import type { CheckpointPolicy, ReadStage, StageContext, StageDefinition, TaskStage } from "./stage.ts";

/** How the stages of a run ended. */
export interface StagesOutcome {
  readonly status: "completed" | "interrupted" | "paused";
}

/** What running the stages needs besides the session. */
export interface StagesPorts {
  readonly vault: Vault;
  /** Aborted by Ctrl-C, SIGTERM or a lost lease. */
  readonly signal: AbortSignal;
  readonly request: () => TimelineRequest | null;
}

/** Runs every stage that is not done, in order, each with its mementos; a failure is kept as a memento and thrown as STAGE_FAILED. */
export async function runStages(session: RunSession, ports: StagesPorts): Promise<StagesOutcome> {
  const stop = stopWish(session, ports);
  const outputs = new StageOutputs(session, ports.vault);
  const todo = session.pipeline.stages.filter(({ name }) => !session.completed.has(name));
  try {
    for (const stage of todo) {
      if (session.completed.has(stage.name)) continue;
      session.active = stage;
      await stopBetweenStages(session, stop, stage);
      session.emit({
        type: "stage-started",
        stage: stage.name,
        index: session.indexOf(stage),
        of: session.pipeline.stages.length,
      });
      if (stage.type === "task") await runTask(session, stage, stop, outputs);
      else await runSegment(session, segmentOf(session, stage), stop, outputs);
    }
    return { status: "completed" };
  } catch (error) {
    if (error instanceof StopRun) return { status: error.kind === "pause" ? "paused" : "interrupted" };
    return await fail(session, stop, error);
  }
}

async function runTask(session: RunSession, stage: TaskStage, stop: StopWish, outputs: StageOutputs): Promise<void> {
  if (stage.risky) await session.save({ reason: "risk", status: "running", stage });
  const run = new StageRun(session, stage, stop);
  const input = await outputs.inputOf(stage);
  const value = await stage.run(run.context() as StageContext<never>, input);
  await complete(session, stage, value, run.records, outputs, { input: outputs.digestOf(stage) });
}

async function runSegment(
  session: RunSession,
  segment: FlowSegment,
  stop: StopWish,
  outputs: StageOutputs,
): Promise<void> {
  const { root, stages } = segment;
  const policy = stages.findLast(({ checkpoint }) => checkpoint !== null)?.checkpoint ?? session.pipeline.checkpoint;
  const named: ReadStage = { ...root, checkpoint: policy };
  if (stages.some(({ risky }) => risky)) await session.save({ reason: "risk", status: "running", stage: root });
  const run = new StageRun(session, named, stop);
  await runFlow(run, segment);
  const summaries = { ...run.flows };
  // Until its last stage is saved, a resumed flow must find its counts again.
  session.progress = { stage: root.name, records: run.records, total: run.records, flows: summaries };
  for (const stage of stages) {
    if (session.completed.has(stage.name)) continue;
    const summary = summaries[stage.name];
    const last = stages.every(({ name }) => name === stage.name || session.completed.has(name));
    if (last) session.progress = null;
    await complete(session, stage, summary, summary?.recordsIn ?? 0, outputs, {
      input: summary?.inputDigest ?? null,
      output: summary?.outputDigest ?? null,
    });
  }
}

async function complete(
  session: RunSession,
  stage: StageDefinition,
  value: unknown,
  records: number,
  outputs: StageOutputs,
  provenance: Readonly<Record<string, string | null>>,
): Promise<void> {
  const { stages } = session.pipeline;
  const last = session.remaining.size === 1 && session.remaining.has(stage.name);
  if (stage.type === "task") session.progress = null;
  outputs.set(stage.name, value);
  if (last || wantsMemento(stage.checkpoint ?? session.pipeline.checkpoint)) {
    await session.save({
      reason: "stage",
      status: last ? "completed" : "running",
      stage,
      output: { value },
      fields: { provenance },
    });
  } else {
    session.keepOutput(stage, value);
  }
  session.emit({
    type: "stage-completed",
    stage: stage.name,
    index: session.indexOf(stage),
    of: stages.length,
    records,
  });
}

const wantsMemento = (policy: CheckpointPolicy): boolean => policy !== "manual" && policy !== "off";

function segmentOf(session: RunSession, stage: StageDefinition): FlowSegment {
  if (stage.type === "read") return flowSegment(stage, session.pipeline.stages);
  // A later stage of a flow whose first stages are done already: the flow's read stage is found by going back.
  const { stages } = session.pipeline;
  let root: StageDefinition | undefined = stage;
  while (root !== undefined && root.type !== "read") {
    const before: string | undefined = root.after[0];
    root = stages.find(({ name }) => name === before);
  }
  if (root === undefined) throw new MementoError("INVALID_PIPELINE", `Stage ${stage.name} belongs to no flow`);
  return flowSegment(root, stages);
}

async function stopBetweenStages(session: RunSession, stop: StopWish, stage: StageDefinition): Promise<void> {
  const kind = stop.current();
  if (kind === null) return;
  await session.save({ reason: kind, status: kind === "pause" ? "paused" : "interrupted", stage });
  throw new StopRun(kind);
}

/** Keeps the failure as a memento: the state stays what the last one says, for memory may hold half a batch. */
async function fail(session: RunSession, stop: StopWish, error: unknown): Promise<StagesOutcome> {
  session.lease.demand();
  if (isMementoError(error, "FENCED") || isMementoError(error, "CONFLICT")) throw error;
  const stage = session.active;
  const where = stage === null ? {} : { stage };
  const kind = stop.current();
  if (kind !== null && stop.signal.aborted) {
    await session.save({
      reason: kind,
      status: kind === "pause" ? "paused" : "interrupted",
      unchanged: true,
      ...where,
    });
    return { status: kind === "pause" ? "paused" : "interrupted" };
  }
  // What user code throws may hold a credential: a driver's message often quotes its connection string.
  const text = session.redaction.text(error instanceof Error ? error.message : String(error));
  const kept = {
    name: error instanceof Error ? error.name : "Error",
    message: text,
    code: isMementoError(error) ? error.code : null,
  };
  await session.save({ reason: "failure", status: "failed", unchanged: true, fields: { error: kept }, ...where });
  if (isMementoError(error)) throw error;
  throw new MementoError(
    "STAGE_FAILED",
    `Stage ${stage?.name ?? "?"} of pipeline ${session.pipeline.name} failed: ${text}`,
    {
      cause: session.redaction.error(error),
      details: { stage: stage?.name ?? null, run: session.run.id },
    },
  );
}

function stopWish(session: RunSession, ports: StagesPorts): StopWish {
  return {
    signal: ports.signal,
    current: () => {
      if (ports.request() === "pause") return "pause";
      return ports.signal.aborted && !session.lease.signal.aborted ? "interrupt" : null;
    },
  };
}

/** The outputs of done stages: those of this process from memory, earlier ones from their mementos, when they are asked for. */
class StageOutputs {
  readonly #session: RunSession;
  readonly #vault: Vault;
  readonly #known = new Map<string, unknown>();
  /** Only what a later stage asks for is held: a thousand large outputs would not fit. */
  readonly #wanted: ReadonlySet<string>;

  constructor(session: RunSession, vault: Vault) {
    this.#session = session;
    this.#vault = vault;
    this.#wanted = new Set(session.pipeline.stages.flatMap(({ after }) => after));
  }

  set(stage: string, value: unknown): void {
    if (this.#wanted.has(stage)) this.#known.set(stage, value);
  }

  async inputOf(stage: StageDefinition): Promise<Readonly<Record<string, unknown>>> {
    const input: Record<string, unknown> = {};
    for (const [name, from] of Object.entries(stage.inputs)) input[name] = await this.#output(from);
    return input;
  }

  digestOf(stage: StageDefinition): string {
    return inputDigest(
      this.#session.run,
      stage.after.map((name) => [name, this.#session.outputDigest(name) ?? ""] as const),
    );
  }

  async #output(stage: string): Promise<unknown> {
    if (this.#known.has(stage)) return this.#known.get(stage);
    const head = this.#session.headId;
    const value = head === null ? undefined : await (await this.#vault.load(head)).value(PIECE.output + stage);
    this.#known.set(stage, value);
    return value;
  }
}
