/**
 * Writes one row through a DuckDB sink that upserts into the table `t` by `id`, says so, and waits to be ended: by SIGKILL while it
 * has the file open, or by the end of its input, upon which it closes the sink.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { systemClock } from "../../packages/memento/src/core/ports.ts";
import { duckdbTable } from "../../packages/memento/src/orchestrator/sinks/duckdb/index.ts";

const [path = "", id = ""] = process.argv.slice(2);
const sink = duckdbTable({
  path,
  settings: { threads: "1" },
  table: "t",
  mode: "upsert",
  columns: { id: "VARCHAR", note: "VARCHAR" },
  key: "id",
  holdMs: 600_000,
});
await sink.open({ timeline: id, name: "out", clock: systemClock, signal: new AbortController().signal });
await sink.write([{ id, note: "writer" }], { epoch: 1, token: "w" });
writeSync(1, "written\n");
for await (const _ of process.stdin);
await sink.close();
