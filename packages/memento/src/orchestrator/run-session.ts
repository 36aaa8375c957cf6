import { sha256, sha256OfJson } from "../core/digest.ts";
import type { MementoEntry, MementoReason, MementoStatus } from "../core/memento.ts";
import type { Clock } from "../core/ports.ts";
import { encodeValue } from "../vault/codec.ts";
import type { LeaseKeeper } from "../vault/lease-keeper.ts";
import type { TimelineWriter, SavedMemento } from "../vault/timeline-writer.ts";
import type { Pipeline } from "./pipeline.ts";
import { Redaction } from "./redaction.ts";
import type { Resources } from "./resources.ts";
import type { RunListener } from "./run-event.ts";
import { PIECE, type PipelineSnapshot, type ProgressRecord, type RunRecord, type SinkRecord } from "./run-state.ts";
import type { SourceOffset, SourceOffsets } from "./sources/source.ts";
import type { StageDefinition } from "./stage.ts";

/** What one save says besides the run's present state. */
export interface SessionSave {
  readonly reason: MementoReason;
  readonly status: MementoStatus;
  readonly stage?: StageDefinition;
  /** The stage's output, which marks it as done. */
  readonly output?: { readonly value: unknown };
  /** True: the state stays as the last memento has it, because what is in memory may be the middle of a batch. */
  readonly unchanged?: boolean;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Pieces that the session does not know of. */
  readonly extra?: ReadonlyMap<string, unknown>;
  readonly drop?: readonly string[];
}

/** What a session is made of. */
export interface SessionParts {
  readonly pipeline: Pipeline;
  readonly writer: TimelineWriter;
  readonly lease: LeaseKeeper;
  readonly resources: Resources;
  readonly snapshot: PipelineSnapshot;
  readonly run: RunRecord;
  readonly generation: number;
  readonly clock: Clock;
  readonly listener: RunListener;
}

/** A run's live state, and how it becomes mementos: only what changed since the last save is handed on. */
export class RunSession {
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly lease: LeaseKeeper;
  readonly run: RunRecord;
  readonly generation: number;
  readonly clock: Clock;
  readonly emit: RunListener;
  readonly redaction: Redaction;
  readonly state: Record<string, unknown>;
  readonly completed: Set<string>;
  /** Stages that are not done. */
  readonly remaining: Set<string>;
  progress: ProgressRecord | null;
  /** The stage whose work is under way; inside a flow, the one that has the batch. */
  active: StageDefinition | null = null;
  readonly #stageIndexes: ReadonlyMap<string, number>;
  readonly #writer: TimelineWriter;
  readonly #offsets: Map<string, SourceOffsets>;
  readonly #sinks: Map<string, SinkRecord>;
  readonly #dirty = new Map<string, unknown>();
  #savedStateKeys: readonly string[];
  #progressSaved: boolean;
  #savedAtMs: number;
  /** True until a memento has the run as it is now: its first one, or the first after a resumption. */
  #runUnsaved = true;

  constructor(parts: SessionParts) {
    const { snapshot } = parts;
    this.pipeline = parts.pipeline;
    this.resources = parts.resources;
    this.lease = parts.lease;
    this.run = parts.run;
    this.generation = parts.generation;
    this.clock = parts.clock;
    this.emit = parts.listener;
    this.redaction = new Redaction(parts.resources.credentials);
    this.state = snapshot.state;
    this.completed = snapshot.completed;
    this.remaining = new Set(parts.pipeline.stages.map(({ name }) => name));
    for (const name of snapshot.completed) this.remaining.delete(name);
    this.#stageIndexes = new Map(parts.pipeline.stages.map(({ name }, index) => [name, index]));
    this.progress = snapshot.progress;
    this.#writer = parts.writer;
    this.#offsets = snapshot.offsets;
    this.#sinks = snapshot.sinks;
    this.#savedStateKeys = Object.keys(snapshot.state);
    this.#progressSaved = snapshot.progress !== null;
    this.#savedAtMs = parts.clock.monotonic();
  }

  get timeline(): string {
    return this.#writer.timeline.key;
  }

  get headId(): string | null {
    return this.#writer.headId;
  }

  /** Milliseconds since the last acknowledged save. */
  get unsavedMs(): number {
    return this.clock.monotonic() - this.#savedAtMs;
  }

  offsetsOf(source: string): SourceOffsets {
    return this.#offsets.get(source) ?? {};
  }

  get offsets(): Readonly<Record<string, SourceOffsets>> {
    return Object.fromEntries(this.#offsets);
  }

  advance(source: string, partition: string, offset: SourceOffset): void {
    const offsets = { ...this.#offsets.get(source), [partition]: offset };
    this.#offsets.set(source, offsets);
    this.#dirty.set(PIECE.offsets + source, offsets);
  }

  sinkRecord(sink: string): SinkRecord {
    return this.#sinks.get(sink) ?? { marks: {}, batches: 0 };
  }

  /** Keeps a stage's output for the next memento, where the policy wants none now. */
  keepOutput(stage: StageDefinition, value: unknown): void {
    this.#dirty.set(PIECE.output + stage.name, value);
    this.#done(stage);
  }

  /** A stage's place in the pipeline, from 0. */
  indexOf(stage: StageDefinition): number {
    return this.#stageIndexes.get(stage.name) ?? -1;
  }

  /** Forgets which stages were done: a new run begins. */
  restart(): void {
    this.completed.clear();
    for (const { name } of this.pipeline.stages) this.remaining.add(name);
    this.progress = null;
  }

  /** The digest of a done stage's output, as the timeline has it. */
  outputDigest(stage: string): string | null {
    return this.#writer.pieceDigest(PIECE.output + stage);
  }

  setSink(sink: string, record: SinkRecord): void {
    this.#sinks.set(sink, record);
    this.#dirty.set(PIECE.sink + sink, record);
  }

  /** The token of the next write to a sink. */
  nextToken(stage: string, sink: string): string {
    return `${this.timeline}:${this.generation}:${stage}:${this.sinkRecord(sink).batches + 1}`;
  }

  /** Appends a memento; resolves once it is acknowledged. FENCED when the timeline was taken over. */
  async save(save: SessionSave): Promise<MementoEntry> {
    this.lease.demand();
    const { stage, output } = save;
    const ended = output !== undefined;
    const { pieces, drop } =
      save.unchanged === true ? { pieces: new Map<string, unknown>(), drop: [] } : this.#changes(ended);
    if (stage !== undefined && output !== undefined) pieces.set(PIECE.output + stage.name, output.value);
    if (this.#runUnsaved) pieces.set(PIECE.run, this.run);
    for (const [key, value] of save.extra ?? []) pieces.set(key, value);
    const saved = await this.#append(save, pieces, [...drop, ...(save.drop ?? [])]);
    this.#runUnsaved = false;
    if (save.unchanged !== true) {
      this.#dirty.clear();
      this.#savedStateKeys = Object.keys(this.state);
      this.#progressSaved = this.progress !== null;
    }
    if (stage !== undefined && ended) this.#done(stage);
    this.#savedAtMs = this.clock.monotonic();
    this.emit({ type: "saved", entry: saved.entry });
    return saved.entry;
  }

  #done(stage: StageDefinition): void {
    this.completed.add(stage.name);
    this.remaining.delete(stage.name);
  }

  async #append(
    save: SessionSave,
    pieces: ReadonlyMap<string, unknown>,
    drop: readonly string[],
  ): Promise<SavedMemento> {
    const { stage, reason, status } = save;
    return await this.#writer.append({
      reason,
      status,
      generation: this.generation,
      run: this.run.id,
      version: this.pipeline.version,
      resumeCount: this.run.resumeCount,
      ...(stage === undefined ? {} : { stage: stage.name, stageIndex: this.indexOf(stage) }),
      ...(save.name === undefined ? {} : { name: save.name }),
      labels: save.labels ?? {},
      fields: { ...save.fields },
      pieces,
      drop,
    });
  }

  #changes(stageEnded: boolean): { pieces: Map<string, unknown>; drop: string[] } {
    const pieces = new Map(this.#dirty);
    const stateKeys = Object.keys(this.state);
    for (const key of stateKeys) pieces.set(PIECE.state + key, this.state[key]);
    const drop = this.#savedStateKeys.filter((key) => !(key in this.state)).map((key) => PIECE.state + key);
    if (this.progress !== null) pieces.set(PIECE.progress, this.progress);
    else if (this.#progressSaved && stageEnded) drop.push(PIECE.progress);
    return { pieces, drop };
  }
}

/** Where a task's input came from: the digest of the output it was given, of all of them, or of the parameters where it was given none. */
export function inputDigest(run: RunRecord, outputs: readonly (readonly [string, string])[]): string {
  const [first] = outputs;
  if (first === undefined) return paramsDigest(run);
  return outputs.length === 1 ? first[1] : sha256OfJson(outputs);
}

const paramsDigests = new WeakMap<RunRecord, string>();

function paramsDigest(run: RunRecord): string {
  const digest = paramsDigests.get(run) ?? sha256(encodeValue(run.params, "params").bytes);
  paramsDigests.set(run, digest);
  return digest;
}
