import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import type { Sink, SinkContext } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import { sqliteTable, type SqliteTableOptions } from "../../packages/memento/src/orchestrator/sinks/sqlite/index.ts";

type Row = Readonly<Record<string, unknown>>;

/** A database file in a folder of its own, and sinks onto it. */
export interface SqliteSinks {
  readonly folder: string;
  readonly path: string;
  /** A sink onto the table `t` that is open; closed after the test. */
  open(options: Omit<SqliteTableOptions, "path" | "table">, context?: Partial<SinkContext>): Promise<Sink<Row>>;
  /** Runs SQL on the file past the sinks. */
  exec(sql: string): void;
  /** Every row that a query gives, each as an array; integers as bigint. */
  query(sql: string): SQLOutputValue[][];
}

/** Lends a place for sinks; it is taken away afterwards. */
export async function withSinks(run: (sinks: SqliteSinks) => Promise<void>): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "memento-sink-"));
  lent.defer(async () => await rm(folder, { recursive: true }));
  const path = join(folder, "target.db");
  const signal = new AbortController().signal;
  await run({
    folder,
    path,
    open: async (options, context = {}) => {
      const sink = sqliteTable({ path, table: "t", busyTimeoutMs: 50, ...options });
      lent.defer(async () => await sink.close());
      await sink.open({ timeline: "one", name: "out", clock: systemClock, signal, ...context });
      return sink;
    },
    exec: (sql) => {
      using database = new DatabaseSync(path);
      database.exec(sql);
    },
    query: (sql) => {
      using database = new DatabaseSync(path);
      const statement = database.prepare(sql);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      return statement.all() as unknown as SQLOutputValue[][];
    },
  });
}

/** The right and the identity of a write of a test. */
export function by(token: string): { epoch: number; token: string } {
  return { epoch: 1, token };
}

/** How a test reverts. */
export const gently = { force: false } as const;
