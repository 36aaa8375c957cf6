import { MementoError } from "../../core/errors.ts";
import type { BatchUnderWay } from "./refused-rows.ts";

/** A batch that a stage's code has, and has not asked for the next one behind. */
export interface BatchInHand extends BatchUnderWay {
  /** The sinks that were written to meanwhile. */
  readonly written: Set<string>;
}

/**
 * The batches that the code of one attempt has in hand, of one source or of several: while there is one, a memento would hold what
 * was written of it and not that it is done, so that it would be written twice.
 */
export class BatchesInHand {
  readonly #stage: string;
  readonly #reading = new Set<string>();
  readonly #batches = new Map<string, BatchInHand>();
  readonly #between = new Set<Promise<unknown>>();
  #left: BatchInHand | null = null;

  constructor(stage: string) {
    this.#stage = stage;
  }

  get none(): boolean {
    return this.#batches.size === 0 && this.#left === null;
  }

  /** All of them; the one that was opened last comes last. */
  all(): BatchInHand[] {
    return [...this.#batches.values()];
  }

  /** A source begins to be read. INVALID_ARGUMENT where it is being read. */
  begin(source: string): void {
    if (this.#reading.has(source))
      throw new MementoError(
        "INVALID_ARGUMENT",
        `Stage ${this.#stage} begins to read the source ${source}, which it is reading: each record would come twice`,
        {
          hint: "Read it in one loop, and hand on from there what is worked on at once; or declare it under two names.",
        },
      );
    this.#reading.add(source);
  }

  /** Hands out a batch, once nothing goes on that needs none to be in hand. */
  async open(batch: BatchUnderWay): Promise<void> {
    while (this.#between.size > 0) await Promise.allSettled(this.#between);
    this.#batches.set(batch.source, { ...batch, written: new Set() });
  }

  /** The batch is done. */
  close(source: string): void {
    this.#batches.delete(source);
  }

  /**
   * A source is read no longer. A batch that is still in hand comes again; where something was written meanwhile it is neither done
   * nor as it was: INVALID_ARGUMENT, also at the end of the attempt.
   */
  end(source: string): void {
    this.#reading.delete(source);
    const batch = this.#batches.get(source);
    this.#batches.delete(source);
    if (batch === undefined || batch.written.size === 0) return;
    this.#left ??= batch;
    this.demandNoneLeft();
  }

  demandNoneLeft(): void {
    const left = this.#left ?? this.all().find(({ written }) => written.size > 0);
    if (left === undefined) return;
    const { source, records, from, to, written } = left;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `Stage ${this.#stage} has left its loop over the source ${source} in the middle of a batch of which it has written to ${[...written].join(" and ")}: the ${records} records after ${JSON.stringify(from ?? "its start")}, up to ${JSON.stringify(to)}, would come again`,
      {
        hint: "Leave the loop before the first write of a batch: asking for that batch has made the one before it done.",
        details: { stage: this.#stage, source },
      },
    );
  }

  /** INVALID_ARGUMENT while a batch is in hand. */
  demandNone(what: string): void {
    const batch = this.#left ?? this.all().at(-1);
    if (batch === undefined) return;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `Stage ${this.#stage} calls ${what} in the middle of a batch of the source ${batch.source}`,
      {
        hint: "Call it before or behind the loop. Between two batches of a loop, mementos are taken by checkpoint: { records } or { ms }.",
        details: { stage: this.#stage, source: batch.source },
      },
    );
  }

  /** Does something while no batch is in hand: none is opened before it is done. Only to be called where there is none. */
  async between<Value>(act: () => Promise<Value>): Promise<Value> {
    const done = act();
    this.#between.add(done);
    try {
      return await done;
    } finally {
      this.#between.delete(done);
    }
  }
}
