import { MementoError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { RunSession } from "./run-session.ts";
import type { SourceBatch } from "./sources/source.ts";
import type { CheckpointInterval, FlowSummary, StageContext, StageDefinition, StageProgress } from "./stage.ts";

/** Why a run stops early without having failed. */
export type StopKind = "interrupt" | "pause";

/** Thrown to unwind a stage after its stop was saved; never reaches the caller of a run. */
export class StopRun extends Error {
  override readonly name = "StopRun";
  readonly kind: StopKind;

  constructor(kind: StopKind) {
    super(`The run stops: ${kind}`);
    this.kind = kind;
  }
}

/** The wish to stop, from outside (a signal) or from the store (a request that the lease saw). */
export interface StopWish {
  /** What is wanted now; null to go on. */
  current(): StopKind | null;
  /** Aborts as soon as anything is wanted, or the lease is lost. */
  readonly signal: AbortSignal;
}

/** How long a loop may keep the event loop from its timers: renewals of the lease and signals must get through. */
const TURN_MS_MAX = 40;

/** One stage (or flow) under way: its context, its progress, and the points between two batches. */
export class StageRun {
  readonly session: RunSession;
  readonly stage: StageDefinition;
  readonly #stop: StopWish;
  readonly #interval: CheckpointInterval | null;
  readonly flows: Record<string, FlowSummary>;
  #records: number;
  #total: number | null;
  readonly #progress: StageProgress;
  #unsavedRecords = 0;
  #batchRecords = 0;
  #share: number | null = null;
  readonly #credited = new Set<string>();
  #turnStartedMs: number;

  constructor(session: RunSession, stage: StageDefinition, stop: StopWish) {
    this.session = session;
    this.stage = stage;
    this.#stop = stop;
    const policy = stage.checkpoint ?? session.pipeline.checkpoint;
    this.#interval = typeof policy === "object" ? policy : null;
    const before = session.progress?.stage === stage.name ? session.progress : null;
    this.#records = before?.records ?? 0;
    this.#total = before?.total ?? null;
    this.flows = { ...before?.flows };
    this.#turnStartedMs = session.clock.monotonic();
    const records = (): number => this.#records;
    const total = (): number | null => this.#total;
    const setTotal = (value: number | null): void => void (this.#total = value);
    this.#progress = {
      get records() {
        return records();
      },
      get total() {
        return total();
      },
      set total(value) {
        setTotal(value);
      },
      add: (more) => this.#count(more),
    };
  }

  get records(): number {
    return this.#records;
  }

  /** The context that user code of `stage` gets. */
  context(stage: StageDefinition = this.stage): StageContext {
    const { session } = this;
    const { id, key, resumeCount } = session.run;
    return {
      params: session.run.params,
      run: { id, key, resumeCount },
      stage: stage.name,
      get offsets() {
        return session.offsets;
      },
      schemaVersions: Object.fromEntries(
        [...session.resources.sources].map(([name, source]) => [name, source.schemaVersion]),
      ),
      credentials: session.resources.credentials,
      state: session.state,
      progress: this.#progress,
      signal: this.#stop.signal,
      checkpoint: async (options = {}) => await this.#checkpoint(options),
      read: (source) => this.read(source),
      write: async (sink, rows) => await this.write(stage, sink, rows),
      log: (message, fields: Readonly<Record<string, Json>> = {}) =>
        session.emit({
          type: "log",
          stage: stage.name,
          message: session.redaction.text(message),
          fields: session.redaction.json(fields),
        }),
    };
  }

  /** Reads a source; each batch is taken as done when the next one is asked for. */
  async *read(name: string): AsyncGenerator<SourceBatch<unknown>> {
    const source = this.session.resources.sources.get(name);
    if (source === undefined)
      throw new MementoError(
        "INVALID_ARGUMENT",
        `Stage ${this.stage.name} reads the source ${name}, which the pipeline does not have`,
      );
    const reading = source.read({
      from: this.session.offsetsOf(name),
      batchRecords: this.session.pipeline.batchRecords,
      signal: this.#stop.signal,
    });
    const batches = reading[Symbol.asyncIterator]();
    try {
      while (true) {
        await this.boundary();
        const next = await this.#next(batches);
        if (next.done === true) return;
        this.#batchRecords = next.value.records.length;
        this.#credited.clear();
        yield next.value;
        this.#batchRecords = 0;
        this.session.advance(name, next.value.partition, next.value.offset);
        this.#share = next.value.share ?? null;
        this.#count(next.value.records.length);
      }
    } finally {
      await batches.return?.();
    }
  }

  /** Writes rows under the next token. */
  async write(stage: StageDefinition, name: string, rows: readonly unknown[]): Promise<void> {
    const { session } = this;
    const sink = session.resources.sinks.get(name);
    if (sink === undefined)
      throw new MementoError(
        "INVALID_ARGUMENT",
        `Stage ${stage.name} writes to the sink ${name}, which the pipeline does not have`,
      );
    if (rows.length === 0) return;
    session.lease.demand();
    // The records of the batch under way count with the first write that it causes in each sink.
    const records = this.#credited.has(name) ? 0 : this.#batchRecords;
    const written = await sink.write(rows, {
      epoch: session.lease.epoch,
      token: session.nextToken(stage.name, name),
      records,
    });
    this.#credited.add(name);
    const known = session.sinkRecord(name);
    session.setSink(name, {
      marks: { ...known.marks, [await sink.place()]: written.mark },
      batches: known.batches + 1,
    });
  }

  /** A point at which state, offsets and sinks describe the same moment: stops and due mementos happen here. */
  async boundary(): Promise<void> {
    const { session } = this;
    session.lease.demand();
    if (session.clock.monotonic() - this.#turnStartedMs > TURN_MS_MAX) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#turnStartedMs = session.clock.monotonic();
      session.emit({
        type: "progress",
        stage: this.stage.name,
        records: this.#records,
        total: this.#total,
        share: this.#share,
      });
    }
    const stop = this.#stop.current();
    if (stop !== null) {
      this.#note();
      await session.save({ reason: stop, status: stop === "pause" ? "paused" : "interrupted", stage: this.stage });
      throw new StopRun(stop);
    }
    if (this.#due()) {
      this.#note();
      await session.save({ reason: "interval", status: "running", stage: this.stage });
      this.#unsavedRecords = 0;
    }
  }

  async #checkpoint(options: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly description?: string;
  }): Promise<MementoEntry> {
    const { description, ...rest } = options;
    this.#note();
    const entry = await this.session.save({
      reason: "manual",
      status: "running",
      stage: this.stage,
      ...rest,
      ...(description === undefined ? {} : { fields: { description } }),
    });
    this.#unsavedRecords = 0;
    return entry;
  }

  async #next(batches: AsyncIterator<SourceBatch<unknown>>): Promise<IteratorResult<SourceBatch<unknown>>> {
    try {
      return await batches.next();
    } catch (error) {
      // A source that was woken by the stop is between two batches: the stop is saved like at any other boundary.
      if (this.#stop.signal.aborted) await this.boundary();
      throw error;
    }
  }

  #count(records: number): void {
    this.#records += records;
    this.#unsavedRecords += records;
  }

  #due(): boolean {
    if (this.#interval === null || this.#unsavedRecords === 0) return false;
    const { records = Number.POSITIVE_INFINITY, ms = Number.POSITIVE_INFINITY } = this.#interval;
    return this.#unsavedRecords >= records || this.session.unsavedMs >= ms;
  }

  #note(): void {
    this.session.progress = {
      stage: this.stage.name,
      records: this.#records,
      total: this.#total,
      flows: { ...this.flows },
    };
  }
}
