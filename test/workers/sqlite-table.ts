import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import { sqliteTable } from "../../packages/memento/src/orchestrator/sinks/sqlite/index.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** A table that the sink kit is run on. */
export interface KitTable {
  readonly mode: "append" | "upsert";
  /** What makes the table; it has the columns id, amount and note. */
  readonly sql: string;
  readonly key?: string | readonly string[];
  /** The columns that name a row, as the sink's users are told. */
  readonly names: readonly string[];
}

/** What statement-by-statement kills leave out: reads, and writes to temporary tables, which change nothing on disk. */
const READS = /^\s*(?:SELECT|PRAGMA|(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|CREATE|DROP) temp)\b/i;

/** What a worker process of the sink kit opens. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { path, table } = JSON.parse(address) as { path: string; table: KitTable };
  return sqliteTable<KitRow>({
    path,
    table: "kit",
    mode: table.mode,
    ...(table.key === undefined ? {} : { key: table.key }),
    busyTimeoutMs: 100,
    onOpen: (database) => {
      database.exec(table.sql);
      countStatements(database, step);
    },
  });
}

/** Makes the connection call `step` before each statement that changes something. */
function countStatements(database: DatabaseSync, step: () => void): void {
  const exec = database.exec.bind(database);
  const prepare = database.prepare.bind(database);
  database.exec = (sql) => {
    if (!READS.test(sql)) step();
    exec(sql);
  };
  database.prepare = (sql) => {
    const statement = prepare(sql);
    if (READS.test(sql)) return statement;
    const run = statement.run.bind(statement);
    const all = statement.all.bind(statement);
    return Object.assign(statement, {
      run: (...values: Parameters<typeof run>) => {
        step();
        return run(...values);
      },
      all: (...values: Parameters<typeof all>) => {
        step();
        return all(...values);
      },
    });
  };
}

/** Makes places of the sink kit: a database in a temporary folder of its own. */
export function sqliteTablePlace(table: KitTable): () => Promise<SinkPlace> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), "memento-sink-"));
    const path = join(folder, "kit.db");
    const address = JSON.stringify({ path, table });
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => withDatabase(path, table, (database) => readKit(database, table)),
      meddle: async (item, row) => withDatabase(path, table, (database) => meddle(database, table, item, row)),
      address,
      dispose: async () => await rm(folder, { recursive: true }),
    };
  };
}

function withDatabase<T>(path: string, table: KitTable, use: (database: DatabaseSync) => T): T {
  using database = new DatabaseSync(path);
  database.exec(table.sql);
  return use(database);
}

function readKit(database: DatabaseSync, { names }: KitTable): Map<string, KitRow> {
  const label = names
    .map((name) => (name === "id" ? `'id=' || json_quote(id)` : `'${name}=' || "${name}"`))
    .join(" || ', ' || ");
  const rows = database.prepare(`SELECT 'kit[' || ${label} || ']' AS item, id, amount, note FROM kit`).all();
  return new Map(
    rows.map(({ item, id, amount, note }) => [
      String(item),
      { id: String(id), amount: Number(amount), note: note === null ? null : String(note) },
    ]),
  );
}

function meddle(database: DatabaseSync, { names }: KitTable, item: string, row: KitRow | null): void {
  const [, text = ""] = /^kit\[(?:rowid|n|id)=([^,]*?)(?:, .*)?\]$/.exec(item) ?? [];
  const [name = ""] = names;
  const value = JSON.parse(text) as string | number;
  const updated =
    row === null
      ? database.prepare(`DELETE FROM kit WHERE "${name}" = ?`).run(value)
      : database
          .prepare(`UPDATE kit SET id = ?, amount = ?, note = ? WHERE "${name}" = ?`)
          .run(row.id, row.amount, row.note, value);
  if (row === null || updated.changes > 0) return;
  if (name === "id")
    database.prepare("INSERT INTO kit (id, amount, note) VALUES (?, ?, ?)").run(row.id, row.amount, row.note);
  else {
    database
      .prepare(`INSERT INTO kit ("${name}", id, amount, note) VALUES (?, ?, ?, ?)`)
      .run(value, row.id, row.amount, row.note);
  }
}
