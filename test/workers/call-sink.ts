import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { MementoError } from "../../packages/memento/src/core/errors.ts";
import { compensatingCalls } from "../../packages/memento/src/orchestrator/sinks/compensate/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** A far end: it does each key once, and gives the same answer when the key comes again. */
export class FarEnd {
  readonly #database: DatabaseSync;

  constructor(folder: string) {
    this.#database = new DatabaseSync(join(folder, "far-end.db"), { timeout: 5_000 });
    this.#database.exec(`PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, calls INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY AUTOINCREMENT, made_with TEXT, origin TEXT, place INTEGER, content TEXT);
      CREATE INDEX IF NOT EXISTS rows_by_origin ON rows (origin)`);
  }

  /** How often each key came. */
  get calls(): Map<string, number> {
    const rows = this.#database.prepare("SELECT key, calls FROM keys").all();
    return new Map(rows.map(({ key, calls }) => [String(key), Number(calls)]));
  }

  /** Each row by the write that it came with: one that is made again has the name that it had. */
  rows(): Map<string, KitRow> {
    const rows = this.#database.prepare("SELECT origin, place, content FROM rows ORDER BY n").all();
    return new Map(
      rows.map(({ origin, place, content }) => [
        `${String(origin)}[${Number(place)}]`,
        JSON.parse(String(content)) as KitRow,
      ]),
    );
  }

  make(key: string, origin: string, rows: readonly KitRow[]): void {
    const bad = rows.findIndex(({ id }) => typeof id !== "string");
    if (bad !== -1) throw new MementoError("RECORD_INVALID", `rows[${bad}] has no id`);
    this.#once(key, () => {
      const insert = this.#database.prepare(
        `INSERT INTO rows (made_with, origin, place, content)
         VALUES (?1, ?2, (SELECT count(*) FROM rows WHERE origin = ?2), ?3)`,
      );
      for (const row of rows) insert.run(key, origin, JSON.stringify(row));
    });
  }

  takeBack(key: string, madeWith: string): void {
    this.#once(key, () => void this.#database.prepare("DELETE FROM rows WHERE made_with = ?").run(madeWith));
  }

  close(): void {
    this.#database.close();
  }

  #once(key: string, work: () => void): void {
    this.#database.exec("BEGIN IMMEDIATE");
    const sql = "INSERT INTO keys VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET calls = calls + 1 RETURNING calls";
    const isFirst = this.#database.prepare(sql).get(key)?.["calls"] === 1;
    if (isFirst) work();
    this.#database.exec("COMMIT");
  }
}

interface Address {
  readonly folder: string;
  readonly rowsPerCall?: number;
}

/** What a worker process of the sink kit opens: there is a step before and after each call. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { folder, rowsPerCall } = JSON.parse(address) as Address;
  const farEnd = new FarEnd(folder);
  const sink = compensatingCalls<KitRow>({
    name: "the far end",
    journal: join(folder, "journal.db"),
    ...(rowsPerCall === undefined ? {} : { rowsPerCall }),
    write: async ({ key, token, rows }) => {
      step();
      farEnd.make(key, token, rows);
      step();
    },
    compensate: async ({ key, madeWith }) => {
      step();
      farEnd.takeBack(key, madeWith);
      step();
    },
  });
  const close = sink.close.bind(sink);
  let isOpen = true;
  return Object.assign(sink, {
    close: async () => {
      await close();
      if (isOpen) farEnd.close();
      isOpen = false;
    },
  });
}

/** Makes places of the sink kit: a far end and a journal in a temporary folder. */
export function callPlace(rowsPerCall?: number): () => Promise<SinkPlace> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), "memento-calls-"));
    const address = JSON.stringify({ folder, ...(rowsPerCall === undefined ? {} : { rowsPerCall }) });
    const farEnd = new FarEnd(folder);
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => farEnd.rows(),
      meddle: async () => undefined,
      address,
      dispose: async () => {
        farEnd.close();
        await rm(folder, { recursive: true });
      },
    };
  };
}
