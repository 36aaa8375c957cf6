import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

import type { DuckDBConnection } from "@duckdb/node-api";
import { describe, expect, test } from "vitest";

import { by, startWriter, withSinks } from "../../../../../../test/workers/duckdb-sinks.ts";

const HOLDER = fileURLToPath(new URL("../../../../../../test/workers/duckdb-holder.ts", import.meta.url));
const options = { mode: "upsert", columns: { id: "VARCHAR", note: "VARCHAR" }, key: "id" } as const;

describe("a checkpoint in the middle of a run", () => {
  const onLongLog = { settings: { threads: "1", wal_autocheckpoint: "100KB" }, holdMs: 600_000 } as const;

  test("is done where the log is longer than the setting says, and keeps the lock", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ ...options, ...onLongLog });
      for (const token of ["t1", "t2"]) {
        await sink.write([{ id: "x", note: token.repeat(100_000) }], by(token));
        expect(existsSync(`${path}.wal`)).toBe(false);
      }
      const other = spawn(process.execPath, [HOLDER, path], { stdio: ["ignore", "ignore", "pipe"] });
      const [said] = (await once(other.stderr, "data")) as [Buffer];
      await once(other, "close");
      expect(said.toString()).toContain("Could not set lock");
    });
  });

  test("that fails leaves what was written in the log", async () => {
    await withSinks(async ({ open }) => {
      const onOpen = async (connection: DuckDBConnection): Promise<void> => {
        await connection.run("SET GLOBAL debug_checkpoint_abort = 'before_header_non_fatal'");
      };
      const sink = await open({ ...options, ...onLongLog, onOpen });
      const row = { id: "x", note: "x".repeat(200_000) };
      await expect(sink.write([row], by("t1"))).rejects.toMatchObject({ code: "IO_FAILED" });
      expect(await sink.write([row], by("t1"))).toMatchObject({ duplicate: true });
    });
  });
});

describe("a log that a killed worker has left", () => {
  test.each([
    ["reads", "SELECT 1"],
    ["writes little elsewhere", "CREATE TABLE other AS SELECT 1"],
    ["writes much elsewhere", "CREATE TABLE other AS SELECT i FROM range(5_000_000) r(i)"],
  ])("is brought into every index by whoever comes next and %s", async (_, sql) => {
    await withSinks(async ({ path, open, exec, query }) => {
      await exec("CREATE TABLE t (id VARCHAR, note VARCHAR)");
      await exec("CREATE UNIQUE INDEX by_id ON t (id)");
      const writer = startWriter(path, "new");
      await writer.written;
      await writer.kill();
      expect(existsSync(`${path}.wal`)).toBe(true);
      await exec(sql);
      const sink = await open(options);
      await sink.write([{ id: "new", note: "t1" }], by("t1"));
      await sink.close();
      expect(await query("SELECT note FROM t WHERE id = 'new'")).toEqual([["t1"]]);
      expect(await query("SELECT id, note FROM t")).toEqual([["new", "t1"]]);
    });
  });
});
