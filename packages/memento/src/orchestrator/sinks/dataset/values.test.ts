import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

import { describe, expect, test } from "vitest";

import { by, codeOf, keep, type Row, withFolder } from "../../../../../../test/harness/dataset-loan.ts";
import { readAll } from "../../../../../../test/harness/source-reading.ts";
import { jsonlFile, recordsFile } from "../../sources/index.ts";
import { type DatasetFolderOptions, readDataset } from "./index.ts";

type Options = Partial<DatasetFolderOptions> & Pick<DatasetFolderOptions, "format">;

const values: Row = {
  text: 'a "quoted", line\r\nand ünï😀',
  empty: "",
  number: 0.1,
  whole: 9_007_199_254_740_993n,
  yes: true,
  at: new Date("2026-02-03T04:05:06.789Z"),
  bytes: Uint8Array.of(0, 255, 7),
  plain: { list: [1, null, "x"], large: 9_007_199_254_740_993n },
  nothing: null,
};
const columns = {
  text: "string",
  empty: "string",
  number: "number",
  whole: "integer",
  yes: "boolean",
  at: "timestamp",
  bytes: "bytes",
  plain: "json",
  nothing: "string",
} as const;

describe("values", () => {
  test("Parquet keeps every type as it is, also when files are merged", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "parquet", columns, mergeFiles: 2 });
      await sink.write([values, {}], by());
      await sink.write([values], by());
      const { files } = await readDataset(folder);
      expect(files.map(({ rows }) => rows)).toEqual([3]);
      const { parquetReadObjects, parquetMetadata } = await import("hyparquet");
      const { parquetCodecs } = await import("../../sources/parquet/parquet-codecs.ts");
      const content = await readFile(files[0]?.path ?? "");
      const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength);
      const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
      const read = { file, compressors: parquetCodecs, utf8: false, parsers: { jsonFromBytes: text } };
      const plain = '{"list":[1,null,"x"],"large":9007199254740993}';
      const nothing = Object.fromEntries(Object.keys(columns).map((name) => [name, null]));
      const found = (await parquetReadObjects(read)).map((row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, (value as unknown) ?? null])),
      );
      expect(found).toEqual([{ ...values, plain }, nothing, { ...values, plain }]);
      const types = parquetMetadata(file)
        .schema.slice(1)
        .map(({ name, converted_type: type }) => [name, type]);
      expect(Object.fromEntries(types)).toMatchObject({ text: "UTF8", plain: "JSON", at: "TIMESTAMP_MILLIS" });
    });
  });

  test("CSV follows RFC 4180, tells null from empty text, and has one header in each file", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "csv", columns, mergeFiles: 2 });
      await sink.write([values], by());
      await sink.write([{}], by());
      const { files } = await readDataset(folder);
      const plain = '"{""list"":[1,null,""x""],""large"":9007199254740993}"';
      expect(await readFile(files[0]?.path ?? "", "utf8")).toBe(
        `${Object.keys(columns).join(",")}\r\n` +
          `"a ""quoted"", line\r\nand ünï😀","",0.1,9007199254740993,true,2026-02-03T04:05:06.789Z,AP8H,${plain},\r\n` +
          ",,,,,,,,\r\n",
      );
    });
  });

  test("JSONL takes rows of any shape, and keeps large integers in digits", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl" });
      await sink.write([values, { other: [{ deep: -0 }] }], by());
      const { files, columns: fixed } = await readDataset(folder);
      expect(fixed).toBeNull();
      expect(await readFile(files[0]?.path ?? "", "utf8")).toBe(
        `{"text":${JSON.stringify(values["text"])},"empty":"","number":0.1,"whole":9007199254740993,"yes":true,` +
          '"at":"2026-02-03T04:05:06.789Z","bytes":"AP8H","plain":{"list":[1,null,"x"],"large":9007199254740993},"nothing":null}\n' +
          '{"other":[{"deep":-0.0}]}\n',
      );
    });
  });

  test("JSONL gives floats back as floats, and whole numbers as whole numbers, to our own reader", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl", columns: { n: "number", i: "integer", j: "json" } });
      const rows = [2 ** 53, 1e20, -1.5e300, -0, 9007199254740991].map((n) => ({ n, i: 2n ** 62n, j: [n, 2n ** 70n] }));
      await sink.write(rows, by());
      const { files } = await readDataset(folder);
      expect((await readAll(jsonlFile({ path: files[0]?.path ?? "" }))).records).toEqual(rows);
    });
  });

  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  test.each<[string, Options, unknown, string]>([
    [
      "NaN in CSV",
      { format: "csv", columns: { a: "number", b: "json" } },
      { a: Number.NaN },
      "UNSUPPORTED_VALUE rows[1].a is NaN",
    ],
    [
      "a lone surrogate",
      { format: "parquet", columns: { a: "string" } },
      { a: "\ud800" },
      "UNSUPPORTED_VALUE rows[1].a",
    ],
    ["a cycle", { format: "jsonl" }, cycle, "UNSUPPORTED_VALUE rows[1]"],
    ["an instance of a class", { format: "jsonl" }, { a: new Map() }, "UNSUPPORTED_VALUE rows[1].a"],
    ["a symbol", { format: "parquet", columns: { a: "json" } }, { a: Symbol("s") }, "UNSUPPORTED_VALUE rows[1].a"],
    [
      "another type",
      { format: "parquet", columns: { a: "integer" } },
      { a: 0.5 },
      "RECORD_INVALID rows[1].a is not of",
    ],
    [
      "an unknown column",
      { format: "csv", columns: { a: "json", c: "json" } },
      { b: 1 },
      "RECORD_INVALID rows[1].b is no column",
    ],
    ["a list", { format: "jsonl" }, [1], "RECORD_INVALID rows[1] is not an object"],
  ])("refuses %s and leaves nothing behind", async (_name, options, bad, message) => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open(options);
      expect(await codeOf(() => sink.write([{}, bad as Row], by()))).toContain(message);
      expect(await readdir(path.join(folder, "files"))).toEqual([]);
      expect(await sink.mark()).toBeNull();
    });
  });
});

test("CSV of one column refuses null: its line would be empty, and readers would find a row less", async () => {
  await withFolder(async ({ folder, open }) => {
    const sink = await open({ format: "csv", columns: { a: "string" } });
    expect(await codeOf(() => sink.write([{ a: "x" }, { a: null }], by()))).toContain(
      "UNSUPPORTED_VALUE rows[1].a is null",
    );
    await sink.write([{ a: "x" }, { a: "" }], by());
    const { files, rows } = await readDataset(folder);
    expect(rows).toBe(2);
    expect((await readAll(recordsFile(files[0]?.path ?? ""))).records).toEqual([{ a: "x" }, { a: "" }]);
  });
});

describe("columns", () => {
  test.each(["parquet", "csv", "jsonl"] as const)("of %s may be named like what every object has", async (format) => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format });
      const named = Object.fromEntries(["constructor", "toString", "__proto__", "id"].map((name) => [name, name]));
      await sink.write([named, { id: "none" }], by());
      const { files, rows: count, columns: made } = await readDataset(folder);
      expect(count).toBe(2);
      if (format !== "jsonl") expect(Object.keys(made ?? {})).toEqual(Object.keys(named));
      const { records } = await readAll(recordsFile<Row>(files[0]?.path ?? ""));
      expect(records.map((row) => Object.entries(row).filter(([, value]) => value !== null && value !== ""))).toEqual([
        Object.entries(named),
        [["id", "none"]],
      ]);
    });
  });

  test("are those of the first batch, and stay", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "parquet" });
      expect(await codeOf(() => sink.write([{ a: 1, b: null }], by()))).toContain("column b holds nothing");
      await sink.write([{ a: 1 }, { a: null, b: 2n }], by());
      expect((await readDataset(folder)).columns).toEqual({ a: "number", b: "integer" });
      expect(await codeOf(() => sink.write([{ a: "text" }], by()))).toContain("RECORD_INVALID rows[0].a");
      const other = await open({ format: "parquet", columns: { a: "string" } }, "two");
      expect(await codeOf(() => other.write([{ a: "text" }], by()))).toContain("INVALID_ARGUMENT");
    });
  });

  test("may be others once no file is listed any more, and come back with their files", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "csv" });
      const { mark } = await sink.write([{ a: 1 }], by());
      await sink.revertTo(null, by(), keep);
      await sink.write([{ b: "text" }], by());
      expect((await readDataset(folder)).columns).toEqual({ b: "string" });
      await sink.revertTo(mark, by(), keep);
      expect((await readDataset(folder)).columns).toEqual({ a: "number" });
      const two = await open({ format: "csv" }, "two");
      await two.write([{ a: 2 }], by());
      const one = await sink.mark();
      await sink.revertTo(null, by(), keep);
      expect(await codeOf(() => two.write([{ b: "x" }], by()))).toContain("RECORD_INVALID");
      await sink.revertTo(one, by(), keep);
      expect((await readDataset(folder)).rows).toBe(2);
    });
  });
});
