import { setImmediate as turn } from "node:timers/promises";

import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import type { SinkContext } from "../sink.ts";
import { SinkDatabase } from "./database.ts";
import { CheckFunctions } from "./functions.ts";
import { createBooks, hasBooks } from "./schema.ts";
import { findStream, type StreamAddress } from "./stream.ts";
import { createTarget, findTarget, mayCreate, type SqliteTableOptions, writtenColumns } from "./table.ts";
import type { Target } from "./target.ts";
import { createWorkspace, type Workspace } from "./workspace.ts";

/** A disk that stalls for some seconds holds every writer up; that is no reason to end a run. */
const BUSY_TIMEOUT_MS = 30_000;

/** A target database that was opened for one sink of one timeline. */
export class SinkConnection {
  readonly address: StreamAddress;
  readonly #database: SinkDatabase;
  readonly #functions: CheckFunctions;
  readonly #options: SqliteTableOptions;
  readonly #signal: AbortSignal;
  #workspace: Omit<Workspace, "pace"> | null = null;
  #schemaVersion: unknown = null;

  private constructor(database: SinkDatabase, options: SqliteTableOptions, context: SinkContext) {
    this.#database = database;
    this.#functions = new CheckFunctions(database.raw);
    this.#options = options;
    this.#signal = context.signal;
    this.address = { timeline: context.timeline, sink: context.name };
  }

  /** Opens the file; makes the table and the sink's books where there are none. */
  static async open(options: SqliteTableOptions, context: SinkContext): Promise<SinkConnection> {
    const database = await openDatabase(options, context, mayCreate(options));
    try {
      const connection = new SinkConnection(database, options, context);
      await connection.#prepare();
      return connection;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** True where the table is there; makes nothing. */
  static async findsTable(options: SqliteTableOptions, context: SinkContext): Promise<boolean> {
    const database = await openDatabase(options, context, false);
    try {
      return await database.transaction("read", "INVALID_ARGUMENT", async () => {
        return await Promise.resolve(findTarget(database, options) !== null);
      });
    } finally {
      await database.close();
    }
  }

  /** Runs `work` in one transaction on the table as it stands now; see `SinkDatabase.transaction`. */
  async transaction<T>(
    kind: "read" | "write",
    refused: ErrorCode,
    work: (workspace: Workspace) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#database.transaction(kind, refused, async () => {
        // A signal that was raised before the call does not keep a run from writing its last words.
        const signal = this.#signal.aborted ? null : this.#signal;
        const pace = async (): Promise<void> => {
          await turn();
          signal?.throwIfAborted();
        };
        return await work({ ...this.#current(), pace });
      });
    } catch (error) {
      // The temporary tables are rolled back too: to before they were made, perhaps.
      this.#workspace = null;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  async #prepare(): Promise<void> {
    const database = this.#database;
    const ready = await database.transaction("read", "INVALID_ARGUMENT", async () => {
      return hasBooks(database) && findTarget(database, this.#options) !== null;
    });
    if (!ready) {
      await database.transaction("write", "INVALID_ARGUMENT", async () => {
        if (findTarget(database, this.#options) === null) createTarget(database, this.#options);
        writtenColumns(this.#requireTarget(), this.#options);
        createBooks(database);
      });
    }
    await this.transaction("read", "INVALID_ARGUMENT", async ({ target }) =>
      findStream(database, this.address, target),
    );
  }

  /** The table is looked at again whenever somebody has changed the schema. */
  #current(): Omit<Workspace, "pace"> {
    const version = this.#database.prepare("PRAGMA main.schema_version").get()?.["schema_version"];
    if (this.#workspace === null || version !== this.#schemaVersion) {
      const target = this.#requireTarget();
      const written = writtenColumns(target, this.#options);
      createWorkspace(this.#database, target, written);
      this.#workspace = { database: this.#database, functions: this.#functions, target, written };
      this.#schemaVersion = version;
    }
    return this.#workspace;
  }

  #requireTarget(): Target {
    const target = findTarget(this.#database, this.#options);
    if (target !== null) return target;
    throw new MementoError("INVALID_ARGUMENT", `${this.#database.path} no longer has a table ${this.#options.table}`);
  }
}

async function openDatabase(
  { path, onOpen, busyTimeoutMs = BUSY_TIMEOUT_MS }: SqliteTableOptions,
  { clock, signal }: SinkContext,
  creates: boolean,
): Promise<SinkDatabase> {
  return await SinkDatabase.open({ path, onOpen, busyTimeoutMs, mayCreate: creates, clock, signal });
}
