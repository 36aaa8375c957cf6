import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterAll, describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { RetryOptions } from "../pipeline/retry.ts";
import type { StageContext } from "../pipeline/stage.ts";
import { memorySink, MemoryTable, sqliteTable, type Sink } from "../sinks/index.ts";

const folder = mkdtempSync(path.join(tmpdir(), "memento-writes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A sink into memory whose writes take their time; `before` may throw before one, `after` when its rows are in. */
function slow(
  table: MemoryTable<Row>,
  hooks: { before?: (rows: readonly Row[]) => void; after?: (rows: readonly Row[]) => void } = {},
): Sink<Row> {
  const sink = memorySink<Row>({ table });
  const write = sink.write.bind(sink);
  return Object.assign(sink, {
    write: async (...[rows, right]: Parameters<typeof write>) => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => void setImmediate(resolve));
      hooks.before?.(rows);
      const written = await write(rows, right);
      hooks.after?.(rows);
      return written;
    },
  });
}

interface Writing {
  readonly sink: () => Sink<Row>;
  readonly run: (context: StageContext) => Promise<unknown>;
  readonly retry?: RetryOptions;
}

const writing = ({ sink, run, retry }: Writing): Pipeline =>
  definePipeline({
    name: "writing",
    version: "1",
    batchRecords: 5,
    checkpoint: { records: 5 },
    sources: { numbers: () => numbers(20) },
    sinks: { out: sink },
    stages: (stage) => [
      stage.task("write", retry === undefined ? {} : { retry }, async (context) => await run(context)),
    ],
  });

const eachAlone = async (context: StageContext, rows: readonly unknown[]): Promise<void> => {
  await Promise.all(rows.map(async (row) => await context.write("out", [row])));
};
const five = upTo(5).map((n) => ({ n }));

describe("writes of one stage at once", () => {
  test("into memory: each is written", async () => {
    const { memento, data } = await bench();
    const pipeline = writing({ sink: () => slow(data), run: async (context) => await eachAlone(context, five) });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(data.rows.map(({ n }) => n)).toEqual(upTo(5));
  });

  test("into SQLite: each is written", async () => {
    const { memento } = await bench();
    const file = path.join(folder, "rows.db");
    const sink = (): Sink<Row> =>
      sqliteTable<Row>({ path: file, table: "t", mode: "append", columns: { n: "INTEGER" } });
    await memento.run(writing({ sink, run: async (context) => await eachAlone(context, five) }));
    using database = new DatabaseSync(file);
    expect(database.prepare("SELECT n FROM t ORDER BY rowid").all()).toEqual(five);
  });

  test("in every batch, and a run that is cut short in its midst: each record once", async () => {
    for (let failAt = 1; failAt <= 20; failAt += 3) {
      const { memento, data } = await bench();
      let armed = true;
      const after = (rows: readonly Row[]): void => {
        if (!armed || rows[0]?.n !== failAt) return;
        armed = false;
        throw new Error("the cable is out");
      };
      const pipeline = writing({
        sink: () => slow(data, { after }),
        run: async (context) => {
          for await (const { records } of context.read("numbers")) await eachAlone(context, records);
        },
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
      expect(rowsOf(data)).toEqual(upTo(20));
    }
  });

  test("what waits for its turn is what was handed over", async () => {
    const { memento, data } = await bench();
    const run = async (context: StageContext): Promise<void> => {
      const rows: Row[] = [];
      const writes: Promise<void>[] = [];
      for (const row of five) {
        rows.push(row);
        writes.push(context.write("out", rows.splice(0)));
      }
      const last = [{ n: 6 }];
      writes.push(context.write("out", last));
      last.length = 0;
      await Promise.all(writes);
    };
    await memento.run(writing({ sink: () => slow(data), run }));
    expect(rowsOf(data)).toEqual(upTo(6));
  });

  test("behind one that failed none is written under its token, and behind rows that were refused all are", async () => {
    const { memento, data } = await bench();
    const outcomes: string[] = [];
    const refusing = async (context: StageContext): Promise<void> => {
      const rows = [{ n: 1 }, { n: 2, odd: () => 2 }, { n: 3 }];
      const settled = await Promise.allSettled(rows.map(async (row) => await context.write("out", [row])));
      outcomes.push(...settled.map(({ status }) => status));
    };
    await memento.run(writing({ sink: () => slow(data), run: refusing }));
    expect(outcomes).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(rowsOf(data)).toEqual([1, 3]);
    const other = new MemoryTable<Row>();
    let armed = true;
    const after = (rows: readonly Row[]): void => {
      if (!armed || rows[0]?.n !== 2) return;
      armed = false;
      throw new Error("the cable is out");
    };
    const lost: string[] = [];
    const failing = async (context: StageContext): Promise<void> => {
      const settled = await Promise.allSettled(five.map(async (row) => await context.write("out", [row])));
      for (const each of settled) if (each.status === "rejected") lost.push(String(each.reason));
      if (settled.some(({ status }) => status === "rejected")) throw new Error("once more");
    };
    const retry = { attempts: 2, initialMs: 1 };
    await memento.run(writing({ sink: () => slow(other, { after }), run: failing, retry }), { fresh: true });
    expect(lost).toEqual(Array.from({ length: 4 }, () => "Error: the cable is out"));
    expect(rowsOf(other)).toEqual(upTo(5));
  });
});

describe("a write that nobody waited for", () => {
  test("belongs to the stage, and to the batch that it was made in", async () => {
    const { memento, data, events, onEvent } = await bench();
    let armed = true;
    const after = (rows: readonly Row[]): void => {
      if (rows[0]?.n === 11 && armed) throw new Error("the cable is out");
    };
    const failed: unknown[] = [];
    const run = async (context: StageContext): Promise<void> => {
      for await (const { records } of context.read("numbers"))
        context.write("out", records).catch((error: unknown) => failed.push(error));
      context.write("out", [{ n: 21 }]).catch((error: unknown) => failed.push(error));
    };
    const pipeline = writing({ sink: () => slow(data, { after }), run });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(failed).toHaveLength(1);
    armed = false;
    expect(await memento.run(pipeline)).toMatchObject({ recordsReadAgain: 5 });
    expect(rowsOf(data)).toEqual(upTo(21));
    // The next run finds nothing that no memento covers.
    await memento.run(pipeline, { onEvent });
    expect(events.filter(({ type }) => type === "sink-reverted")).toEqual([]);
  });

  test("fails the stage where it fails", async () => {
    const { memento, data } = await bench();
    const before = (): void => {
      throw new Error("the disk is full");
    };
    const run = async (context: StageContext): Promise<string> => {
      context.write("out", five).catch(() => undefined);
      return "done";
    };
    await expect(memento.run(writing({ sink: () => slow(data, { before }), run }))).rejects.toMatchObject({
      code: "STAGE_FAILED",
      message: "Stage write of pipeline writing failed: the disk is full",
    });
  });
});
