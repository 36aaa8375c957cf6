import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import type { SinkContext } from "../sink.ts";
import { BorrowedDatabase } from "./borrowed.ts";
import { type DuckdbConnection, type DuckdbInstance, loadDuckdb } from "./engine.ts";
import { duckdbFailure, isInterrupt } from "./failures.ts";
import { DuckdbFile, type FileUse, type OpenDatabase, type SharedDatabase } from "./file.ts";
import type { Shape } from "./journal.ts";
import { quoteName } from "./names.ts";
import { createBooks, hasBooks, readHasher, readPlace } from "./schema.ts";
import { DuckdbSession } from "./session.ts";
import { findStream, type StreamAddress } from "./stream.ts";
import { createTarget, type DuckdbTableOptions, mayCreate, targetName, writtenColumns } from "./table.ts";
import { readDefinition, readTarget, type Target, type TargetColumn } from "./target.ts";

/** A disk that stalls for some seconds holds every writer up; that is no reason to end a run. */
const BUSY_TIMEOUT_MS = 30_000;
/** Longer than the pause between two batches, shorter than the patience of somebody who looks at the file. */
const HOLD_MS = 100;

/** What the sink's statements work with. */
export interface Workspace {
  readonly session: DuckdbSession;
  readonly target: Target;
  /** The columns that rows are given in. */
  readonly written: readonly TargetColumn[];
  /** Which version of DuckDB's hash this is. */
  readonly hasher: string;
  /** Throws the signal's reason when the work was stopped. */
  readonly check: () => void;
  /** What was found in the books about the target's columns of now, kept as long as both stay. */
  readonly shape: { current: Shape | null };
}

/** A target database that was opened for one sink of one timeline. */
export class SinkConnection {
  readonly address: StreamAddress;
  readonly #database: SharedDatabase;
  readonly #options: DuckdbTableOptions;
  readonly #context: SinkContext;
  readonly #use: FileUse;
  #made: { readonly instance: DuckdbInstance; readonly session: DuckdbSession; readonly hasher: string } | null = null;
  #known: (Pick<Workspace, "target" | "written" | "shape"> & { readonly definition: string }) | null = null;
  /** The number of the opening that `#known` and `#place` are of. */
  #opening = -1;
  #place: string | null = null;
  #closed = false;

  private constructor(database: SharedDatabase, options: DuckdbTableOptions, context: SinkContext) {
    this.#database = database;
    this.#options = options;
    this.#context = context;
    this.address = { timeline: context.timeline, sink: context.name };
    const { busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
    const holdMs = ("path" in options ? options.holdMs : undefined) ?? HOLD_MS;
    const { clock, signal } = context;
    this.#use = { clock, signal, busyTimeoutMs, holdMs, mayCreate: mayCreate(options) };
  }

  /** Opens the database; makes the table and the sink's books where there are none. */
  static async open(options: DuckdbTableOptions, context: SinkContext): Promise<SinkConnection> {
    const connection = await SinkConnection.#of(options, context);
    try {
      await connection.#prepare();
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** True where the table is there; makes nothing. */
  static async findsTable(options: DuckdbTableOptions, context: SinkContext): Promise<boolean> {
    const connection = await SinkConnection.#of(options, context);
    try {
      return await connection.#used("INVALID_ARGUMENT", async (session) => {
        return (await readDefinition(session, targetName(options))) !== null;
      });
    } finally {
      await connection.close();
    }
  }

  static async #of(options: DuckdbTableOptions, context: SinkContext): Promise<SinkConnection> {
    const database =
      "path" in options
        ? DuckdbFile.share(options.path, options.settings)
        : await BorrowedDatabase.from(options.instance);
    return new SinkConnection(database, options, context);
  }

  /**
   * Runs `work` in one transaction on the table as it stands now, after all that were asked for before; `write` commits, `read`
   * leaves nothing behind. Data that the engine refuses becomes `refused`.
   */
  async transaction<T>(
    kind: "read" | "write",
    refused: ErrorCode,
    work: (workspace: Workspace) => Promise<T>,
  ): Promise<T> {
    const signal = this.#signal();
    return await this.#used(refused, async (session, hasher) => {
      await session.run("BEGIN TRANSACTION");
      return await this.#ending(session, kind, signal, async (check) => {
        return await work({ session, hasher, ...(await this.#current(session)), check });
      });
    });
  }

  /** The database's own name; empty while the sink has written nothing. */
  async place(): Promise<string> {
    // Asked for after each write, and the same as long as the file stays open.
    if (this.#place !== null && this.#opening === this.#database.opening && !this.#closed) return this.#place;
    return await this.transaction("read", "RECORD_INVALID", async ({ session, target }) => {
      const stream = await findStream(session, this.address, target);
      if (stream === null || stream.position === 0) return "";
      this.#place = await readPlace(session);
      return this.#place;
    });
  }

  /** Waits for what is under way, then closes. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // The instance waits for its connections before it lets go of the file.
    this.#made?.session.raw.closeSync();
    this.#made = null;
    await this.#database.release();
  }

  async #prepare(): Promise<void> {
    const name = targetName(this.#options);
    const signal = this.#signal();
    await this.#used("INVALID_ARGUMENT", async (session) => {
      await refuseView(session, this.#options);
      await session.run("BEGIN TRANSACTION");
      await this.#ending(session, "write", signal, async () => {
        if ((await readDefinition(session, name)) === null) await createTarget(session, this.#options);
        const { target } = await this.#current(session);
        if (!(await hasBooks(session))) await createBooks(session);
        await findStream(session, this.address, target);
      });
    });
  }

  /** A signal that was raised before a call does not keep a run from writing its last words. */
  #signal(): AbortSignal | null {
    return this.#context.signal.aborted ? null : this.#context.signal;
  }

  /** Ends the transaction that was begun, by how `work` ends; a raised signal interrupts the query under way. */
  async #ending<T>(
    session: DuckdbSession,
    kind: "read" | "write",
    signal: AbortSignal | null,
    work: (check: () => void) => Promise<T>,
  ): Promise<T> {
    const interrupt = (): void => session.raw.interrupt();
    signal?.addEventListener("abort", interrupt);
    try {
      const check = (): void => signal?.throwIfAborted();
      const result = await work(check);
      check();
      await session.run(kind === "write" ? "COMMIT" : "ROLLBACK");
      return result;
    } catch (error) {
      await rollBack(session);
      if (signal?.aborted === true && isInterrupt(error)) throw signal.reason;
      throw error;
    } finally {
      signal?.removeEventListener("abort", interrupt);
    }
  }

  async #used<T>(refused: ErrorCode, work: (session: DuckdbSession, hasher: string) => Promise<T>): Promise<T> {
    if (this.#closed) throw new MementoError("STORE_CLOSED", `The sink into ${this.#database.path} is closed`);
    try {
      return await this.#database.use(this.#use, async (database) => {
        const { session, hasher } = await this.#connect(database);
        if (this.#opening !== this.#database.opening) [this.#known, this.#place] = [null, null];
        this.#opening = this.#database.opening;
        return await work(session, hasher);
      });
    } catch (error) {
      throw duckdbFailure(error, this.#database.path, refused);
    }
  }

  async #connect({ instance, catalog }: OpenDatabase): Promise<{ session: DuckdbSession; hasher: string }> {
    if (this.#made?.instance === instance) return this.#made;
    const raw: DuckdbConnection = await instance.connect();
    try {
      // Text without a zone means the same whatever the machine's own is.
      await raw.run("SET TimeZone = 'UTC'");
      const session = new DuckdbSession(await loadDuckdb(), raw, catalog, this.#database.path);
      if (this.#options.onOpen !== undefined) {
        const [row] = (await raw.runAndReadAll("SELECT current_database() AS name")).getRowObjects();
        await raw.run(`USE ${quoteName(catalog)}`);
        await this.#options.onOpen(raw);
        await raw.run(`USE ${quoteName(String(row?.["name"]))}`);
      }
      this.#made = { instance, session, hasher: await readHasher(session) };
      return this.#made;
    } catch (error) {
      raw.closeSync();
      throw error;
    }
  }

  /** The table is read anew whenever its definition has changed. */
  async #current(session: DuckdbSession): Promise<Pick<Workspace, "target" | "written" | "shape">> {
    const name = targetName(this.#options);
    const definition = await readDefinition(session, name);
    if (definition === null) {
      throw new MementoError("INVALID_ARGUMENT", `${session.path} no longer has a table ${name.schema}.${name.table}`);
    }
    if (this.#known?.definition !== definition) {
      const target = await readTarget(session, name, definition);
      this.#known = { definition, target, written: writtenColumns(target, this.#options), shape: { current: null } };
    }
    return this.#known;
  }
}

/** An instance that has failed for good has no transaction to end any more, and is thrown away by who shares it. */
async function rollBack(session: DuckdbSession): Promise<void> {
  try {
    await session.run("ROLLBACK");
  } catch (error) {
    if (!(error instanceof Error) || !/no transaction is active|invalidated|FATAL/.test(error.message)) throw error;
  }
}

async function refuseView(session: DuckdbSession, { schema = "main", table }: DuckdbTableOptions): Promise<void> {
  const view = await session.get(
    "SELECT 1 FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2 AND view_name = $3",
    [session.catalog, schema, table],
  );
  if (view === null) return;
  throw new MementoError("INVALID_ARGUMENT", `The table ${schema}.${table} is a view, not a table`, {
    details: { table: `${schema}.${table}` },
  });
}
