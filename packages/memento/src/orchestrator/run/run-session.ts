import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry, MementoStatus } from "../../core/memento.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { decodeValue } from "../../vault/codec.ts";
import type { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { PieceValues } from "../../vault/opened-memento.ts";
import type { CapturedPiece } from "../../vault/piece-capture.ts";
import type { TimelineWriter, SavedMemento } from "../../vault/timeline-writer.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import type { ParticipantMark } from "../repair/participants/pipeline-participant.ts";
import { RunStamps } from "../schemas/pipeline-schemas.ts";
import type { SourceOffset, SourceOffsets } from "../sources/source.ts";
import { Claims } from "./claims.ts";
import { isKept, keptKey } from "./kept-pieces.ts";
import type { Redaction } from "./redaction.ts";
import type { Resources } from "./resources.ts";
import type { RollForward } from "./roll-forward.ts";
import type { RunListener } from "./run-event.ts";
import { PIECE, type PipelineSnapshot, type ProgressRecord, type RunRecord, type SinkRecord } from "./run-state.ts";
import type { Captured, SessionSave } from "./session-save.ts";
import { StageWork, type Unsettled } from "./stage-work.ts";

/** What a session is made of. */
export interface SessionParts {
  readonly pipeline: Pipeline;
  readonly vault: Vault;
  readonly writer: TimelineWriter;
  readonly lease: LeaseKeeper;
  readonly resources: Resources;
  readonly snapshot: PipelineSnapshot;
  readonly run: RunRecord;
  readonly generation: number;
  readonly listener: RunListener;
  readonly forward: RollForward;
}

/**
 * A run's live state, and how it becomes mementos: only what changed since the last save is handed on. What a stage has done since
 * its last memento is its work; a save of one stage holds the work of that stage and of no other.
 */
export class RunSession {
  readonly pipeline: Pipeline;
  readonly vault: Vault;
  readonly resources: Resources;
  readonly lease: LeaseKeeper;
  readonly run: RunRecord;
  readonly generation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: RunListener;
  readonly redaction: Redaction;
  readonly claims = new Claims();
  readonly stamps: RunStamps;
  readonly forward: RollForward;
  state: Record<string, unknown>;
  readonly completed: Set<string>;
  /** Stages that are not done. */
  readonly remaining: Set<string>;
  /** How far stages under way are, as of their last memento. */
  readonly underWay: Map<string, ProgressRecord>;
  /** The marks of the participants, as of the last memento. */
  readonly participantMarks: Map<string, ParticipantMark>;
  /** True: several stages or items may be under way at once, and each works on a draft of the state. */
  readonly parallel: boolean;
  /** The status of the last memento; null before the first. */
  lastStatus: MementoStatus | null = null;
  readonly #stageIndexes: ReadonlyMap<string, number>;
  readonly #writer: TimelineWriter;
  readonly #offsets: Map<string, SourceOffsets>;
  readonly #sinks: Map<string, SinkRecord>;
  /** Pieces of stages that are done and of the run itself, for the next memento. */
  readonly #unsaved = new Map<string, unknown>();
  /** Outputs of such stages, as they were at their ends. */
  readonly #unsavedOutputs = new Map<string, CapturedPiece>();
  #savedStateKeys: readonly string[];
  /** True until a memento has the run as it is now: its first one, or the first after a resumption. */
  #runUnsaved = true;
  #saving: Promise<unknown> = Promise.resolve();
  #reverts = 0;
  /** True while the head keeps the stage under way as an earlier release did. */
  #hasSingleProgress: boolean;
  /** What stages under way have kept besides their progress: attempts and sleeps. */
  readonly #kept: Set<string>;

  constructor(parts: SessionParts) {
    const { snapshot, pipeline, vault } = parts;
    this.pipeline = pipeline;
    this.vault = vault;
    [this.resources, this.lease, this.forward] = [parts.resources, parts.lease, parts.forward];
    this.run = parts.run;
    this.generation = parts.generation;
    [this.clock, this.random] = [vault.clock, vault.random];
    this.emit = parts.listener;
    this.redaction = parts.resources.redaction;
    this.stamps = new RunStamps(pipeline, snapshot.stamps);
    this.state = snapshot.state;
    this.completed = snapshot.completed;
    this.remaining = new Set(pipeline.stages.map(({ name }) => name));
    for (const name of snapshot.completed) this.remaining.delete(name);
    this.underWay = new Map(snapshot.underWay);
    this.participantMarks = new Map(snapshot.participants);
    this.parallel =
      pipeline.concurrency > 1 || pipeline.stages.some((stage) => stage.type === "each" && stage.concurrency > 1);
    this.#stageIndexes = new Map(pipeline.stages.map(({ name }, index) => [name, index]));
    this.#writer = parts.writer;
    this.#offsets = snapshot.offsets;
    this.#sinks = snapshot.sinks;
    this.#savedStateKeys = Object.keys(snapshot.state);
    this.#hasSingleProgress = this.#writer.pieceDigest(PIECE.progress) !== null;
    this.#kept = new Set(snapshot.run === null ? [] : this.pieceKeys().filter((key) => isKept(key)));
  }

  get timeline(): string {
    return this.#writer.timeline.key;
  }

  get headId(): string | null {
    return this.#writer.headId;
  }

  /** True: something is done that no memento has, and that no work under way will bring. */
  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0 || this.#unsavedOutputs.size > 0;
  }

  /** Begins the work of a stage, or of one of its items. */
  begin(stage: StageDefinition, owner: string = stage.name): StageWork {
    const work = new StageWork(owner, stage, this.state, this.underWay.get(owner) ?? null);
    if (this.parallel) work.makeDraft();
    return work;
  }

  /** Where a source stands, as `work` sees it; as of the last settled work without one. */
  offsetsOf(source: string, work?: StageWork): SourceOffsets {
    return work?.offsetsOf(source) ?? this.#offsets.get(source) ?? {};
  }

  allOffsets(work: StageWork): Readonly<Record<string, SourceOffsets>> {
    const { offsets } = work.unsettled();
    return Object.fromEntries(this.#offsets.size === 0 ? offsets : [...this.#offsets, ...offsets]);
  }

  advance(work: StageWork, source: string, partition: string, offset: SourceOffset): void {
    work.setOffsets(source, { ...this.offsetsOf(source, work), [partition]: offset });
  }

  sinkRecord(sink: string, work?: StageWork): SinkRecord {
    return work?.sinkRecord(sink) ?? this.#sinks.get(sink) ?? { marks: {}, batches: 0 };
  }

  /** Settles a sink's record outside of any work: what a revert made of it. */
  setSink(sink: string, record: SinkRecord): void {
    this.#sinks.set(sink, record);
    this.#unsaved.set(PIECE.sink + sink, record);
  }

  /** A stage's place in the pipeline, from 0. */
  indexOf(stage: StageDefinition): number {
    return this.#stageIndexes.get(stage.name) ?? -1;
  }

  /** Forgets which stages were done: a new run begins. Gives the keys of the pieces that it has no use for. */
  restart(isOld: (key: string) => boolean): readonly string[] {
    this.completed.clear();
    for (const { name } of this.pipeline.stages) this.remaining.add(name);
    this.underWay.clear();
    this.#kept.clear();
    this.stamps.restart();
    return this.pieceKeys().filter((key) => isOld(key));
  }

  /** The keys of all pieces of the last memento. */
  pieceKeys(): string[] {
    return this.#writer.pieceKeys();
  }

  /** The value of a piece as of the last memento, or of an output that the next one will have; undefined when there is none. */
  async pieceValue(key: string): Promise<unknown> {
    const unsaved = this.#unsavedOutputs.get(key);
    if (unsaved !== undefined) return decodeValue(unsaved.encode());
    return await this.#writer.pieces().value(key);
  }

  /** Reads pieces of the last memento, once the run has ended. */
  savedPieces(): PieceValues {
    return this.#writer.pieces();
  }

  /** The keys of what an owner has kept besides its progress. */
  keptBy(owner: string): string[] {
    if (this.#kept.size === 0) return [];
    const sleeps = keptKey(PIECE.sleep, owner, "");
    return [...this.#kept].filter((key) => key === PIECE.attempts + owner || key.startsWith(sleeps));
  }

  /** The digest of a done stage's output, as the timeline has it. */
  outputDigest(stage: string): string | null {
    return this.#writer.pieceDigest(PIECE.output + stage);
  }

  /** The token of the next write to a sink. */
  nextToken(work: StageWork, stage: string, sink: string): string {
    return `${this.timeline}:${this.generation}:${stage}:${this.sinkRecord(sink, work).batches + 1}`;
  }

  /** A token for taking a sink back inside this run; another one each time. */
  nextRevertToken(): string {
    this.#reverts += 1;
    return `retry:${this.lease.epoch}:${this.#reverts}`;
  }

  /** Puts the state back to what the last memento says. What an attempt that was given up still holds is another object. */
  async reloadState(): Promise<void> {
    const head = this.headId;
    const saved = head === null ? new Map<string, unknown>() : await (await this.vault.load(head)).values(PIECE.state);
    this.state = Object.fromEntries(saved);
  }

  /** Settles a stage that is done, where the policy wants no memento now. */
  keep(work: StageWork, stage: StageDefinition, value: unknown): void {
    const captured = this.#capture(work, true, this.parallel);
    for (const [key, piece] of captured.pieces) this.#unsaved.set(key, piece);
    for (const key of captured.drop) this.#unsaved.set(key, DROPPED);
    for (const [key, piece] of this.#writer.capture(new Map([[PIECE.output + stage.name, value]])))
      this.#unsavedOutputs.set(key, piece);
    this.#settle(work, captured);
    this.stamps.done(stage.name);
    this.#done(stage);
  }

  /** Appends a memento; resolves once it is acknowledged. FENCED when the timeline was taken over. */
  async save(save: SessionSave): Promise<MementoEntry> {
    if (!this.parallel) return await this.#save(save);
    // Each is put together when it is its turn: by then it is known what the ones before it have settled.
    const saved = this.#saving.then(async () => await this.#save(save));
    this.#saving = saved.catch(() => undefined);
    return await saved;
  }

  async #save(save: SessionSave): Promise<MementoEntry> {
    this.lease.demand();
    const { stage, output, work, unchanged = false } = save;
    const status = typeof save.status === "function" ? save.status() : save.status;
    const captured = unchanged ? null : this.#capture(work ?? null, save.ended ?? output !== undefined, true);
    const pieces = captured?.pieces ?? new Map<string, unknown>();
    if (stage !== undefined && output !== undefined) pieces.set(PIECE.output + stage.name, output.value);
    if (this.#runUnsaved) pieces.set(PIECE.run, this.run);
    const credentials = this.resources.keeper.unsaved();
    if (credentials !== null) pieces.set(PIECE.credentials, credentials.references);
    for (const [name, sealed] of credentials?.sealed ?? []) pieces.set(PIECE.sealed + name, sealed);
    if (stage !== undefined && output !== undefined) this.stamps.done(stage.name);
    const stamps = this.stamps.unsaved();
    if (stamps !== null) pieces.set(PIECE.schemas, stamps);
    for (const [key, value] of save.extra ?? []) pieces.set(key, value);
    if (captured !== null)
      for (const [name, participant] of this.resources.participants)
        pieces.set(PIECE.participant + name, await participant.mark());
    const begunMs = this.clock.monotonic();
    const drops = [...(captured?.drop ?? []), ...(save.drop ?? [])];
    const saved = await this.#append(save, status, pieces, drops, captured?.outputs);
    this.#runUnsaved = false;
    credentials?.saved();
    this.stamps.saved(stamps);
    for (const name of this.resources.participants.keys()) {
      const mark = pieces.get(PIECE.participant + name);
      if (mark !== undefined) this.participantMarks.set(name, mark as ParticipantMark);
    }
    if (captured !== null) {
      for (const [key, value] of captured.unsaved) if (this.#unsaved.get(key) === value) this.#unsaved.delete(key);
      for (const key of captured.outputs?.keys() ?? []) this.#unsavedOutputs.delete(key);
      if (!this.parallel) this.#savedStateKeys = Object.keys(this.state);
      if (work !== undefined) this.#settle(work, captured);
    }
    for (const key of save.extra?.keys() ?? []) if (isKept(key)) this.#kept.add(key);
    for (const key of save.drop ?? []) this.#kept.delete(key);
    if (stage !== undefined && output !== undefined) this.#done(stage);
    this.lastStatus = status;
    this.emit({ type: "saved", entry: saved.entry, ms: this.clock.monotonic() - begunMs });
    return saved.entry;
  }

  #done(stage: StageDefinition): void {
    this.completed.add(stage.name);
    this.remaining.delete(stage.name);
  }

  async #append(
    save: SessionSave,
    status: MementoStatus,
    pieces: ReadonlyMap<string, unknown>,
    drop: readonly string[],
    captured: ReadonlyMap<string, CapturedPiece> | null = null,
  ): Promise<SavedMemento> {
    const { stage, reason } = save;
    const appending = this.#writer.append({
      reason,
      status,
      generation: this.generation,
      run: this.run.id,
      version: this.pipeline.version,
      resumeCount: this.run.resumeCount,
      labels: save.labels ?? {},
      fields: { ...save.fields },
      pieces,
      drop,
      captured: captured ?? undefined,
      stage: stage?.name,
      stageIndex: stage === undefined ? undefined : this.indexOf(stage),
      name: save.name,
      replaceName: save.replaceName,
    });
    try {
      return await appending;
    } catch (error) {
      this.emit({ type: "save-failed", error: isMementoError(error) ? error.code : "other" });
      throw error;
    }
  }

  #capture(work: StageWork | null, stageEnded: boolean, withState: boolean): Captured {
    const unsaved = [...this.#unsaved];
    const outputs = this.#unsavedOutputs.size === 0 ? null : new Map(this.#unsavedOutputs);
    const pieces = new Map<string, unknown>();
    const drop: string[] = [];
    const forget = (key: string): void => {
      pieces.delete(key);
      drop.push(key);
    };
    for (const [key, value] of unsaved) {
      if (value === DROPPED) drop.push(key);
      // Of the state of a pipeline inside, others may have settled their share since.
      else
        pieces.set(
          key,
          this.parallel && key.startsWith(PIECE.state) ? this.state[key.slice(PIECE.state.length)] : value,
        );
    }
    const state = work?.stateChanges() ?? [];
    if (this.parallel) work?.demandOwn(state, this.state);
    else if (withState) this.#captureState(pieces, drop);
    for (const { key, gone, value } of work?.changesOf(state, this.state) ?? []) {
      if (gone) forget(PIECE.state + key);
      else pieces.set(PIECE.state + key, value);
    }
    const { offsets, sinks, drops } = work?.unsettled() ?? NOTHING;
    for (const [source, value] of offsets) pieces.set(PIECE.offsets + source, value);
    for (const [sink, value] of sinks) pieces.set(PIECE.sink + sink, value);
    for (const key of drops) forget(key);
    const progress = work?.progress ?? null;
    if (work !== null && progress !== null) pieces.set(PIECE.underWay + work.owner, progress);
    else if (work !== null && stageEnded && this.underWay.has(work.owner)) forget(PIECE.underWay + work.owner);
    if (work !== null && this.#hasSingleProgress) {
      drop.push(PIECE.progress);
      this.#hasSingleProgress = false;
    }
    return { pieces, drop, unsaved, outputs, offsets, sinks, drops, state, progress };
  }

  #captureState(pieces: Map<string, unknown>, drop: string[]): void {
    for (const key of Object.keys(this.state)) pieces.set(PIECE.state + key, this.state[key]);
    for (const key of this.#savedStateKeys) if (!Object.hasOwn(this.state, key)) drop.push(PIECE.state + key);
  }

  /** What was captured is the run's from now on; what the work has done since then stays its own. */
  #settle(work: StageWork, captured: Captured): void {
    const { offsets, sinks, state, progress } = captured;
    for (const [source, value] of offsets) this.#offsets.set(source, value);
    for (const [sink, value] of sinks) this.#sinks.set(sink, value);
    work.settle(captured);
    work.settleState(state, this.state);
    if (progress === null) this.underWay.delete(work.owner);
    else this.underWay.set(work.owner, progress);
  }
}

const NOTHING: Unsettled = { offsets: [], sinks: [], drops: [] };

/** Stands in for a piece that the next memento is to drop. */
const DROPPED = Symbol("dropped");
