import { MementoError } from "../../../core/errors.ts";
import type { DuckdbInstance } from "./engine.ts";
import type { FileUse, OpenDatabase, SharedDatabase } from "./file.ts";

const queues = new WeakMap<DuckdbInstance, { last: Promise<unknown> }>();

/** A database that the user has open: sinks take turns with it, and nobody closes it. */
export class BorrowedDatabase implements SharedDatabase {
  readonly path: string;
  readonly opening = 0;
  readonly #database: OpenDatabase;

  private constructor(path: string, database: OpenDatabase) {
    this.path = path;
    this.#database = database;
  }

  /** Looks up what the instance has open; INVALID_ARGUMENT for a database in memory. */
  static async from(instance: DuckdbInstance): Promise<BorrowedDatabase> {
    const connection = await instance.connect();
    try {
      const reader = await connection.runAndReadAll(
        "SELECT database_name AS name, path FROM duckdb_databases() WHERE database_name = current_database()",
      );
      const [row] = reader.getRowObjects();
      if (typeof row?.["path"] !== "string" || typeof row["name"] !== "string") {
        throw new MementoError("INVALID_ARGUMENT", "duckdbTable needs an instance on a database file, not in memory");
      }
      return new BorrowedDatabase(row["path"], { instance, catalog: row["name"] });
    } finally {
      connection.closeSync();
    }
  }

  use<T>(_use: FileUse, work: (database: OpenDatabase) => Promise<T>): Promise<T> {
    const queue = queues.get(this.#database.instance) ?? { last: Promise.resolve() };
    queues.set(this.#database.instance, queue);
    const turn = queue.last.then(async () => await work(this.#database));
    queue.last = turn.then(
      () => null,
      () => null,
    );
    return turn;
  }

  async release(): Promise<void> {
    // It is the user's.
  }
}
