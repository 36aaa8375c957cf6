import { stat, statfs } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";

import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { EngineFacts } from "../store.ts";
import { atOneMoment, openDatabase, PAGE_BYTES, setModes, transact, type OpenDatabase } from "./database.ts";
import { failureOf } from "./failure.ts";
import type { SameFile } from "./same-file.ts";
import { bringUp, migrate, SCHEMA_VERSION, schemaVersion } from "./schema.ts";
import { sortIn } from "./sort-in.ts";
import { prepareStatements, type Statements } from "./statements.ts";

const PAUSE_MS_MAX = 20;
/** The largest body of a pack: SQLite takes a value of 1,000,000,000 bytes. */
export const BODY_BYTES_MAX = 900_000_000;

/** How a connection waits. */
export interface ConnectionOptions {
  readonly path: string;
  /** LOCKED is thrown once another process has held the lock for this long. */
  readonly lockTimeoutMs: number;
  readonly clock: Clock;
}

/** Of a report of many lines so many are shown: they say the same of page after page. */
const REPORT_LINES = 3;

function firstLines(report: string): string {
  const lines = report.split("\n").filter((line) => !line.startsWith("***"));
  const more = lines.length - REPORT_LINES;
  return more > 0 ? `${lines.slice(0, REPORT_LINES).join("; ")}; and ${more} more like these` : lines.join("; ");
}

/** A piece of work that waits for its transaction. */
interface Asked {
  /** Does it inside the transaction, and returns how it is answered once that is committed. */
  readonly work: (statements: Statements) => () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * One connection to a store's database. Every piece of work is synchronous, so that no transaction is ever open while
 * the event loop turns; waiting for another process's lock is not.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #database: DatabaseSync;
  readonly #file: SameFile;
  readonly #statements: Statements;
  #asked: Asked[] = [];
  /** Until this resolves, another connection of this process writes. */
  #elsewhere: Promise<unknown> | null = null;
  /** What waits here for that. */
  readonly #turns = new Set<Promise<unknown>>();
  #hasWritten = false;
  #closed = false;

  private constructor(options: ConnectionOptions, { database, file }: OpenDatabase) {
    this.#options = options;
    this.#database = database;
    this.#file = file;
    this.#statements = prepareStatements(database);
  }

  /** Opens a database that has a store's tables; null for one that has none at all. */
  static async open(options: ConnectionOptions): Promise<Connection | null> {
    return await waitForLock(options, () => {
      const opened = openDatabase(options.path);
      const { database } = opened;
      try {
        // Another program's database is looked at, and not touched: the pragmas write to the file.
        const version = atOneMoment(database, () => schemaVersion(database, options.path));
        if (version > 0) {
          setModes(database);
          if (version < SCHEMA_VERSION) bringUp(database, options.path);
          return new Connection(options, opened);
        }
        database.close();
        return null;
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  /** Opens a database and makes the tables that it lacks. `first` is part of the same transaction. */
  static async create(options: ConnectionOptions, first: (statements: Statements) => void): Promise<Connection> {
    return await waitForLock(options, () => {
      const opened = openDatabase(options.path);
      const { database } = opened;
      try {
        // It counts for a file that is empty as yet.
        database.exec(`PRAGMA page_size = ${PAGE_BYTES}`);
        atOneMoment(database, () => schemaVersion(database, options.path));
        setModes(database);
        transact(database, () => {
          migrate(database, options.path);
          first(prepareStatements(database));
        });
        return new Connection(options, opened);
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  /**
   * Sorts in what many saves at once have left. Where it cannot, whatever hinders it, nothing is lost: rows that are not sorted in are
   * found where they are, and what was saved before stays acknowledged.
   */
  async sortIn(): Promise<void> {
    await this.write(sortIn).catch((error: unknown) => this.#leaveUnsorted(error));
  }

  /** Throws what is a fault of the program. */
  #leaveUnsorted(error: unknown): void {
    failureOf(error, this.#options.path);
  }

  /** Another connection, for which the database stays as it is now, whatever others write meanwhile. To be closed soon. */
  async snapshot(): Promise<Connection> {
    this.#file.demand();
    const connection = await Connection.open(this.#options);
    if (connection === null)
      throw new MementoError("DAMAGED", `${this.#options.path}: the tables of the store are gone`);
    const database = connection.#database;
    try {
      // A transaction sees the state of its first read.
      await connection.read(({ facts }) => {
        if (!database.isTransaction) database.exec("BEGIN");
        facts.get();
      });
      return connection;
    } catch (error) {
      connection.release();
      throw error;
    }
  }

  /** Does something that only reads. */
  async read<T>(work: (statements: Statements) => T): Promise<T> {
    return await this.#wait(() => work(this.#statements));
  }

  /**
   * Does something in one transaction that no other writer is in; all of it is done, or nothing. What is asked for by many at
   * once is done in one transaction for all, and fails for each by itself: 64 runs that end together wait for one commit.
   */
  async write<T>(work: (statements: Statements) => T): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const answered = (statements: Statements): (() => void) => {
        const result = work(statements);
        return () => resolve(result);
      };
      if (this.#asked.push({ work: answered, reject }) === 1) queueMicrotask(() => void this.#writeAsked());
    });
  }

  /**
   * Lets another connection of this process write, once or several times at once: it keeps their order. What is to be written here waits
   * until it is done, instead of for the lock, and so must not be asked for by `writing` itself; reading goes on. Who waits here goes
   * before what comes later there.
   */
  async waitFor<T>(writing: () => Promise<T>): Promise<T> {
    while (this.#asked.length > 0 || this.#turns.size > 0) await (this.#elsewhere ?? Promise.allSettled(this.#turns));
    this.#hasWritten = true;
    const written = writing();
    const all = Promise.allSettled([this.#elsewhere, written]);
    this.#elsewhere = all;
    try {
      return await written;
    } finally {
      // Whoever came later waits for this one too.
      if (this.#elsewhere === all) this.#elsewhere = null;
    }
  }

  async #writeAsked(): Promise<void> {
    while (this.#elsewhere !== null) await this.#elsewhere;
    const asked = this.#asked;
    this.#asked = [];
    if (asked.length > 1) {
      try {
        for (const answer of await this.#transact((statements) => asked.map((one) => this.#apart(one, statements))))
          answer();
        return;
      } catch (error) {
        // Nothing of it was done; each is told by itself what is wrong with it. A lock is not waited for once more.
        if (isMementoError(error, "LOCKED")) {
          for (const { reject } of asked) reject(error);
          return;
        }
      }
    }
    for (const { work, reject } of asked) {
      try {
        (await this.#transact(work))();
      } catch (error) {
        reject(error);
      }
    }
  }

  /** Does one piece of work of several in a transaction: what fails leaves nothing behind, and the others go on. */
  #apart({ work, reject }: Asked, statements: Statements): () => void {
    statements.savepoint.run();
    try {
      const answer = work(statements);
      statements.release.run();
      return answer;
    } catch (error) {
      // Some errors end the whole transaction.
      if (!this.#database.isTransaction) throw error;
      statements.rollbackTo.run();
      statements.release.run();
      return () => reject(failureOf(error, this.#options.path));
    }
  }

  async #transact<T>(work: (statements: Statements) => T): Promise<T> {
    return await this.#alone(() => {
      this.#statements.begin.run();
      try {
        const result = work(this.#statements);
        this.#statements.commit.run();
        this.#hasWritten = true;
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
        throw error;
      }
    });
  }

  /** Like `write`; what it deletes or changes is written over with zeros wherever it stood in the database's pages. */
  async wipe<T>(work: (statements: Statements) => T): Promise<T> {
    const before = String(this.#database.prepare("PRAGMA secure_delete").get()?.["secure_delete"] ?? 0);
    this.#database.exec("PRAGMA secure_delete = ON");
    try {
      return await this.write(work);
    } finally {
      // A close may have come meanwhile.
      if (!this.#closed) this.#database.exec(`PRAGMA secure_delete = ${before === "2" ? "FAST" : before}`);
    }
  }

  /** Brings what was wiped into the database's file, and cuts the log that still had it. LOCKED while others read. */
  async settleWipes(): Promise<void> {
    await this.#alone(() => {
      const row = this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
      if (row?.["busy"] !== 0)
        throw new MementoError("LOCKED", `${this.#options.path}: others are reading what is to be written over`);
    });
  }

  /** Writes the database anew without its free pages; gives by how many bytes it is shorter. LOCKED while others use it. */
  async compact(): Promise<number> {
    return await this.#alone(() => {
      const before = this.#databaseBytes();
      this.#database.exec("VACUUM");
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      return before - this.#databaseBytes();
    });
  }

  #databaseBytes(): number {
    const number = (name: string): number => Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
    return number("page_count") * number("page_size");
  }

  /** Which SQLite this is, and the space: of the database and its log, and what the disk has left. */
  async facts(): Promise<EngineFacts> {
    const { path } = this.#options;
    const version = await this.#wait(
      () => this.#database.prepare("SELECT sqlite_version() AS version").get()?.["version"],
    );
    try {
      const sizes = await Promise.all(
        [path, `${path}-wal`].map(async (file) => (await stat(file, { throwIfNoEntry: false }))?.size ?? 0),
      );
      const { bavail, bsize } = await statfs(path);
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      return { name: "SQLite", version: String(version), bytes, freeBytes: bavail * bsize };
    } catch (error) {
      throw failureOf(error, path);
    }
  }

  /** Makes SQLite's own indexes anew from their tables. */
  async reindex(): Promise<void> {
    await this.#alone(() => this.#database.exec("REINDEX"));
  }

  /** What SQLite itself finds wrong with its pages, tables and indexes; empty when all is well. */
  async integrityProblems(): Promise<readonly string[]> {
    return await this.#wait(() => {
      const rows = this.#database.prepare("PRAGMA integrity_check").all();
      return rows.map((row) => firstLines(String(row["integrity_check"]))).filter((text) => text !== "ok");
    });
  }

  /**
   * Sorts in what was written here, moves everything into the one file, as far as other processes and the disk let it, and closes. NOT_A_STORE, once that is
   * done, where something was written here and another file stands in the place of that one by now.
   */
  close(): void {
    this.#closed = true;
    try {
      if (this.#hasWritten) this.#sortInHere();
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      // Nothing is lost by a log that stays: whoever has the lock moves it, or the next one to open the store.
      const failure = failureOf(error, this.#options.path);
      if (failure.code !== "LOCKED" && failure.code !== "DISK_FULL") throw failure;
    } finally {
      this.#database.close();
    }
    if (this.#hasWritten) this.#file.demandNoOther();
  }

  #sortInHere(): void {
    try {
      transact(this.#database, () => sortIn(this.#statements));
    } catch (error) {
      this.#leaveUnsorted(error);
    }
  }

  /** Closes what `snapshot` gave; changes nothing. */
  release(): void {
    this.#closed = true;
    this.#database.close();
  }

  async #wait<T>(work: () => T, turn?: () => Promise<unknown> | null): Promise<T> {
    const whileOpen = (): T => {
      if (this.#closed) throw new MementoError("STORE_CLOSED", `${this.#options.path} was closed meanwhile`);
      this.#file.demand();
      return work();
    };
    return await waitForLock(this.#options, whileOpen, turn);
  }

  /** Like `#wait`, at a moment when no other connection of this process writes. */
  async #alone<T>(work: () => T): Promise<T> {
    const turn = this.#wait(work, () => this.#elsewhere);
    if (this.#elsewhere === null) return await turn;
    this.#turns.add(turn);
    try {
      return await turn;
    } finally {
      this.#turns.delete(turn);
    }
  }
}

/** Does it once nobody of this process is in the way (`turn` says for whom to wait), and no other process has the lock. */
async function waitForLock<T>(
  { path, lockTimeoutMs, clock }: ConnectionOptions,
  work: () => T,
  turn: () => Promise<unknown> | null = () => null,
): Promise<T> {
  const deadline = clock.monotonic() + lockTimeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    for (let other = turn(); other !== null; other = turn()) await other;
    try {
      return work();
    } catch (error) {
      const failure = failureOf(error, path);
      if (!isMementoError(failure, "LOCKED") || clock.monotonic() >= deadline) throw failure;
    }
    await clock.sleep(pauseMs);
  }
}
