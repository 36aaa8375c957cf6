import { readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { describe, expect, test } from "vitest";

import { publicData, readAll, withFile, withFolder } from "../../../../../../test/harness/source-reading.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { csvFile } from "../csv/csv-file.ts";
import { jsonFile } from "../json/json-file.ts";
import { jsonlFile } from "../json/jsonl-file.ts";
import { parquetFile } from "../parquet/parquet-file.ts";
import { recordsFile } from "../records-file.ts";
import type { Source } from "../source.ts";

const kinds = [
  ["csv-file", csvFile, "flights-airport.csv"],
  ["json-file", jsonFile, "flights-2k.json"],
  ["jsonl-file", jsonlFile, null],
  ["parquet-file", parquetFile, "flights-3m.parquet"],
] as const;

const context = { name: "input", clock: new ManualClock(), signal: new AbortController().signal };
const unstopped = (): AbortSignal => new AbortController().signal;

async function withInput<Result>(name: string | null, work: (file: string) => Promise<Result>): Promise<Result> {
  if (name !== null) return await work(publicData(name));
  return await withFile("1\n".repeat(5000), work);
}

/** How many handles this process has open on a file. */
async function openHandles(file: string): Promise<number> {
  const handles = await readdir("/proc/self/fd");
  const targets = await Promise.all(
    handles.map(async (handle) => await readlink(`/proc/self/fd/${handle}`).catch(() => "")),
  );
  return targets.filter((target) => target === file).length;
}

describe.each(kinds)("%s", (kind, make, input) => {
  const source = (file: string | URL): Source => make({ path: file });

  test("says what it is, and that its records are of schema version 1 unless it is told otherwise", () => {
    expect(source("some/file")).toMatchObject({ kind, schemaVersion: "1" });
    expect(source("some/file").describe()).toContain("some/file");
    expect(make({ path: "some/file", schemaVersion: "7" }).schemaVersion).toBe("7");
  });

  test("says INPUT_MISSING where there is no file, and reads it once it is there", async () => {
    await withFolder(async (folder) => {
      const missing = source(path.join(folder, "missing"));
      await expect(missing.open(context)).rejects.toMatchObject({ code: "INPUT_MISSING" });
      expect(await readAll(missing)).toMatchObject({ records: [], error: { code: "INPUT_MISSING" } });
      await expect(source("missing").open(context)).rejects.toThrow(`there is no file ${path.resolve("missing")}`);
      const inspection = await missing.inspect({}, {});
      expect(inspection).toMatchObject({ available: false, recordsBetween: 0 });
      expect(inspection.problem).toContain(folder);
      await writeFile(path.join(folder, "file"), "");
      const beneath = await readAll(source(path.join(folder, "file", "beneath")));
      expect(beneath.error).toMatchObject({ code: "INPUT_MISSING" });
    });
  });

  test("says IO_FAILED for a folder, a device, and a path that leads nowhere", async () => {
    await withFolder(async (folder) => {
      await expect(source(folder).open(context)).rejects.toMatchObject({
        code: "IO_FAILED",
        details: { path: folder },
      });
      expect((await readAll(source("/dev/null"))).error).toMatchObject({ code: "IO_FAILED" });
      expect(await source("/dev/null").inspect({}, {})).toMatchObject({ available: false });
      const loop = path.join(folder, "loop");
      await symlink(loop, loop);
      expect((await readAll(source(loop))).error).toMatchObject({ code: "IO_FAILED", details: { reason: "ELOOP" } });
    });
  });

  test("takes a file: URL, and no other", async () => {
    await withInput(input, async (file) => {
      await source(pathToFileURL(file)).open(context);
    });
    expect(() => source(new URL("https://example.org/x"))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test("closes the file when a read ends, is left early, or never goes on", async () => {
    await withInput(input, async (file) => {
      const one = source(file);
      const options = { from: {}, batchRecords: 10, signal: unstopped() };
      const reading = one.read(options)[Symbol.asyncIterator]();
      expect(await openHandles(file)).toBe(0);
      await reading.next();
      expect(await openHandles(file)).toBe(1);
      await reading.return?.();
      expect(await openHandles(file)).toBe(0);

      const left = one.read(options)[Symbol.asyncIterator]();
      await left.next();
      await one.close();
      await one.close();
      expect(await openHandles(file)).toBe(0);

      await one.inspect({}, {});
      expect(await openHandles(file)).toBe(0);
    });
  });

  test("stops with CANCELLED when its signal fires, and closes the file", async () => {
    await withInput(input, async (file) => {
      const stop = new AbortController();
      const batches: number[] = [];
      const reading = async (): Promise<void> => {
        for await (const { records } of source(file).read({ from: {}, batchRecords: 2000, signal: stop.signal })) {
          batches.push(records.length);
          stop.abort(new Error("enough"));
        }
      };
      // What was read with the first batch may be given, but nothing more is read.
      const outcome = await reading().catch((error: unknown) => error);
      if (outcome !== undefined) expect(outcome).toMatchObject({ code: "CANCELLED", cause: stop.signal.reason });
      expect(batches.length).toBeLessThanOrEqual(3);
      expect(await openHandles(file)).toBe(0);
      const late = await readAll(source(file), { signal: stop.signal });
      expect(late).toMatchObject({ records: [], error: { code: "CANCELLED" } });
    });
  });

  test("refuses offsets that are none of its own", async () => {
    await withInput(input, async (file) => {
      for (const from of [7, "x", { file: 1 }, { file: "x", byte: -1, record: 0 }, { file: "x", row: 0.5 }, []]) {
        expect((await readAll(source(file), { from })).error).toMatchObject({ code: "SOURCE_MOVED" });
        expect(await source(file).inspect({ "0": from }, {})).toMatchObject({ available: false, recordsBetween: null });
      }
      const partition = source(file).read({ from: { other: 1 }, batchRecords: 1, signal: unstopped() });
      await expect(partition[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "SOURCE_MOVED" });
      expect(await source(file).inspect({ other: 1 }, {})).toMatchObject({ available: false });
    });
  });

  test.each([0, -1, 1.5, Number.NaN])("refuses batches of %d records", async (batchRecords) => {
    await withInput(input, async (file) => {
      expect((await readAll(source(file), { batchRecords })).error).toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });

  test("counts the records between two offsets, also where the file is gone", async () => {
    await withInput(input, async (file) => {
      const one = source(file);
      const offsets: unknown[] = [];
      for await (const { offset } of one.read({ from: {}, batchRecords: 100, signal: unstopped() })) {
        if (offsets.push(offset) === 3) break;
      }
      const [a, b, c] = offsets as { file: string; byte: number; record: number }[];
      if (a === undefined || b === undefined || c === undefined) throw new Error("too few batches");
      expect(await one.inspect({ "0": a }, { "0": c })).toEqual({ available: true, problem: "", recordsBetween: 200 });
      expect(await one.inspect({}, { "0": b })).toEqual({ available: true, problem: "", recordsBetween: 200 });
      expect(await one.inspect({ "0": null }, {})).toEqual({ available: true, problem: "", recordsBetween: 0 });
      expect(await one.inspect({ "0": c }, { "0": a })).toEqual({ available: true, problem: "", recordsBetween: null });
      await withFolder(async (folder) => {
        const gone = source(path.join(folder, "gone"));
        expect(await gone.inspect({ "0": a }, { "0": b })).toMatchObject({ available: false, recordsBetween: 100 });
      });
    });
  });
});

describe("recordsFile()", () => {
  test.each([
    ["a.csv", "a,b\n1,2\n", { a: "1", b: "2" }],
    ["a.TSV", "a\tb\n1\t2\n", { a: "1", b: "2" }],
    ["a.json", '[{"a":1}]', { a: 1 }],
    ["a.jsonl", '{"a":1}\n', { a: 1 }],
    ["a.ndjson", '{"a":1}\n', { a: 1 }],
  ])("reads %s by its ending", async (name, content, record) => {
    await withFolder(async (folder) => {
      const file = path.join(folder, name);
      await writeFile(file, content);
      const source = recordsFile(file, { schemaVersion: "2" });
      expect(source.schemaVersion).toBe("2");
      expect((await readAll(source)).records).toEqual([record]);
      expect((await readAll(recordsFile(pathToFileURL(file)))).records).toEqual([record]);
      await rm(file);
    });
  });

  test("reads Parquet files, and refuses an ending that it does not know", () => {
    expect(recordsFile("x.parquet").kind).toBe("parquet-file");
    for (const name of ["x.xlsx", "x", ".csv"]) {
      expect(() => recordsFile(name)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });
});

describe("a record that cannot be read", () => {
  test.each([
    ["a.csv", 'a,b\n1,x"y\n', /^Mend the file: .* no stage/u],
    ["a.jsonl", "{]\n", /^Mend the file: .* no stage/u],
    ["a.json", '{"a":1}', /^Mend the file: .* no stage/u],
    ["b.csv", Buffer.from("a\ncaf\xe9\n", "latin1"), /encoding: "windows-1252"/u],
    ["b.jsonl", Buffer.from('{"a":"\xe9"}\n', "latin1"), /encoding: "windows-1252"/u],
  ])("has a way out that there is: no stage can set it aside (%s)", async (name, content, hint) => {
    await withFolder(async (folder) => {
      await writeFile(path.join(folder, name), content);
      const { error } = await readAll(recordsFile(path.join(folder, name)));
      expect(error).toMatchObject({ code: "RECORD_INVALID", hint: expect.stringMatching(hint) });
    });
  });
});

describe("a file for each run, named by a parameter", () => {
  test.each([
    ["a.csv", "n\n1\n", "b.csv", "n\n2\n3\n"],
    ["a.json", "[1]", "b.json", "[2,3]"],
  ])("is refused on one timeline, with a way out that takes back nothing of what was loaded (%s)", async (...named) => {
    await withFolder(async (folder) => {
      const [first, second] = [named[0], named[2]].map((name) => path.join(folder, name));
      if (first === undefined || second === undefined) throw new Error("two files are needed");
      await writeFile(first, named[1]);
      await writeFile(second, named[3]);
      const { offset } = await readAll(recordsFile(first));
      const { records, error } = await readAll(recordsFile(second), { from: offset });
      expect(records).toEqual([]);
      expect(error).toMatchObject({
        code: "SOURCE_MOVED",
        message: `${second} is not the file that was read before: another one is in its place, or this run names another one`,
        hint: expect.stringMatching(/partition.*folderFiles/u),
      });
    });
  });
});
