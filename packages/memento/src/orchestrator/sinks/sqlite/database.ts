import { existsSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import type { DatabaseSync, StatementSync } from "node:sqlite";

import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { isBusy, sqliteFailure } from "./failures.ts";

/** How a target database is opened. */
export interface SinkDatabaseOptions {
  readonly path: string;
  readonly onOpen: ((database: DatabaseSync) => void | Promise<void>) | undefined;
  readonly busyTimeoutMs: number;
  /** False: a file that is not there is refused, and not made. */
  readonly mayCreate: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Longest pause between two tries for a lock. */
const LOCK_PAUSE_MS_MAX = 50;
/** Longest wait inside the engine, where the process's timers stand still: for `onOpen` alone. */
const ON_OPEN_WAIT_MS_MAX = 5_000;
const CACHE_KIB = 8_192;

/** One connection to a target database: WAL, synchronous FULL, one transaction at a time. */
export class SinkDatabase {
  readonly path: string;
  readonly raw: DatabaseSync;
  readonly #options: SinkDatabaseOptions;
  readonly #statements = new Map<string, StatementSync>();
  #last: Promise<unknown> = Promise.resolve();
  #open = true;

  private constructor(raw: DatabaseSync, options: SinkDatabaseOptions) {
    this.raw = raw;
    this.path = options.path;
    this.#options = options;
  }

  /** Opens the file, or throws LOCKED, IO_FAILED, DAMAGED or NODE_TOO_OLD. */
  static async open(options: SinkDatabaseOptions): Promise<SinkDatabase> {
    const { path } = options;
    const sqlite = process.getBuiltinModule("node:sqlite");
    if (sqlite === undefined) {
      throw new MementoError("NODE_TOO_OLD", `Node.js ${process.version} has no SQLite: sqliteTable needs Node.js 24`);
    }
    if (!options.mayCreate && !existsSync(path)) {
      throw new MementoError(
        "IO_FAILED",
        `There is no database ${resolve(path)}, and no columns to make the table from`,
        {
          details: { path },
          hint: "Check the path, or give the table's columns.",
        },
      );
    }
    let raw: DatabaseSync | undefined;
    try {
      // Waiting is done by pauses between tries, not inside the engine, where it would stop every timer of the process.
      raw = new sqlite.DatabaseSync(path, { timeout: 0 });
      const database = new SinkDatabase(raw, options);
      // The other settings read the schema, and meet the lock of one who closes the file meanwhile.
      await database.#untilFree(() =>
        database.raw.exec(
          `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA main.cache_size = -${CACHE_KIB}; PRAGMA temp.cache_size = -${CACHE_KIB}`,
        ),
      );
      if (options.onOpen !== undefined) {
        // Somebody else's statements have no pauses of ours between tries: the engine waits for them, for a while.
        const waitMs = Math.min(options.busyTimeoutMs, ON_OPEN_WAIT_MS_MAX);
        raw.exec(`PRAGMA busy_timeout = ${waitMs}`);
        await options.onOpen(raw);
        raw.exec("PRAGMA busy_timeout = 0");
      }
      return database;
    } catch (error) {
      raw?.close();
      throw sqliteFailure(error, path, "INVALID_ARGUMENT");
    }
  }

  /** The prepared statement for `sql`; integers are read as bigint. Prepared once for each text. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.raw.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /**
   * Runs `work` inside one transaction, after all that were asked for before; commits when it ends and rolls back when it
   * throws. `write` takes the database's write lock first, `read` sees one state of the data throughout. Throws LOCKED
   * when the lock stays taken; data that the engine refuses becomes `refused`.
   */
  transaction<T>(kind: "read" | "write", refused: ErrorCode, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#transaction(kind, refused, work));
    // The next in the queue waits for this one to end, however it ends; its own caller gets its error.
    this.#last = turn.then(
      () => null,
      () => null,
    );
    return turn;
  }

  /** Waits for what is under way, then closes. May be called again. */
  async close(): Promise<void> {
    await this.#last;
    if (!this.#open) return;
    this.#open = false;
    this.raw.close();
  }

  async #transaction<T>(kind: "read" | "write", refused: ErrorCode, work: () => Promise<T>): Promise<T> {
    if (!this.#open) throw new MementoError("STORE_CLOSED", `The sink into ${this.path} is closed`);
    try {
      await this.#untilFree(() => this.#begin(kind));
      const result = await work();
      this.raw.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.raw.isTransaction) this.raw.exec("ROLLBACK");
      throw sqliteFailure(error, this.path, refused);
    }
  }

  #begin(kind: "read" | "write"): void {
    if (kind === "write") {
      this.raw.exec("BEGIN IMMEDIATE");
      return;
    }
    this.raw.exec("BEGIN");
    try {
      // A deferred transaction sees the state of its first read.
      this.prepare("SELECT 1 FROM main.sqlite_schema LIMIT 1").get();
    } catch (error) {
      this.raw.exec("ROLLBACK");
      throw error;
    }
  }

  async #untilFree(attempt: () => void): Promise<void> {
    const { clock, signal, busyTimeoutMs } = this.#options;
    const deadline = clock.monotonic() + busyTimeoutMs;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LOCK_PAUSE_MS_MAX)) {
      try {
        attempt();
        return;
      } catch (error) {
        if (!isBusy(error) || clock.monotonic() >= deadline) throw error;
      }
      await clock.sleep(pauseMs, signal);
    }
  }
}
