import { isMementoError, MementoError } from "../../../core/errors.ts";
import { systemRandom } from "../../../core/ports.ts";
import type { SinkContext } from "../sink.ts";
import { untilAnswered } from "./attempts.ts";
import { makeBooks } from "./books.ts";
import type { SqlTableDriver, SqlTableEngine } from "./engine.ts";
import { makeShape, readShapes, type Shape } from "./shapes.ts";
import { findStream, type StreamAddress } from "./stream.ts";
import { type Target, type TargetColumn, unusable } from "./target.ts";
import type { Workspace } from "./workspace.ts";

/** How often the table is looked at again because somebody has changed it meanwhile. */
const LOOKS_MAX = 5;

/** What is known of the table. */
interface Known {
  readonly target: Target;
  readonly written: readonly TargetColumn[];
  readonly shape: Shape;
}

/** A table that was opened for one sink of one timeline. */
export class OpenTable {
  readonly address: StreamAddress;
  readonly engine: SqlTableEngine;
  readonly #driver: SqlTableDriver;
  readonly #signal: AbortSignal;
  #known: Known | null = null;

  private constructor(driver: SqlTableDriver, engine: SqlTableEngine, context: SinkContext) {
    this.#driver = driver;
    this.engine = engine;
    this.#signal = context.signal;
    this.address = { timeline: context.timeline, sink: context.name };
  }

  /** Connects; makes the table and the sink's books where there are none. */
  static async open(driver: SqlTableDriver, context: SinkContext): Promise<OpenTable> {
    const engine = await driver.open(context);
    try {
      const table = new OpenTable(driver, engine, context);
      await table.transaction(async (work) => void (await findStream(work, table.address)));
      return table;
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  /**
   * Does `work` in one transaction, on the table as it stands now. Done again where others had to go first, and where its
   * connection was lost: such work must find out by itself whether it was done.
   */
  readonly transaction = async <T>(work: (workspace: Workspace) => Promise<T>): Promise<T> => {
    // A signal that was raised before the call does not keep a run from writing its last words.
    const signal = this.#signal.aborted ? new AbortController().signal : this.#signal;
    for (let look = 1; ; look++) {
      const known = (this.#known ??= await untilAnswered(this.engine.clock, signal, async () => await this.#look()));
      try {
        return await untilAnswered(this.engine.clock, signal, async () => await this.#transaction(known, signal, work));
      } catch (error) {
        if (!isMementoError(error) || error.details["tableChanged"] !== true) throw error;
        this.#known = null;
        if (look === LOOKS_MAX) throw error;
      }
    }
  };

  async close(): Promise<void> {
    await this.engine.close();
  }

  async #transaction<T>(known: Known, signal: AbortSignal, work: (workspace: Workspace) => Promise<T>): Promise<T> {
    const { engine } = this;
    const { target } = known;
    const pace = (): void => signal.throwIfAborted();
    return await engine.transaction(async (session) => {
      if ((await engine.signature(session)) !== target.signature) throw changed(target);
      const shapes = await readShapes(session, engine.dialect, target);
      return await work({ session, dialect: engine.dialect, ...known, shapes, pace });
    });
  }

  async #look(): Promise<Known> {
    const { engine } = this;
    return await engine.making(async (session) => {
      let target = await engine.readTarget(session);
      if (target === null) {
        await engine.createTarget(session);
        target = await engine.readTarget(session);
      }
      if (target === null) throw unusable(engine.dialect.quote("table"), "is not there");
      const written = writtenColumns(target, this.#driver);
      await makeBooks(session, engine.dialect, systemRandom);
      return { target, written, shape: await makeShape(session, engine.dialect, target) };
    });
  }
}

function changed(target: Target): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The table ${target.table} is being changed`, {
    details: { tableChanged: true },
  });
}

/** The columns that rows are given in. INVALID_ARGUMENT for one that the table does not have, and for a key without its columns. */
function writtenColumns(target: Target, { columns, mode }: SqlTableDriver): readonly TargetColumn[] {
  const made = target.makesKey && mode === "append" ? target.key : [];
  const own = target.columns.filter(({ name }) => !made.includes(name));
  if (columns === null) return own.filter(({ name, isDrawn }) => !isDrawn || target.key.includes(name));
  const missing = target.key.find((name) => !columns.includes(name) && !made.includes(name));
  if (missing !== undefined)
    throw unusable(target.table, `has the key column ${missing}, which is not among its columns`);
  return columns.map((name) => {
    const found = own.find((column) => column.name === name);
    if (found === undefined) throw unusable(target.table, `has no column ${name}`);
    return found;
  });
}
