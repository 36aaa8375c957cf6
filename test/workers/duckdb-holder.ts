/** Opens a DuckDB file, says how many rows its table `t` has, and keeps it open until the process ends. */
import { writeSync } from "node:fs";
import process from "node:process";

import { DuckDBInstance } from "@duckdb/node-api";

const [path = "", access = "READ_WRITE"] = process.argv.slice(2);
const instance = await DuckDBInstance.create(path, { access_mode: access, threads: "1" });
const connection = await instance.connect();
const reader = await connection.runAndReadAll("SELECT count(*) FROM t");
writeSync(1, `${String(reader.getRows()[0]?.[0])}\n`);
setInterval(() => instance, 1_000);
