import { appendFile, readFile, writeFile } from "node:fs/promises";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CHUNK_BYTES, publicData, readAll, withFile } from "../../../../../../test/harness/source-reading.ts";
import { csvFile } from "./csv-file.ts";
import type { CsvFileOptions } from "./csv-file.ts";

const runs = Number(process.env["MEMENTO_CASES"] ?? 60);

const value = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.constantFrom("", '"', '""', '"\n', "a,b", "\n", "\r\n", "\r", "é🙂", "\ufeff", "x\ty", " "),
);

const table = fc.integer({ min: 1, max: 4 }).chain((width) =>
  fc.record({
    names: fc.uniqueArray(value, { minLength: width, maxLength: width }),
    rows: fc.array(fc.array(value, { minLength: width, maxLength: width }), { maxLength: 8 }),
    lineEnds: fc.array(fc.constantFrom("\n", "\r\n", "\n\n", "\r\n\r\n"), { minLength: 9, maxLength: 9 }),
    delimiter: fc.constantFrom(",", ";", "\t", "||"),
    quoteAll: fc.boolean(),
    bom: fc.boolean(),
    lastLineEnd: fc.boolean(),
  }),
);

type Table = typeof table extends fc.Arbitrary<infer Made> ? Made : never;

function csvOf({ names, rows, lineEnds, delimiter, quoteAll, bom, lastLineEnd }: Table): string {
  const needsQuotes = /["\r\n,;\t|\ufeff]|^$/u;
  const field = (text: string): string =>
    quoteAll || needsQuotes.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = [names, ...rows].map((values, index) => {
    const last = index === rows.length;
    return values.map(field).join(delimiter) + (last && !lastLineEnd ? "" : (lineEnds[index] ?? "\n"));
  });
  return (bom ? "\ufeff" : "") + lines.join("");
}

describe("csvFile()", () => {
  test("resumes at every offset with exactly the records that remain", async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.constantFrom("named", "arrays", "given"), async (made, kind) => {
        const { names, rows, delimiter } = made;
        const header = kind === "named" ? true : kind === "arrays" ? false : names.map((_, index) => `c${index}`);
        const object = (columns: readonly string[], row: readonly string[]): unknown =>
          Object.fromEntries(columns.map((column, index) => [column, row[index]]));
        const expected: unknown[] =
          header === true
            ? rows.map((row) => object(names, row))
            : [names, ...rows].map((row) => (header === false ? row : object(header, row)));
        await withFile(csvOf(made), async (path) => {
          const source = csvFile<unknown>({ path, header, delimiter });
          const whole = await readAll(source, { batchRecords: 1 });
          expect(whole.error).toBeNull();
          expect(whole.records).toEqual(expected);
          for (const [index, { offset }] of whole.batches.entries()) {
            const rest = await readAll(source, { from: offset, batchRecords: 3 });
            expect(rest).toMatchObject({ error: null, records: expected.slice(index + 1) });
            const inspection = await source.inspect({ "0": offset }, { "0": whole.offset });
            expect(inspection).toEqual({ available: true, problem: "", recordsBetween: expected.length - index - 1 });
          }
        });
      }),
      { numRuns: runs },
    );
  });

  test("gives nothing but a beginning of the records from a file that was cut at any byte", async () => {
    const rows = [
      { id: "1", näme: "é🙂", note: "a,b" },
      { id: "2", näme: 'say "hi"', note: "two\r\nlines" },
      { id: "3", näme: "", note: "end" },
    ];
    const text = 'id,näme,note\r\n1,é🙂,"a,b"\r\n2,"say ""hi""","two\r\nlines"\r\n3,,end\r\n';
    const bytes = Buffer.from(text);
    for (let length = 0; length <= bytes.length; length += 1) {
      await withFile(bytes.subarray(0, length), async (path) => {
        for (const lastLine of ["refuse", "wait"] as const) {
          const { records, error } = await readAll(csvFile({ path, lastLine }));
          expect(records).toEqual(rows.slice(0, records.length));
          if (error !== null) expect(error).toMatchObject({ code: "INPUT_CUT", details: { path } });
          if (lastLine === "wait") expect(error).toBeNull();
        }
        // Taken as it is, a last line may lack the end of its last value, and nothing else.
        const { records, error } = await readAll(csvFile({ path }));
        expect(records.slice(0, -1)).toEqual(rows.slice(0, Math.max(0, records.length - 1)));
        for (const [index, record] of records.entries()) {
          const whole = rows[index];
          expect({ ...record, note: "" }).toEqual({ ...whole, note: "" });
          expect(whole?.note.startsWith(String(record["note"]))).toBe(true);
        }
        if (error !== null) expect(error).toMatchObject({ code: "INPUT_CUT", details: { path } });
      });
    }
  });

  test.each([
    ["RECORD_INVALID", "a,b\n1,2\n3\n4,5\n", { line: 3, byte: 8, record: 2 }],
    ["RECORD_INVALID", 'a,b\n1,2\n3,"x"y\n4,5\n', { line: 3, byte: 8, record: 2 }],
    ["RECORD_INVALID", 'a,b\n1,2\n3,x"y"\n4,5\n', { line: 3, byte: 8, record: 2 }],
    ["RECORD_INVALID", "a,b\n1,2\n3,4,5\n", { line: 3, byte: 8, record: 2 }],
    ["RECORD_INVALID", Buffer.from("a,b\n1,2\n\xff,3\n", "latin1"), { line: 3, byte: 8 }],
    ["INPUT_CUT", "a,b\n1,2\n3", { line: 3, byte: 8, record: 2 }],
    ["INPUT_CUT", 'a,b\n1,2\n3,"4\n5,6\n', { line: 3, byte: 8, record: 2 }],
  ])("says %s with line and byte, after the records before it: %j", async (code, content, details) => {
    await withFile(content, async (path) => {
      const { records, error } = await readAll(csvFile({ path }));
      expect(records).toEqual([{ a: "1", b: "2" }]);
      expect(error).toMatchObject({ code, details: { path, ...details } });
    });
  });

  test.each([
    ["no bytes", "", []],
    ["a byte order mark", "\ufeff", []],
    ["a header", "a,b\n", []],
    ["a header without its line end", "a,b", []],
    ["empty lines", "\n\r\n\n", []],
  ])("takes a file with nothing but %s for an empty one", async (_, content, expected) => {
    await withFile(content, async (path) => {
      expect(await readAll(csvFile({ path }))).toMatchObject({ records: expected, error: null, offset: null });
    });
  });

  test("refuses a header that names a column twice, and takes the names that are given instead", async () => {
    await withFile("a,a\n1,2\n", async (path) => {
      expect((await readAll(csvFile({ path }))).error).toMatchObject({ code: "RECORD_INVALID" });
      const { records } = await readAll(csvFile({ path, header: ["a", "b"] }));
      expect(records).toEqual([
        { a: "a", b: "a" },
        { a: "1", b: "2" },
      ]);
    });
  });

  test.each([
    ["id,v\r1,a\r2,b\r3,c\r", {}],
    ['"i\rd",v\r1,a', {}],
    ["id,v\r1,a\r2,b\n", {}],
    ["1,a\r2,b\r3,c\r", { header: false }],
    ["#x\n1;a\r2;b", { header: false, delimiter: ";", comment: "#" }],
  ] satisfies [string, Partial<CsvFileOptions>][])(
    "refuses lines that end in CR alone, of which nothing would be read: %j",
    async (content, options) => {
      await withFile(content, async (path) => {
        const { records, error } = await readAll(csvFile({ path, ...options }));
        expect(records).toEqual([]);
        expect(error).toMatchObject({ code: "RECORD_INVALID", details: { path } });
        expect(error?.message).toContain("the lines end in CR alone");
      });
    },
  );

  test("takes a CR inside of a value for a part of it", async () => {
    await withFile('"a\rb",c\n1\r2,3\n', async (path) => {
      const { records } = await readAll(csvFile({ path }));
      expect(records).toEqual([{ "a\rb": "1\r2", c: "3" }]);
      const arrays = await readAll(csvFile({ path, header: false }));
      expect(arrays.records).toEqual([
        ["a\rb", "c"],
        ["1\r2", "3"],
      ]);
    });
  });

  test("takes a column named __proto__ for a column", async () => {
    await withFile("__proto__,b\n1,2\n", async (path) => {
      const { records } = await readAll(csvFile({ path }));
      expect(Object.entries(records[0] ?? {})).toEqual([
        ["__proto__", "1"],
        ["b", "2"],
      ]);
    });
  });

  test("takes a quote for any other character where nothing is quoted", async () => {
    await withFile('a,b\n5" pipe,"x\n', async (path) => {
      const { records } = await readAll(csvFile({ path, quote: null }));
      expect(records).toEqual([{ a: '5" pipe', b: '"x' }]);
    });
  });

  test("casts only what loses nothing", async () => {
    const values = "1,-2.5,1e3,007,9007199254740993,9007199254740991,true,,0x10,Infinity, 1".split(",");
    // What a float holds in the end, and what it does not.
    values.push(..."0.30000000000000004,1.10000000000000000,0.12345678901234568,5e-324,-0".split(","));
    values.push(..."0.123456789012345678,19.999999999999999999,1.0000000000000000001,1e-400,1e400".split(","));
    await withFile(`${values.map((_, index) => `c${index}`).join(",")}\n${values.join(",")}\n`, async (path) => {
      const { records } = await readAll(csvFile({ path, cast: true }));
      const expected = [
        1,
        -2.5,
        1000,
        "007",
        "9007199254740993",
        9007199254740991,
        true,
        null,
        "0x10",
        "Infinity",
        " 1",
        0.30000000000000004,
        1.1,
        0.12345678901234568,
        5e-324,
        -0,
        "0.123456789012345678",
        "19.999999999999999999",
        "1.0000000000000000001",
        "1e-400",
        "1e400",
      ];
      expect(Object.values(records[0] ?? {})).toEqual(expected);
    });
  });

  test.each([
    { delimiter: "" },
    { delimiter: "\n" },
    { quote: "''" },
    { quote: "," },
    { header: [] },
    { header: ["a", "a"] },
  ] satisfies Partial<CsvFileOptions>[])("refuses %j with INVALID_ARGUMENT", (options) => {
    expect(() => csvFile({ path: "x.csv", ...options })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  test("refuses a record that is longer than it may be: an open quote does not fill memory", async () => {
    await withFile(`a,b\n1,2\n3,"${"x\n".repeat(400_000)}`, async (path) => {
      const { records, error } = await readAll(csvFile({ path, recordBytesMax: 1000 }));
      expect(records).toHaveLength(1);
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { line: 3, record: 2 } });
    });
  });

  test("goes on in a file that has grown, also past a line that had no end yet", async () => {
    await withFile("a,b\r\n1,2\r\n3,4", async (path) => {
      const source = csvFile({ path });
      const before = await readAll(source);
      expect(before.records).toHaveLength(2);
      await appendFile(path, "\r\n5,6\r\n");
      expect(await readAll(source, { from: before.offset })).toMatchObject({
        records: [{ a: "5", b: "6" }],
        error: null,
      });
      await writeFile(path, "a,b\r\n1,2\r\n3,45\r\n");
      expect((await readAll(source, { from: before.offset })).error).toMatchObject({ code: "SOURCE_MOVED" });
    });
  });

  test("notices another file in its place, and one that has become shorter", async () => {
    await withFile("a,b\n1,2\n3,4\n", async (path) => {
      const source = csvFile({ path });
      const { offset } = await readAll(source);
      await writeFile(path, "a,b\n1,2\n3,5\n");
      expect((await readAll(source, { from: offset })).error).toMatchObject({
        code: "SOURCE_MOVED",
        details: { path },
      });
      expect(await source.inspect({ "0": offset }, { "0": offset })).toMatchObject({
        available: false,
        recordsBetween: 0,
      });
      await writeFile(path, "a,b\n1,2\n");
      expect((await readAll(source, { from: offset })).error).toMatchObject({ code: "SOURCE_RANGE_GONE" });
    });
  });

  test("is not led astray wherever a record is cut between two reads of the file", async () => {
    const tail = 'é🙂,"say ""hi"""\r\n"two\r\nlines",x\r\n\r\n,"";""\r\n'.replace('"";""', '""');
    const expected = [
      ["é🙂", 'say "hi"'],
      ["two\r\nlines", "x"],
      ["", ""],
    ];
    for (let before = 0; before <= Buffer.byteLength(tail) + 1; before += 1) {
      const pad = "x".repeat(CHUNK_BYTES - before - 4);
      await withFile(`${pad},1\r\n${tail}`, async (path) => {
        const source = csvFile<string[]>({ path, header: false });
        const { records, batches } = await readAll(source, { batchRecords: 1 });
        expect(records).toEqual([[pad, "1"], ...expected]);
        const rest = await readAll(source, { from: batches[1]?.offset ?? null });
        expect(rest.records).toEqual(expected.slice(1));
      });
    }
  });

  test.each([
    ["flights-airport.csv", ",", 5366],
    ["birdstrikes.csv", ",", 10_000],
    ["unemployment.tsv", "\t", 3218],
    ["zipcodes.csv", ",", 42_049],
  ])("reads %s, and resumes in the middle", async (name, delimiter, count) => {
    const path = publicData(name);
    const source = csvFile({ path, delimiter });
    const { records, batches, offset } = await readAll(source, { batchRecords: 500 });
    expect(records).toHaveLength(count);
    expect(offset).toMatchObject({ byte: (await readFile(path)).length, record: count });
    const middle = batches.length >> 1;
    const rest = await readAll(source, { from: batches[middle]?.offset ?? null, batchRecords: 999 });
    expect(rest.records).toEqual(records.slice(500 * (middle + 1)));
  });
});
