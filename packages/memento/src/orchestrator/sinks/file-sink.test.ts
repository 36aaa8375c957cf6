import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { DuckDBInstance } from "@duckdb/node-api";
import { describe, expect, onTestFinished, test } from "vitest";

import { bench, load, type Row } from "../../../../../test/harness/number-runs.ts";
import { systemClock } from "../../core/ports.ts";
import { fromFunction } from "../credentials/index.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { compensatingCalls } from "./compensate/index.ts";
import { duckdbTable } from "./duckdb/index.ts";
import type { Sink } from "./sink.ts";
import { sqliteTable } from "./sqlite/index.ts";

const sinks: Record<string, (file: string) => Sink<Row>> = {
  sqliteTable: (file) => sqliteTable<Row>({ path: file, table: "rows", columns: { n: "INTEGER" }, mode: "append" }),
  duckdbTable: (file) => duckdbTable<Row>({ path: file, table: "rows", columns: { n: "INTEGER" }, mode: "append" }),
  compensatingCalls: (journal) =>
    compensatingCalls<Row>({ name: "far", journal, write: async () => null, compensate: async () => undefined }),
};

function newFile(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "memento-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, "rows.db");
}

describe.each(Object.entries(sinks))("%s(): a database that is not there", (_, sinkInto) => {
  test("is not made by who only looks, and by the first call that writes", async () => {
    const file = newFile();
    const context = {
      timeline: "t",
      name: "rows",
      clock: systemClock,
      signal: new AbortController().signal,
      madeByWrites: true,
    };
    const sink = sinkInto(file);
    await sink.open(context);
    expect([await sink.place(), await sink.mark()]).toEqual(["", null]);
    expect(await sink.inspect(null)).toMatchObject({ remove: 0, restore: 0, foreignTotal: 0, trimmed: false });
    await expect(sink.inspect({ position: 3 })).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
    await sink.trim(null);
    expect(existsSync(file)).toBe(false);
    await sink.fence(1);
    expect(existsSync(file)).toBe(true);
    await sink.write([{ n: 1 }], { epoch: 1, token: "a" });
    const inspection = await sink.inspect(null);
    expect(inspection.remove).toBe(1);
    const other = sinkInto(file);
    await other.open(context);
    expect([await other.place(), await other.mark()]).toEqual([await sink.place(), await sink.mark()]);
    for (const each of [sink, other]) await each.close();
  });

  test("P6: is made neither by a plan nor by a run that is refused for it", async () => {
    const [all, file] = [await bench(), newFile()];
    await all.memento.run(load(() => sinkInto(file), { count: 20 }));
    const before = (n: number): void => {
      if (n === 65) throw new Error("the power is gone");
    };
    const failing = load(() => sinkInto(file), { before });
    await expect(all.memento.run(failing)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    renameSync(file, `${file}.aside`);
    const pipeline = load(() => sinkInto(file));
    await expect(all.memento.run(pipeline)).rejects.toMatchObject({ code: "SINK_MOVED" });
    for await (const { id } of all.memento.history(pipeline))
      expect(await all.memento.plan(pipeline, id)).toMatchObject({ refused: ["table"] });
    expect(existsSync(file)).toBe(false);
    renameSync(`${file}.aside`, file);
    expect(await all.memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
  });
});

test("P4: what fails as a database is made says nothing of the run's credentials", async () => {
  const { memento } = await bench();
  const onOpen = (secret: string) => (): never => {
    throw new Error(`login failed with ${secret}`);
  };
  const pipeline = definePipeline({
    name: "load",
    version: "1",
    credentials: { door: fromFunction("door", async () => "hunter2-secret") },
    sinks: {
      rows: ({ credentials }) =>
        sqliteTable({ path: newFile(), table: "rows", mode: "append", onOpen: onOpen(credentials.door.value) }),
    },
    stages: (stage) => [stage.task("load", () => 1)],
  });
  await expect(memento.run(pipeline)).rejects.toMatchObject({
    message: expect.not.stringContaining("hunter2") as string,
  });
});

test("a database that is named by a URI is found again by a run that is resumed", async () => {
  const [all, file] = [await bench(), newFile()];
  const uri = `file:${file}`;
  const into = (): Sink<Row> => sqliteTable({ path: uri, table: "rows", columns: { n: "INTEGER" }, mode: "append" });
  const before = (n: number): void => {
    if (n === 65) throw new Error("the power is gone");
  };
  await expect(all.memento.run(load(into, { before }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
  expect(await all.memento.run(load(into))).toMatchObject({ status: "completed", resumed: true });
});

/** Does something in a database file as another program would. */
const others: Record<string, (file: string, sql: string) => Promise<unknown>> = {
  sqliteTable: async (file, sql) => {
    const database = new DatabaseSync(file);
    try {
      return await Promise.resolve(database.prepare(sql).all()[0]?.["n"]);
    } finally {
      database.close();
    }
  },
  duckdbTable: async (file, sql) => {
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    try {
      return Number((await connection.runAndReadAll(sql)).getRowObjects()[0]?.["n"]);
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  },
};

describe.each(Object.entries(others))("%s(): a table that was renamed or dropped", (kind, exec) => {
  test("P6: a run does not go on without it, and a plan makes none in its place", async () => {
    const [{ memento }, file] = [await bench(), newFile()];
    let broken = true;
    const before = (n: number): void => {
      if (broken && n === 55) throw new Error("the power is gone");
    };
    const into = load(() => sinks[kind]?.(file) as Sink<Row>, { before });
    const count = async (): Promise<unknown> => await exec(file, "SELECT count(*) AS n FROM rows");
    await expect(memento.run(into)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    broken = false;
    const written = await count();
    await exec(file, "ALTER TABLE rows RENAME TO away");
    await expect(memento.run(into)).rejects.toMatchObject({ code: "SINK_MOVED" });
    expect((await memento.plan(into, "start")).sinks).toMatchObject([
      { verdict: "unchanged" },
      { verdict: "elsewhere" },
    ]);
    await exec(file, "ALTER TABLE away RENAME TO rows");
    expect(await count()).toBe(written);
    expect(await memento.run(into)).toMatchObject({ status: "completed", resumed: true });
    expect(await count()).toBe(95);
    await exec(file, "DROP TABLE rows");
    const { hash } = await memento.plan(into, "start");
    await memento.rollback(into, "start", { plan: hash, force: ["table"] });
    expect(await memento.run(into)).toMatchObject({ status: "completed" });
    expect(await count()).toBe(95);
  });
});
