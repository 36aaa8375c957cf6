import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import { DuckdbFile } from "../../packages/memento/src/orchestrator/sinks/duckdb/file.ts";
import { duckdbTable } from "../../packages/memento/src/orchestrator/sinks/duckdb/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** A table that the sink kit is run on. */
export interface KitTable {
  readonly mode: "append" | "upsert";
  /** What makes the table; it has the columns id, amount and note. */
  readonly sql: string;
  readonly key?: string | readonly string[];
  /** The column that names a row, as the sink's users are told. */
  readonly name: "memento_row" | "id";
}

/** What statement-by-statement kills leave out: reads, and temporary tables, which change nothing on disk. */
const READS = /^\s*(?:SELECT|SET|USE|ROLLBACK|CREATE OR REPLACE TEMP|DROP TABLE temp\.)/i;

/** What a worker process of the sink kit opens: it waits for the file. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { holdMs } = JSON.parse(address) as { holdMs: number };
  return openedBy(address, step, { holdMs, busyTimeoutMs: 10_000 });
}

/** How the test's own process holds the file: long enough that a test is not spent on opening it. */
const OWN = { holdMs: 20, busyTimeoutMs: 100 } as const;

function openedBy(
  address: string,
  step: () => void,
  times: { readonly holdMs: number; readonly busyTimeoutMs: number },
): Sink<KitRow> {
  const { path, table } = JSON.parse(address) as { path: string; table: KitTable };
  return duckdbTable<KitRow>({
    path,
    settings: { threads: "1" },
    ...times,
    table: "kit",
    mode: table.mode,
    ...(table.key === undefined ? {} : { key: table.key }),
    onOpen: async (connection) => {
      await connection.run(table.sql);
      countStatements(connection, step);
    },
  });
}

/** Makes the connection call `step` before each statement that changes something, the commit among them. */
function countStatements(connection: DuckDBConnection, step: () => void): void {
  const run = connection.run.bind(connection);
  const runAndReadAll = connection.runAndReadAll.bind(connection);
  connection.run = async (sql, ...rest) => {
    if (!READS.test(sql)) step();
    return await run(sql, ...rest);
  };
  connection.runAndReadAll = async (sql, ...rest) => {
    if (!READS.test(sql)) step();
    return await runAndReadAll(sql, ...rest);
  };
}

/** Makes places of the sink kit: a database in a temporary folder of its own, which workers let go of after `holdMs`. */
export function duckdbTablePlace(table: KitTable, holdMs: number): () => Promise<SinkPlace> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), "memento-sink-"));
    const path = join(folder, "kit.duckdb");
    const address = JSON.stringify({ path, table, holdMs });
    return {
      sink: () => openedBy(address, () => undefined, OWN),
      read: async () => await withDuckdb(path, async (connection) => await readKit(connection, table)),
      meddle: async (item, row) =>
        await withDuckdb(path, async (connection) => await meddle(connection, table, item, row)),
      address,
      dispose: async () => await rm(folder, { recursive: true }),
    };
  };
}

/** Uses a DuckDB file past its sinks, as another program would, in their process's instance. */
export async function withDuckdb<T>(path: string, work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const file = DuckdbFile.share(path, { threads: "1" });
  const signal = new AbortController().signal;
  try {
    const use = { ...OWN, clock: systemClock, signal, busyTimeoutMs: 20_000, mayCreate: true };
    return await file.use(use, async ({ instance, catalog }) => {
      const connection = await instance.connect();
      try {
        await connection.run(`USE ${catalog}`);
        return await work(connection);
      } finally {
        connection.closeSync();
      }
    });
  } finally {
    await file.release();
  }
}

async function readKit(connection: DuckDBConnection, { sql, name }: KitTable): Promise<Map<string, KitRow>> {
  await connection.run(sql);
  const rows = (await connection.runAndReadAll("SELECT * FROM kit")).getRowObjects();
  const label = (value: DuckDBValue | undefined): string =>
    typeof value === "string" ? JSON.stringify(value) : String(value);
  return new Map(
    rows.map((row) => [
      `kit[${name}=${label(row[name])}]`,
      {
        id: String(row["id"]),
        amount: Number(row["amount"]),
        note: row["note"] === null ? null : String(row["note"]),
      },
    ]),
  );
}

async function meddle(
  connection: DuckDBConnection,
  { name }: KitTable,
  item: string,
  row: KitRow | null,
): Promise<void> {
  const [, text = ""] = /^kit\[(?:memento_row|id)=(.*)\]$/.exec(item) ?? [];
  const named = JSON.parse(text) as string | number;
  const value = typeof named === "number" ? BigInt(named) : named;
  if (row === null) {
    await connection.run(`DELETE FROM kit WHERE ${name} = $1`, [value]);
    return;
  }
  const { id, amount, note } = row;
  const set = name === "id" ? "amount = $2, note = $3" : "id = $4, amount = $2, note = $3";
  const updated = await connection.run(
    `UPDATE kit SET ${set} WHERE ${name} = $1`,
    name === "id" ? [value, amount, note] : [value, amount, note, id],
  );
  if (updated.rowsChanged > 0) return;
  if (name === "id") await connection.run("INSERT INTO kit (id, amount, note) VALUES ($1, $2, $3)", [id, amount, note]);
  else {
    await connection.run("INSERT INTO kit (memento_row, id, amount, note) VALUES ($1, $2, $3, $4)", [
      value,
      id,
      amount,
      note,
    ]);
  }
}
