import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { DuckDBInstance } from "@duckdb/node-api";
import { describe, expect, test } from "vitest";

import { by, gently, withSinks } from "../../../../../../test/workers/duckdb-sinks.ts";
import { systemClock } from "../../../core/ports.ts";
import { duckdbTable } from "./index.ts";

const HOLDER = fileURLToPath(new URL("../../../../../../test/workers/duckdb-holder.ts", import.meta.url));
const columns = { a: "INTEGER" };

/** Another process that has the file open until it is ended. */
async function holder(path: string, access: "READ_ONLY" | "READ_WRITE"): Promise<AsyncDisposable & { rows: string }> {
  const child = spawn(process.execPath, [HOLDER, path, access], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 60_000,
  });
  const ended = once(child, "close");
  const [said] = (await Promise.race([once(child.stdout, "data"), ended])) as [unknown];
  return {
    rows: String(said).trim(),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

describe("the file's lock", () => {
  test("that stays with another process is LOCKED after the timeout; one that is given back is waited for", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ mode: "append", columns });
      const { mark } = await sink.write([{ a: 1 }], by("t1"));
      await sink.close();
      {
        await using other = await holder(path, "READ_WRITE");
        expect(other.rows).toBe("1");
        await expect(open({ mode: "append" })).rejects.toMatchObject({
          code: "LOCKED",
          retryable: true,
          message: expect.stringContaining(path) as string,
        });
      }
      const patient = await open({ mode: "append", busyTimeoutMs: 30_000 });
      expect(await patient.mark()).toEqual(mark);
    });
  });

  test("is given back while the sink is open, for others to read in between", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ mode: "append", columns, holdMs: 0, busyTimeoutMs: 100 });
      await sink.write([{ a: 1 }, { a: 2 }], by("t1"));
      {
        await using reader = await holder(path, "READ_ONLY");
        expect(reader.rows).toBe("2");
        await expect(sink.write([{ a: 3 }], by("t2"))).rejects.toMatchObject({ code: "LOCKED" });
      }
      expect(await sink.write([{ a: 3 }], by("t2"))).toMatchObject({ rows: 1, duplicate: false });
    });
  });

  test("is shared by the sinks of a process, which take turns", async () => {
    await withSinks(async ({ open, query }) => {
      const sinks = await Promise.all(
        ["one", "two", "three"].map(async (timeline) => await open({ mode: "append", columns }, { timeline })),
      );
      await Promise.all(
        sinks.flatMap((sink) => [1, 2, 3].map(async (a) => await sink.write([{ a }, { a }], by(`t${a}`)))),
      );
      expect(await query("SELECT count(*), count(DISTINCT memento_row) FROM t")).toEqual([["18", "18"]]);
      await sinks[0]?.revertTo(null, by("r"), gently);
      expect(await query("SELECT count(*) FROM t")).toEqual([["12"]]);
    });
  });

  test("does not keep out its own process: a file that is open there past the sink is LOCKED, and its instance can be lent", async () => {
    await withSinks(async ({ path, open }) => {
      await (await open({ mode: "append", columns })).close();
      const instance = await DuckDBInstance.create(path);
      await expect(open({ mode: "append" })).rejects.toMatchObject({
        code: "LOCKED",
        hint: expect.stringContaining("instance") as string,
      });
      const sink = duckdbTable({ instance, table: "t", mode: "append" });
      await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal });
      const { mark } = await sink.write([{ a: 7 }], by("t1"));
      await sink.close();
      const connection = await instance.connect();
      expect((await connection.runAndReadAll("SELECT a FROM t")).getRows()).toEqual([[7]]);
      connection.closeSync();
      instance.closeSync();
      expect(await (await open({ mode: "append" })).mark()).toEqual(mark);
    });
  });

  test("of an instance in memory is refused", async () => {
    const instance = await DuckDBInstance.create(":memory:");
    const sink = duckdbTable({ instance, table: "t", mode: "append", columns });
    const context = { timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal };
    await expect(sink.open(context)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    instance.closeSync();
  });

  test("is not shared with other settings of the engine", async () => {
    await withSinks(async ({ path, open }) => {
      await open({ mode: "append", columns });
      const other = duckdbTable({ path, table: "t", mode: "append", settings: { threads: "2" } });
      const context = { timeline: "two", name: "out", clock: systemClock, signal: new AbortController().signal };
      await expect(other.open(context)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });
});

describe("a signal", () => {
  test("ends a write that is under way, and nothing of it is there", async () => {
    await withSinks(async ({ open, query }) => {
      const control = new AbortController();
      const sink = await open({ mode: "append", columns }, { signal: control.signal });
      const rows = Array.from({ length: 200_000 }, (_, a) => ({ a }));
      const write = sink.write(rows, by("t"));
      setImmediate(() => control.abort(new Error("enough")));
      await expect(write).rejects.toThrow("enough");
      expect(await query("SELECT count(*) FROM t")).toEqual([["0"]]);
      expect(await sink.write([{ a: 1 }], by("t"))).toMatchObject({ rows: 1, duplicate: false });
    });
  });
});

describe("onOpen", () => {
  test("may make the table, with the database in use", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({
        mode: "append",
        onOpen: async (connection) => {
          await connection.run("CREATE TABLE IF NOT EXISTS t (a INTEGER, memento_row BIGINT)");
        },
      });
      await sink.write([{ a: 1 }], by("t"));
      expect(await query("SELECT a FROM t")).toEqual([[1]]);
    });
  });
});
