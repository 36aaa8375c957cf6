import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import type { MementoReason, MementoStatus } from "../../core/memento.ts";
import type { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { SavedMemento } from "../../vault/timeline-writer.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { openResources, type Resources } from "../run/resources.ts";
import type { RunListener } from "../run/run-event.ts";
import { runPlace } from "../run/run-place.ts";
import { PIECE, readSnapshot, type RestoreKind, type RestoreRecord, type RunRecord } from "../run/run-state.ts";
import { unmarkedData } from "../run/unmarked-data.ts";
import { statusBehind, statusOnward } from "../schemas/adapt.ts";
import { forcedAmong, fullName } from "./force.ts";
import { goingOnFrom } from "./lineage.ts";
import type { Participant, PartEvidence, PartReverted, RestoreGoal, SinkEvidence } from "./participants/participant.ts";
import { rosterOf } from "./participants/roster.ts";
import { goalSnapshot, type PlanPoint, type RestorePlan } from "./plan.ts";
import { purgeHistory } from "./purge.ts";
import { chosenPieces, chosenStamps, stagesOf } from "./selection.ts";

/** What a restore works with. */
export interface RestorePorts {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly lease: LeaseKeeper;
  readonly listener: RunListener;
  /** Items that may stay where going back fails, besides those that the restore was begun with: the way out for one that cannot be finished. */
  readonly force?: readonly string[];
}

/** What is to be restored, who asks for it, and why; kept as evidence. */
export interface RestoreRequest extends Pick<
  RestoreRecord,
  "forced" | "by" | "why" | "content" | "paused" | "keepData" | "purge"
> {
  readonly kind: RestoreKind;
  readonly plan: RestorePlan<PlanPoint | null>;
  readonly target: OpenedMemento | null;
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
  const { kind, plan, target, forced, by, why, content, paused, keepData, purge } = request;
  const record: RestoreRecord = {
    kind,
    target: target?.entry.id ?? null,
    planHash: plan.hash,
    forced,
    by,
    why,
    began: new Date(vault.clock.now()).toISOString(),
    before: head.entry.id,
    statusBefore: statusOnward(head.entry),
    digests: { before: head.contentDigest(), target: target?.contentDigest() ?? null },
    ...(content === undefined ? {} : { content }),
    ...(plan.only === null ? {} : { only: plan.only }),
    ...(paused === true ? { paused } : {}),
    ...(keepData === true ? { keepData } : {}),
    ...(purge === true ? { purge } : {}),
  };
  const writer = await vault.writer(await vault.timeline(lease.state.record.key));
  const { entry } = await writer.append({
    reason: "rollback-begin",
    status: "reverting",
    generation: head.entry.generation,
    ...runPlace(head.entry),
    pieces: new Map([[PIECE.restore, record]]),
    fields: { plan },
  });
  return await vault.load(entry.id);
}

/** Finishes a restore that stands at the head, whoever began it; any other head is returned as it is. Each of its steps may be repeated. */
export async function finishRestore(
  ports: RestorePorts,
  head: OpenedMemento | null,
  opened?: Resources,
): Promise<OpenedMemento | null> {
  if (head?.entry.reason === "reset") await finishPurge(ports.vault, head);
  if (head?.entry.status !== "reverting") return head;
  const { vault, pipeline, lease, listener } = ports;
  const now = await readSnapshot(head);
  const { restore } = now;
  if (restore === null)
    throw new MementoError("DAMAGED", `Memento ${head.entry.id} begins a restore and does not say of what`);
  const target = restore.target === null ? null : await vault.load(restore.target);
  const content = restore.content === undefined ? target : await vault.load(restore.content);
  const goal = { now, wanted: await goalSnapshot(target, content) };
  // Credentials come before the first touch: without them nothing has happened yet, and the next attempt starts here again.
  const resources =
    opened ??
    (await openResources({
      pipeline,
      params: now.run?.params ?? goal.wanted.run?.params ?? {},
      timeline: head.entry.timeline,
      vault,
      signal: lease.signal,
      sealed: now.sealed,
    }));
  try {
    const { participants } =
      restore.keepData === true
        ? { participants: [] }
        : await rosterOf({ ...ports, resources, head, target, only: restore.only, signal: lease.signal });
    const restored = await resources.withoutSecrets(async () => {
      // What stays is the timeline's own, also where the head has lost its marks.
      const stays = restore.keepData === true ? await unmarkedData(resources, now, lease.epoch) : [];
      return await new RestoreSaga(ports, { head, target, content, restore, goal, stays }).run(participants);
    });
    listener({ type: "restore-finished", target: restore.target ?? "", memento: restored.entry.id });
    return restored;
  } finally {
    if (opened === undefined) await resources[Symbol.asyncDispose]();
  }
}

/** A reset that was to remove the mementos before it, and was killed before that was done. */
async function finishPurge(vault: Vault, head: OpenedMemento): Promise<void> {
  const { evidence } = head.fields() as { readonly evidence?: RestoreRecord };
  if (evidence?.purge === true) await purgeHistory(vault, head.entry);
}

interface SagaInput {
  readonly head: OpenedMemento;
  readonly target: OpenedMemento | null;
  readonly content: OpenedMemento | null;
  readonly restore: RestoreRecord;
  readonly goal: RestoreGoal;
  /** Marks of data that stays and that the head has no marks of, as pieces. */
  readonly stays: Iterable<readonly [string, unknown]>;
}

/** A restore from its beginning memento to its new head. It knows nothing of what takes part in it. */
class RestoreSaga {
  readonly #ports: RestorePorts;
  readonly #input: SagaInput;
  readonly #parts: PartEvidence[];
  readonly #sinks: SinkEvidence[] = [];
  readonly #pieces: Map<string, unknown>;

  constructor(ports: RestorePorts, input: SagaInput) {
    this.#ports = ports;
    this.#input = input;
    this.#parts = [...(input.restore.done ?? [])];
    this.#pieces = new Map(input.stays);
  }

  async run(participants: readonly Participant[]): Promise<OpenedMemento> {
    const { lease, vault } = this.#ports;
    const { restore, goal, head } = this.#input;
    for (const participant of participants) await participant.fence(lease.epoch);
    const target = restore.target ?? restore.kind ?? "";
    const token = `${lease.state.record.key}:${head.entry.generation + 1}:restore:${target}`;
    const forced = new Set([...restore.forced, ...forcedAmong(participants, this.#ports.force ?? [])]);
    const done = new Set((restore.done ?? []).map(({ kind, name, run }) => `${kind}:${name}@${run ?? ""}`));
    for (const participant of participants) {
      const { name, key, remembered } = participant;
      if (remembered && done.has(key)) continue;
      // Earlier releases kept plain names.
      const force = forced.has(fullName(participant)) || forced.has(name);
      this.#take(await participant.revert(goal, { epoch: lease.epoch, token }, { force }));
      if (remembered) await this.#remember();
    }
    const { entry } = await this.#append();
    const about = {
      caretaker: entry.caretaker,
      timeline: entry.timeline,
      mementos: [entry.id, restore.target ?? entry.id],
    };
    await vault.store.note(vault.notice("restored", about, { generation: entry.generation }));
    const restored = await vault.load(entry.id);
    const snapshot = await readSnapshot(restored);
    for (const participant of participants) await participant.verify(snapshot);
    if (restore.purge === true) await purgeHistory(vault, entry);
    return restored;
  }

  #take({ evidence, sink, pieces }: PartReverted): void {
    this.#parts.push(evidence);
    if (sink !== undefined) this.#sinks.push(sink);
    for (const [key, value] of pieces ?? []) this.#pieces.set(key, value);
  }

  /** Another process that finishes this restore will not do again what is remembered here. */
  async #remember(): Promise<void> {
    const { vault, lease } = this.#ports;
    const { head, restore } = this.#input;
    const done = this.#parts.filter(({ kind }) => kind === "stage");
    const writer = await vault.writer(await vault.timeline(lease.state.record.key));
    await writer.append({
      reason: "rollback-begin",
      status: "reverting",
      generation: head.entry.generation,
      ...runPlace(head.entry),
      pieces: new Map([[PIECE.restore, { ...restore, done }]]),
      fields: head.fields(),
    });
  }

  /** Appends the new head, one generation on: its tokens are new ones. */
  async #append(): Promise<SavedMemento> {
    const { vault, lease, pipeline } = this.#ports;
    const { head, target, content, restore, goal } = this.#input;
    const { done: _done, ...record } = restore;
    const { kind = "rollback", only } = restore;
    const state = await vault.timeline(lease.state.record.key);
    const writer = await vault.writer(state);
    const selected = only === undefined || target === null ? null : chosenPieces(pipeline, { head, target }, only);
    const told = content === null || selected !== null ? head : content;
    const run = await adoptedRun(restore, goal, target);
    return await writer.append({
      reason: kind satisfies MementoReason,
      status: statusAfter(this.#input, selected !== null),
      generation: head.entry.generation + 1,
      // A rollback of some items alone goes on from the head.
      ...(selected === null ? { metadata: goingOnFrom(target?.entry ?? null) } : {}),
      ...(content === null ? {} : runPlace(told.entry)),
      ...(selected === null && content !== null ? { ground: content } : {}),
      pieces: new Map([...this.#pieces, ...run, ...(selected === null ? [] : this.#stamps())]),
      ...(selected === null ? { drop: this.#dropped() } : selected),
      fields: {
        evidence: {
          ...record,
          ended: new Date(vault.clock.now()).toISOString(),
          parts: this.#parts,
          sinks: this.#sinks,
        },
      },
    });
  }

  /** The versions of the values, where some of them come from the target. */
  #stamps(): readonly (readonly [string, unknown])[] {
    const { restore, goal } = this.#input;
    const [head, target] = [goal.now.stamps, goal.wanted.stamps];
    const stamps = chosenStamps(this.#ports.pipeline, { head, target }, restore.only ?? []);
    return isDeepStrictEqual(stamps, head) ? [] : [[PIECE.schemas, stamps]];
  }

  /** A reset drops everything but the marks of data; what a fork had written is no data of this timeline's. */
  #dropped(): string[] {
    const { head, content, restore } = this.#input;
    const isMark = (key: string): boolean => key.startsWith(PIECE.sink) || key.startsWith(PIECE.participant);
    if (content === null) return head.keys().filter((key) => !isMark(key));
    return restore.kind === "adopt" ? [...content.keys().filter(isMark), PIECE.restore] : [PIECE.restore];
  }
}

/**
 * A run that is of this timeline goes on with the parameters that it has here: a fork may have had others, to try something. Where the
 * timeline has gone on to another run since, they are those of where it was forked.
 */
async function adoptedRun(
  { kind }: RestoreRecord,
  { now, wanted }: RestoreGoal,
  target: OpenedMemento | null,
): Promise<readonly (readonly [string, unknown])[]> {
  const { run } = wanted;
  if (kind !== "adopt" || run === null) return [];
  const own = [now.run, ((await target?.value(PIECE.run)) as RunRecord | undefined) ?? null].find(
    (known) => known?.id === run.id,
  );
  return own === undefined || own === null ? [] : [[PIECE.run, { ...run, params: own.params }]];
}

/** A run that was under way at the target is one to be resumed; what was done stays done. */
function statusAfter({ head, content, restore, goal }: SagaInput, selected: boolean): MementoStatus {
  if (restore.paused === true) return "paused";
  if (content === null) return "saved";
  const before = selected ? statusBehind(head.entry, { restore }) : statusBehind(content.entry, goal.wanted);
  if (before === "running" || before === "failed") return "interrupted";
  const again = selected && stagesOf(restore.only ?? []).size > 0;
  return again && before === "completed" ? "interrupted" : before;
}
