import { sha256OfJson } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { positionOf } from "./position-mark.ts";
import type {
  Sink,
  SinkContext,
  SinkInspection,
  SinkMark,
  SinkReverted,
  SinkSupports,
  SinkWrite,
  SinkWritten,
} from "./sink.ts";

/** Says whether what a sink writes into is there, without making it. */
export type Existence = (context: SinkContext) => Promise<boolean>;

/**
 * A sink that, with `madeByWrites` of its context, is one that has nothing until the first call that writes, while what it writes
 * into is not there.
 */
export function madeByWrites<Row>(sink: Sink<Row>, exists: Existence): Sink<Row> {
  return new MadeByWrites(sink, exists);
}

class MadeByWrites<Row> implements Sink<Row> {
  readonly kind: string;
  readonly supports: SinkSupports;
  readonly #sink: Sink<Row>;
  readonly #exists: Existence;
  #context: SinkContext | null = null;
  /** The sink's own opening; null while there is nothing. */
  #opening: Promise<void> | null = null;

  constructor(sink: Sink<Row>, exists: Existence) {
    this.kind = sink.kind;
    this.supports = sink.supports;
    this.#sink = sink;
    this.#exists = exists;
  }

  describe(): string {
    return this.#sink.describe();
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#context !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    if (context.madeByWrites === true) await this.#isThere(context);
    else await this.#made(context);
    this.#context = context;
  }

  async exists(): Promise<boolean> {
    return await this.#isThere();
  }

  async place(): Promise<string> {
    return (await this.#isThere()) ? await this.#sink.place() : "";
  }

  async fence(epoch: number): Promise<void> {
    await (await this.#made()).fence(epoch);
  }

  async mark(): Promise<SinkMark> {
    return (await this.#isThere()) ? await this.#sink.mark() : null;
  }

  async write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten> {
    return await (await this.#made()).write(rows, write);
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    if (await this.#isThere()) return await this.#sink.inspect(mark);
    const fingerprint = sha256OfJson({ mark: positionOf(mark, 0, this.describe()), position: 0, oldest: 0 });
    return { remove: 0, restore: 0, foreign: [], foreignTotal: 0, trimmed: false, oldest: null, fingerprint };
  }

  async revertTo(mark: SinkMark, write: SinkWrite, options: { readonly force: boolean }): Promise<SinkReverted> {
    return await (await this.#made()).revertTo(mark, write, options);
  }

  async trim(oldest: SinkMark): Promise<void> {
    if (await this.#isThere()) await this.#sink.trim(oldest);
  }

  async close(): Promise<void> {
    this.#context = null;
    const opening = this.#opening;
    this.#opening = null;
    await opening?.catch(() => undefined);
    if (opening !== null) await this.#sink.close();
  }

  /** Opens it, once, where it is there by now. */
  async #isThere(context: SinkContext | null = this.#context): Promise<boolean> {
    const asked = this.#demand(context);
    if (this.#opening === null && (await this.#exists(asked)) && this.#opening === null) this.#open(asked);
    await this.#opening;
    return this.#opening !== null;
  }

  /** The sink, opened; makes what it writes into. */
  async #made(context: SinkContext | null = this.#context): Promise<Sink<Row>> {
    const asked = this.#demand(context);
    if (this.#opening === null) this.#open(asked);
    await this.#opening;
    return this.#sink;
  }

  #open(context: SinkContext): void {
    const opening = this.#sink.open(context).catch((error: unknown) => {
      // The next call tries again.
      if (this.#opening === opening) this.#opening = null;
      throw error;
    });
    this.#opening = opening;
  }

  #demand(context: SinkContext | null): SinkContext {
    if (context !== null) return context;
    throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
  }
}
