import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import type { Json } from "@duckdb/node-api";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import {
  duckdbTable,
  type DuckdbTableOptions,
  type DuckdbTableSettings,
} from "../../packages/memento/src/orchestrator/sinks/duckdb/index.ts";
import type { Sink, SinkContext } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import { withDuckdb } from "./duckdb-table.ts";

type DuckdbFilePlace = Extract<DuckdbTableOptions, { readonly path: string }>;
type Row = Readonly<Record<string, unknown>>;

/** A DuckDB file in a folder of its own, and sinks onto it. */
export interface DuckdbSinks {
  readonly folder: string;
  readonly path: string;
  /** A sink onto the table `t` that is open; closed after the test. */
  open(
    options: Omit<DuckdbTableSettings, "table"> & Pick<DuckdbFilePlace, "holdMs" | "settings">,
    context?: Partial<SinkContext>,
  ): Promise<Sink<Row>>;
  /** Runs SQL on the file past the sinks, in their process's instance. */
  exec(sql: string): Promise<void>;
  /** Every row that a query gives, each as an array of JSON values: whole numbers of 64 bits are text. */
  query(sql: string): Promise<Json[][]>;
}

/** Lends a place for sinks; it is taken away afterwards. */
export async function withSinks(run: (sinks: DuckdbSinks) => Promise<void>): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "memento-sink-"));
  lent.defer(async () => await rm(folder, { recursive: true }));
  const path = join(folder, "target.duckdb");
  const signal = new AbortController().signal;
  await run({
    folder,
    path,
    open: async (options, context = {}) => {
      const sink = duckdbTable({
        path,
        settings: { threads: "1" },
        table: "t",
        busyTimeoutMs: 50,
        holdMs: 20,
        ...options,
      });
      lent.defer(async () => await sink.close());
      await sink.open({ timeline: "one", name: "out", clock: systemClock, signal, ...context });
      return sink;
    },
    exec: async (sql) => void (await withDuckdb(path, async (connection) => await connection.run(sql))),
    query: async (sql) =>
      await withDuckdb(path, async (connection) => (await connection.runAndReadAll(sql)).getRowsJson()),
  });
}

const WRITER = fileURLToPath(new URL("duckdb-writer.ts", import.meta.url));

/** Another process, which writes the row `id` into the table `t` and has the file open until it is told to close it, or killed. */
export interface Writer {
  /** Resolves once the row is committed. */
  readonly written: Promise<unknown>;
  /** Gives the exit code. */
  close(): Promise<number | null>;
  kill(): Promise<void>;
}

export function startWriter(path: string, id: string): Writer {
  const child = spawn(process.execPath, [WRITER, path, id], { stdio: ["pipe", "pipe", "inherit"], timeout: 60_000 });
  const ended = once(child, "close") as Promise<[code: number | null]>;
  return {
    written: Promise.race([once(child.stdout, "data"), ended]),
    close: async () => {
      child.stdin.end();
      return (await ended)[0];
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The right and the identity of a write of a test. */
export function by(token: string): { epoch: number; token: string } {
  return { epoch: 1, token };
}

/** How a test reverts. */
export const gently = { force: false } as const;
