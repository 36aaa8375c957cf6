import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { CheckpointInterval, FlowSummary, StageContext, StageDefinition } from "../pipeline/stage.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source, SourceBatch, SourceOffsets } from "../sources/source.ts";
import { Attempt } from "./attempt.ts";
import { BatchesInHand, type BatchInHand } from "./batches-in-hand.ts";
import { keptKey } from "./kept-pieces.ts";
import { namedRefusal } from "./refused-rows.ts";
import type { RunSession } from "./run-session.ts";
import { PIECE } from "./run-state.ts";
import type { SessionSave } from "./session-save.ts";
import { stageContext } from "./stage-context.ts";
import { StageCounts } from "./stage-counts.ts";
import type { StageWork } from "./stage-work.ts";
import { StopRun, type StopWish } from "./stop.ts";
import { WriteTurns } from "./write-turns.ts";

/** How long a loop may keep the event loop from its timers: renewals of the lease and signals must get through. */
const TURN_MS_MAX = 40;
/** How soon a sleeping stage sees that the run is to stop. */
const SLEEP_LOOK_MS = 500;

/** What a stage run is made of. */
export interface StageRunParts {
  readonly session: RunSession;
  readonly work: StageWork;
  /** The stage with its limits and its policy; of a flow, those of the flow. */
  readonly stage: StageDefinition;
  readonly stop: StopWish;
}

/** Rows on their way to a sink, and the batches that were in hand when they were handed over. */
interface SinkRows {
  readonly name: string;
  readonly sink: Sink;
  readonly rows: readonly unknown[];
  readonly batches: readonly BatchInHand[];
}

/** One attempt at a stage, a flow or an item: its context, its progress, and the points between two batches. */
export class StageRun {
  readonly session: RunSession;
  readonly work: StageWork;
  readonly stage: StageDefinition;
  readonly attempt: Attempt;
  readonly progress: StageCounts;
  readonly #stop: StopWish;
  readonly #interval: CheckpointInterval | null;
  #flows: Record<string, FlowSummary> | null = null;
  #share: number | null = null;
  #batches: BatchesInHand | null = null;
  #writes: WriteTurns | null = null;
  #turnStartedMs: number;
  /** When this work, and not another one beside it, was saved last. */
  #savedAtMs: number;

  constructor({ session, work, stage, stop }: StageRunParts) {
    this.session = session;
    this.work = work;
    this.stage = stage;
    this.#stop = stop;
    const { timeoutMs, heartbeatMs } = stage;
    const { clock, lease } = session;
    this.attempt = new Attempt({ stage, timeoutMs, heartbeatMs, clock, lease, stop: stop.signal });
    const policy = stage.checkpoint ?? session.pipeline.checkpoint;
    this.#interval = typeof policy === "object" ? policy : null;
    this.progress = new StageCounts(work.progress, () => this.attempt.beat());
    this.#turnStartedMs = this.#savedAtMs = clock.monotonic();
  }

  /** What the stages of a flow have done so far. */
  get flows(): Record<string, FlowSummary> {
    // A stage may be called like what every object inherits.
    return (this.#flows ??= Object.assign(
      Object.create(null) as Record<string, FlowSummary>,
      this.work.progress?.flows,
    ));
  }

  /** The batches that the code has in hand. */
  get batches(): BatchesInHand {
    return (this.#batches ??= new BatchesInHand(this.stage.name));
  }

  /** Runs the attempt's code to its end. What it has begun and not waited for is waited for, and fails it where that fails. */
  async toEnd<Value>(code: (run: StageRun) => Value): Promise<Awaited<Value>> {
    return await this.attempt.run(() => {
      const result = code(this);
      // Most code gives a promise. What gives its value at once, and has begun nothing, is at its end.
      const isThere = !isThenable(result) && this.#writes === null && this.#batches === null && this.attempt.isSettled;
      return isThere ? (result as Awaited<Value>) : this.#whole(result);
    });
  }

  async #whole<Value>(result: Value): Promise<Awaited<Value>> {
    const value = await result;
    await this.#writes?.done();
    await this.attempt.settled();
    this.#batches?.demandNoneLeft();
    return value;
  }

  /** The context that user code of `stage` gets. */
  context(stage: StageDefinition = this.stage): StageContext {
    return stageContext(this, stage);
  }

  /** Reads a source; each batch is taken as done when the next one is asked for. */
  async *read(name: string): AsyncGenerator<SourceBatch<unknown>> {
    this.attempt.demand();
    this.#sourceNamed(name);
    this.batches.begin(name);
    let isLeft = false;
    let batches: AsyncIterator<SourceBatch<unknown>> | null = null;
    try {
      await this.#claim(`source ${name}`);
      let source: Source | null = null;
      while (true) {
        await this.boundary();
        const current = this.#sourceNamed(name);
        if (batches === null || current !== source) {
          // It may have been opened anew, with a credential that was renewed.
          await batches?.return?.();
          [source, batches] = [current, this.#readFrom(name, current)];
        }
        const next: IteratorResult<SourceBatch<unknown>> = await this.#next(batches);
        if (next.done === true) return;
        const { records, partition, offset } = next.value;
        if (records.length === 0) {
          this.session.advance(this.work, name, partition, offset);
          continue;
        }
        await this.#open(name, next.value);
        isLeft = true;
        yield next.value;
        isLeft = false;
        await this.#close(name, next.value);
      }
    } finally {
      await batches?.return?.();
      // What nobody has waited for is written in that batch, too.
      if (isLeft) await this.#writes?.done();
      this.batches.end(name);
      if (isLeft) this.batches.demandNoneLeft();
    }
  }

  async #open(name: string, batch: SourceBatch<unknown>): Promise<void> {
    await this.#keepBatch(name, batch);
    const { partition, records, offset } = batch;
    const from = this.session.offsetsOf(name, this.work)[partition];
    await this.batches.open({ source: name, records: records.length, from, to: offset });
  }

  async #close(name: string, batch: SourceBatch<unknown>): Promise<void> {
    const { session, work } = this;
    this.attempt.demand();
    if (this.#writes?.areUnderWay === true) await this.#writes.done();
    this.batches.close(name);
    session.advance(work, name, batch.partition, batch.offset);
    // In the middle of another source's batch more writes of that one are to come.
    if (this.batches.none) session.forward.catchUp(session, work);
    this.#share = batch.share ?? null;
    this.progress.add(batch.records.length);
  }

  #sourceNamed(name: string): Source {
    const source = this.session.resources.sources.get(name);
    if (source !== undefined) return source;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `Stage ${this.stage.name} reads the source ${name}, which the pipeline does not have`,
    );
  }

  #readFrom(name: string, source: Source): AsyncIterator<SourceBatch<unknown>> {
    const { session, work, attempt } = this;
    const from = (): SourceOffsets => session.offsetsOf(name, work);
    const batchRecords = this.stage.scope?.batchRecords ?? session.pipeline.batchRecords;
    return session.forward.read(name, source, { from, batchRecords, signal: attempt.signal });
  }

  /** What a sink cannot take back must come again just as it was: the batch's place is saved before any of it is written. */
  async #keepBatch(name: string, batch: SourceBatch<unknown>): Promise<void> {
    const { session, work } = this;
    const kept = session.forward.toKeep(name, session.offsetsOf(name, work), batch);
    if (kept === null) return;
    const save = { reason: "interval", status: "running", extra: kept.pieces } as const;
    if (this.batches.none) await this.batches.between(async () => await this.save(save));
    // In the middle of another batch nothing else may be in that memento.
    else await this.attempt.track(session.save({ ...save, stage: this.stage, unchanged: true }));
    kept.saved();
  }

  /** Writes rows under the next token, once the writes to that sink that were asked for before are done. */
  async write(stage: StageDefinition, name: string, rows: readonly unknown[]): Promise<void> {
    const { session, attempt } = this;
    attempt.demand();
    const sink = session.resources.sinks.get(name);
    if (sink === undefined)
      throw new MementoError(
        "INVALID_ARGUMENT",
        `Stage ${stage.name} writes to the sink ${name}, which the pipeline does not have`,
      );
    if (rows.length === 0) return;
    // What waits for its turn is what was handed over, whatever the caller does with the array meanwhile.
    const writes = (this.#writes ??= new WriteTurns());
    const handed = writes.isTaken(name) ? [...rows] : rows;
    const batches = this.batches.all();
    await writes.take(name, async () => {
      await this.#claim(`sink ${name}`);
      attempt.demand();
      session.lease.demand();
      await attempt.track(this.#writeNow(stage, { name, sink, rows: handed, batches }));
    });
    attempt.demand();
  }

  async #writeNow(stage: StageDefinition, { name, sink, rows, batches }: SinkRows): Promise<void> {
    const { session, work } = this;
    // The records of a batch in hand count with the first write that it causes in each sink.
    const records = batches.reduce((sum, batch) => (batch.written.has(name) ? sum : sum + batch.records), 0);
    const written = await sink
      .write(rows, {
        epoch: session.lease.epoch,
        // Items may come in another order next time: a token must not be another one's.
        token: session.nextToken(work, work.owner === this.stage.name ? stage.name : work.owner, name),
        records,
      })
      .catch((error: unknown) => {
        throw namedRefusal(error, name, sink, batches.at(-1) ?? null);
      });
    for (const batch of batches) batch.written.add(name);
    const known = session.sinkRecord(name, work);
    work.setSink(name, {
      marks: { ...known.marks, [await sink.place()]: written.mark },
      batches: known.batches + 1,
    });
  }

  /** A point at which state, offsets and sinks describe the same moment: stops and due mementos happen here. */
  async boundary(): Promise<void> {
    const { session, attempt } = this;
    attempt.demand();
    attempt.beat();
    session.lease.demand();
    if (session.clock.monotonic() - this.#turnStartedMs > TURN_MS_MAX) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#turnStartedMs = session.clock.monotonic();
      session.emit({
        type: "progress",
        stage: this.stage.name,
        records: this.progress.records,
        total: this.progress.total,
        share: this.#share,
      });
    }
    const isWanted = this.#stop.current() !== null || session.resources.keeper.hasNews() || this.#due();
    // Where another source's batch is in hand, that waits until it is done.
    if (isWanted && this.batches.none) await this.batches.between(async () => await this.#betweenBatches());
  }

  async #betweenBatches(): Promise<void> {
    const stop = this.#stop.current();
    if (stop !== null) {
      await this.save({ reason: stop, status: stop === "pause" ? "paused" : "interrupted" });
      throw new StopRun(stop);
    }
    if (this.session.resources.keeper.hasNews()) await this.#lookAtCredentials();
    if (this.#due()) await this.save({ reason: "interval", status: "running" });
  }

  /** Renews what is due and opens anew what was built with an older one; a run without a credential that it needs is paused. */
  async #lookAtCredentials(): Promise<void> {
    const { session, work } = this;
    const { keeper } = session.resources;
    const lost = await keeper.fresh();
    if (lost !== null) {
      await this.save({ reason: "credential", status: "paused", fields: { waitsFor: { credential: lost } } });
      throw new StopRun("pause", null, lost);
    }
    const may = (resource: string): boolean => !session.parallel || session.claims.holds(work.owner, resource);
    await session.resources.reopenRenewed(session.lease.epoch, may);
  }

  /** Waits across restarts; see `StageContext.sleep`. */
  async sleep(name: string, wait: number | { readonly until: Date }): Promise<void> {
    const { session, work, attempt } = this;
    attempt.demand();
    this.batches.demandNone("sleep");
    const key = keptKey(PIECE.sleep, work.owner, name);
    const known = (await session.pieceValue(key)) as { readonly until: string } | undefined;
    const until =
      known === undefined
        ? typeof wait === "number"
          ? session.clock.now() + wait
          : wait.until.getTime()
        : Date.parse(known.until);
    if (!Number.isFinite(until) || Math.abs(until) > 8.64e15)
      throw new MementoError("INVALID_ARGUMENT", `Stage ${this.stage.name}: the end of sleep ${name} is no moment`);
    if (known === undefined) {
      const record = { stage: this.stage.name, name, until: new Date(until).toISOString() };
      this.batches.demandNone("sleep");
      const save = { reason: "sleep", status: "running", extra: new Map([[key, record]]) } as const;
      await this.batches.between(async () => await this.save(save));
      session.emit({ type: "stage-sleeps", stage: this.stage.name, name, until: record.until });
    }
    // The clock may be set back, and nobody waits longer for that, unless for a moment by that clock.
    const waitMs = typeof wait === "number" ? wait : Number.POSITIVE_INFINITY;
    const begunMs = session.clock.monotonic();
    const left = (): number => Math.min(until - session.clock.now(), waitMs - (session.clock.monotonic() - begunMs));
    await attempt.asleep(async () => {
      for (let rest = left(); rest > 0; rest = left()) {
        await this.boundary();
        attempt.signal.throwIfAborted();
        // A stop wakes it, and is then seen at the boundary like any other.
        await session.clock.sleep(Math.min(rest, SLEEP_LOOK_MS), attempt.signal).catch((error: unknown) => {
          if (!attempt.signal.aborted) throw error;
        });
      }
    });
    await this.boundary();
  }

  /** Saves what the work has done so far; progress goes with it. */
  async save(save: Omit<SessionSave, "stage" | "work">): Promise<MementoEntry> {
    // Where nothing is to be waited for, the state is captured before this returns.
    if (this.#writes?.areUnderWay === true) await this.#writes.done();
    this.attempt.demand();
    const { records, total } = this.progress;
    this.work.progress = { stage: this.stage.name, records, total, flows: { ...this.flows } };
    const counted = this.progress.saving();
    try {
      const entry = await this.attempt.track(this.session.save({ ...save, stage: this.stage, work: this.work }));
      this.#savedAtMs = this.session.clock.monotonic();
      return entry;
    } catch (error) {
      this.progress.notSaved(counted);
      throw error;
    }
  }

  async #claim(resource: string): Promise<void> {
    const { session, work, attempt } = this;
    if (!session.parallel || session.claims.take(work.owner, resource)) return;
    await attempt.asleep(async () => await session.claims.wait(work.owner, resource, attempt.signal));
    attempt.demand();
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

  #due(): boolean {
    if (this.#interval === null || this.progress.unsaved === 0) return false;
    const { records = Number.POSITIVE_INFINITY, ms = Number.POSITIVE_INFINITY } = this.#interval;
    return this.progress.unsaved >= records || this.session.clock.monotonic() - this.#savedAtMs >= ms;
  }
}

const isThenable = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
