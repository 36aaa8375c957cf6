import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../core/errors.ts";
import type { MementoStatus } from "../core/memento.ts";
import type { LeaseKeeper } from "../vault/lease-keeper.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { Vault } from "../vault/vault.ts";
import type { Pipeline } from "./pipeline.ts";
import type { RollbackPlan } from "./plan.ts";
import { openResources, type Resources } from "./resources.ts";
import type { RunListener } from "./run-event.ts";
import { PIECE, readSnapshot, type PipelineSnapshot, type RestoreRecord, type SinkRecord } from "./run-state.ts";
import type { SinkReverted } from "./sinks/sink.ts";

/** What a restore works with. */
export interface RestorePorts {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly lease: LeaseKeeper;
  readonly listener: RunListener;
}

/** Who asks for a restore, and why; kept as evidence. */
export interface RestoreRequest {
  readonly plan: RollbackPlan;
  readonly forced: readonly string[];
  readonly by: string;
  readonly why: string;
}

/** What became of one sink. */
export interface SinkEvidence {
  readonly name: string;
  readonly verdict: "reverted" | "unchanged" | "not revertible";
  readonly removed: number;
  readonly restored: number;
  readonly kept: SinkReverted["kept"];
}

/**
 * Begins a restore: after this memento is acknowledged it will be finished, by this process or a later one. It has all pieces of the
 * head before, and so is itself the point to which the restore can be rolled back.
 */
export async function beginRestore(
  ports: RestorePorts,
  head: OpenedMemento,
  request: RestoreRequest,
): Promise<OpenedMemento> {
  const { vault, lease } = ports;
  const record: RestoreRecord = {
    target: request.plan.target.id,
    planHash: request.plan.hash,
    forced: request.forced,
    by: request.by,
    why: request.why,
    began: new Date(vault.clock.now()).toISOString(),
    before: head.entry.id,
    statusBefore: head.entry.status,
  };
  const writer = await vault.writer(await vault.timeline(lease.state.record.key));
  const { entry } = await writer.append({
    reason: "rollback-begin",
    status: "reverting",
    generation: head.entry.generation,
    ...runFields(head),
    pieces: new Map([[PIECE.restore, record]]),
    fields: { plan: request.plan },
  });
  return await vault.load(entry.id);
}

/** Finishes a restore that stands at the head, whoever began it; any other head is returned as it is. Each of its steps may be repeated. */
export async function finishRestore(
  ports: RestorePorts,
  head: OpenedMemento | null,
  opened?: Resources,
): Promise<OpenedMemento | null> {
  if (head?.entry.status !== "reverting") return head;
  const { vault, pipeline, lease, listener } = ports;
  const now = await readSnapshot(head);
  if (now.restore === null)
    throw new MementoError("DAMAGED", `Memento ${head.entry.id} begins a restore and does not say of what`);
  const target = await vault.load(now.restore.target);
  // Credentials come before the first touch: without them nothing has happened yet, and the next attempt starts here again.
  const request = {
    pipeline,
    params: now.run?.params ?? {},
    timeline: head.entry.timeline,
    clock: vault.clock,
    signal: lease.signal,
  };
  const resources = opened ?? (await openResources(request));
  try {
    const goal = await readSnapshot(target);
    const { evidence, sinks } = await revertSinks(ports, resources, {
      now,
      goal,
      restore: now.restore,
      generation: head.entry.generation + 1,
    });
    const restored = await appendRestored(ports, { head, target, now, goal, evidence, sinks });
    await verifySinks(resources, restored);
    listener({ type: "restore-finished", target: target.entry.id, memento: restored.entry.id });
    return restored;
  } finally {
    if (opened === undefined) await resources[Symbol.asyncDispose]();
  }
}

interface RevertInput {
  readonly now: PipelineSnapshot;
  readonly goal: PipelineSnapshot;
  readonly restore: RestoreRecord;
  readonly generation: number;
}

async function revertSinks(
  ports: RestorePorts,
  resources: Resources,
  input: RevertInput,
): Promise<{ evidence: SinkEvidence[]; sinks: Map<string, SinkRecord> }> {
  const { lease } = ports;
  const { restore, goal, now, generation } = input;
  for (const sink of resources.sinks.values()) await sink.fence(lease.epoch);
  const evidence: SinkEvidence[] = [];
  const sinks = new Map<string, SinkRecord>();
  for (const [name, sink] of resources.sinks) {
    const place = await sink.place();
    const before = goal.sinks.get(name)?.marks[place] ?? null;
    const batches = Math.max(now.sinks.get(name)?.batches ?? 0, goal.sinks.get(name)?.batches ?? 0);
    if (sink.supports.revert === "none") {
      evidence.push({ name, verdict: "not revertible", removed: 0, restored: 0, kept: [] });
      sinks.set(name, { batches, marks: { ...now.sinks.get(name)?.marks } });
      continue;
    }
    const write = { epoch: lease.epoch, token: `${lease.state.record.key}:${generation}:restore:${restore.target}` };
    const { removed, restored, kept, mark } = await sink.revertTo(before, write, {
      force: restore.forced.includes(name),
    });
    evidence.push({ name, verdict: removed + restored > 0 ? "reverted" : "unchanged", removed, restored, kept });
    sinks.set(name, { batches, marks: { ...now.sinks.get(name)?.marks, ...(place === "" ? {} : { [place]: mark }) } });
  }
  return { evidence, sinks };
}

interface RestoredInput {
  readonly head: OpenedMemento;
  readonly target: OpenedMemento;
  readonly now: PipelineSnapshot;
  readonly goal: PipelineSnapshot;
  readonly evidence: readonly SinkEvidence[];
  readonly sinks: ReadonlyMap<string, SinkRecord>;
}

/** Appends the target's state as the new head, one generation on: its tokens are new ones. */
async function appendRestored(ports: RestorePorts, input: RestoredInput): Promise<OpenedMemento> {
  const { vault, lease } = ports;
  const { head, target, now, goal, evidence, sinks } = input;
  const writer = await vault.writer(await vault.timeline(lease.state.record.key));
  const { entry } = await writer.append({
    reason: "rollback",
    status: statusAfter(target, goal),
    generation: head.entry.generation + 1,
    ground: target,
    ...runFields(target),
    pieces: new Map([...sinks].map(([name, record]) => [PIECE.sink + name, record])),
    drop: [PIECE.restore],
    fields: {
      evidence: {
        ...now.restore,
        ended: new Date(vault.clock.now()).toISOString(),
        target: target.entry.id,
        sinks: evidence,
      },
    },
  });
  const about = { caretaker: entry.caretaker, timeline: entry.timeline, mementos: [entry.id, target.entry.id] };
  await vault.store.note(vault.notice("restored", about, { generation: entry.generation }));
  return await vault.load(entry.id);
}

/** A run that was under way at the target is one to be resumed; what was done stays done. */
function statusAfter(target: OpenedMemento, goal: PipelineSnapshot): MementoStatus {
  const { status } = target.entry;
  if (status === "running" || status === "failed") return "interrupted";
  return status === "reverting" ? ((goal.restore?.statusBefore as MementoStatus | undefined) ?? "interrupted") : status;
}

function runFields(memento: OpenedMemento): { run?: string; version?: string; stage?: string; stageIndex?: number } {
  const { run, version, stage, stageIndex } = memento.entry;
  return {
    ...(run === undefined ? {} : { run }),
    ...(version === undefined ? {} : { version }),
    ...(stage === undefined ? {} : { stage }),
    ...(stageIndex === undefined ? {} : { stageIndex }),
  };
}

/** The data must now be what the new head says; anything else is a defect, and is said at once. */
async function verifySinks(resources: Resources, restored: OpenedMemento): Promise<void> {
  const { sinks } = await readSnapshot(restored);
  for (const [name, sink] of resources.sinks) {
    const [wanted, found] = [sinks.get(name)?.marks[await sink.place()] ?? null, await sink.mark()];
    if (sink.supports.revert === "none" || isDeepStrictEqual(wanted, found)) continue;
    throw new MementoError(
      "DAMAGED",
      `After the restore the sink ${name} stands at ${JSON.stringify(found)} and should stand at ${JSON.stringify(wanted)}`,
    );
  }
}
