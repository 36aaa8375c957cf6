import { appendFile, writeFile } from "node:fs/promises";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CHUNK_BYTES, publicData, readAll, withFile } from "../../../../../../test/harness/source-reading.ts";
import { jsonFile } from "./json-file.ts";
import { jsonlFile } from "./jsonl-file.ts";
import { parseJson } from "./parse-json.ts";

const runs = Number(process.env["MEMENTO_CASES"] ?? 60);

const nasty = fc.oneof(
  fc.json(),
  fc.constantFrom('""', '"\\n"', '"\\"\\\\"', "[]", "{}", '{"__proto__":1}', '"\u2028\ufeff"', '"🙂é"', "-0.5e-3"),
  fc.string({ unit: "grapheme" }).map((text) => JSON.stringify({ text })),
);

const file = fc.record({
  values: fc.array(nasty, { maxLength: 12 }),
  lineEnds: fc.array(fc.constantFrom("\n", "\r\n", "\n\n", "\n  \t\r\n"), { minLength: 12, maxLength: 12 }),
  bom: fc.boolean(),
  lastLineEnd: fc.boolean(),
});

const textOf = ({
  values,
  lineEnds,
  bom,
  lastLineEnd,
}: {
  values: string[];
  lineEnds: string[];
  bom: boolean;
  lastLineEnd: boolean;
}): string => {
  const lines = values.map(
    (value, index) => value + (lastLineEnd || index < values.length - 1 ? (lineEnds[index] ?? "\n") : ""),
  );
  return (bom ? "\ufeff" : "") + lines.join("");
};

describe("jsonlFile()", () => {
  test("resumes at every offset with exactly the records that remain", async () => {
    await fc.assert(
      fc.asyncProperty(file, async (made) => {
        const expected = made.values.map(parseJson);
        await withFile(textOf(made), async (path) => {
          const source = jsonlFile({ path });
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
    const values = [{ a: "é🙂" }, ["x\ny"], { b: { c: [1, "\\"] } }, "last"];
    const bytes = Buffer.from(`${values.map((value) => JSON.stringify(value)).join("\r\n")}\n`);
    for (let length = 0; length <= bytes.length; length += 1) {
      await withFile(bytes.subarray(0, length), async (path) => {
        const { records, error } = await readAll(jsonlFile({ path }));
        expect(records).toEqual(values.slice(0, records.length));
        if (error !== null) expect(error).toMatchObject({ code: "INPUT_CUT", details: { path } });
        const waited = await readAll(jsonlFile({ path, lastLine: "wait" }));
        expect(waited.error).toBeNull();
        expect(waited.records).toEqual(values.slice(0, waited.records.length));
      });
    }
  });

  test("refuses a last line without its end where it is told to", async () => {
    await withFile('{"a":1}\n123', async (path) => {
      expect(await readAll(jsonlFile({ path }))).toMatchObject({ records: [{ a: 1 }, 123], error: null });
      const refused = await readAll(jsonlFile({ path, lastLine: "refuse" }));
      expect(refused).toMatchObject({
        records: [{ a: 1 }],
        error: { code: "INPUT_CUT", details: { line: 2, byte: 8, record: 2 } },
      });
    });
  });

  test("takes a line that was waited for once it has its end", async () => {
    await withFile('{"a":1}\n{"b":', async (path) => {
      const source = jsonlFile({ path, lastLine: "wait" });
      const before = await readAll(source);
      expect(before).toMatchObject({ records: [{ a: 1 }], error: null });
      await appendFile(path, "2}\n");
      const after = await readAll(source, { from: before.offset });
      expect(after.records).toEqual([{ b: 2 }]);
    });
  });

  test("goes on in a file that has grown, also past a line that had no end yet", async () => {
    await withFile("1\n2", async (path) => {
      const source = jsonlFile({ path });
      const before = await readAll(source);
      await appendFile(path, "\r\n3\n");
      expect(await readAll(source, { from: before.offset })).toMatchObject({ records: [3], error: null });
    });
  });

  test("refuses with SOURCE_MOVED to go on in a line that was taken before it was whole", async () => {
    await withFile("1\n2", async (path) => {
      const source = jsonlFile({ path });
      const before = await readAll(source);
      await appendFile(path, "5\n3\n");
      const after = await readAll(source, { from: before.offset });
      expect(after).toMatchObject({ records: [], error: { code: "SOURCE_MOVED" } });
    });
  });

  test.each([
    ["RECORD_INVALID", "1\n\n{broken}\n3\n", { line: 3, byte: 3, record: 2 }],
    ["RECORD_INVALID", "1\n2 3\n", { line: 2, byte: 2, record: 2 }],
    ["RECORD_INVALID", Buffer.from([0x31, 0x0a, 0x22, 0xff, 0x22, 0x0a]), { line: 2, byte: 3 }],
    ["RECORD_INVALID", Buffer.from("1\n\ud800", "utf16le"), { line: 1 }],
    ["INPUT_CUT", "1\n{", { line: 2, byte: 2, record: 2 }],
    ["INPUT_CUT", Buffer.from([0x31, 0x0a, 0x22, 0xc3]), { line: 2, byte: 3 }],
  ])("says %s with line and byte, after the records before it: %j", async (code, content, details) => {
    await withFile(content, async (path) => {
      const { records, error } = await readAll(jsonlFile({ path }));
      expect(records).toEqual(code === "RECORD_INVALID" && details.line === 1 ? [] : [1]);
      expect(error).toMatchObject({ code, details: { path, ...details } });
    });
  });

  test("keeps the digits of whole numbers, and refuses a number that it cannot keep, by record and path", async () => {
    const text = '{"id":9007199254740993}\n{"v":[1,{"a b":-1e400}]}\n';
    await withFile(text, async (path) => {
      const { records, error } = await readAll(jsonlFile({ path }));
      expect(records).toEqual([{ id: 9007199254740993n }]);
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { line: 2, byte: 24, record: 2 } });
      expect(error?.message).toMatch(/record 2 holds a number that cannot be kept, at \$\.v\[1\]\["a b"\]$/);
    });
    await withFile('{"id":1}\n{"v":1e-400}', async (path) => {
      const { error } = await readAll(jsonlFile({ path }));
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { line: 2, record: 2 } });
      expect(await readAll(jsonlFile({ path, lastLine: "wait" }))).toMatchObject({ records: [{ id: 1 }], error: null });
    });
  });

  test("never tells what stands in a record that it refuses", async () => {
    await withFile('{"password":"hunter2"}\nhunter2\n', async (path) => {
      const { error } = await readAll(jsonlFile({ path }));
      expect(error?.code).toBe("RECORD_INVALID");
      expect(`${error?.stack} ${String(error?.cause)} ${JSON.stringify(error?.details)}`).not.toContain("hunter2");
    });
  });

  test("refuses a line that is longer than it may be, before it fills memory", async () => {
    await withFile(`1\n"${"x".repeat(600_000)}"\n`, async (path) => {
      const { records, error } = await readAll(jsonlFile({ path, recordBytesMax: 1000 }));
      expect(records).toEqual([1]);
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { line: 2, record: 2 } });
      expect((await readAll(jsonlFile({ path }))).records).toHaveLength(2);
    });
  });

  test("is not led astray wherever a line is cut between two reads of the file", async () => {
    const lines = ['{"é":"🙂\\n"}', '["\\"",2]', "", "-1.5e3"];
    const tail = lines.join("\r\n");
    const expected = [{ é: "🙂\n" }, ['"', 2], -1500];
    for (let before = 0; before <= Buffer.byteLength(tail) + 1; before += 1) {
      const pad = "x".repeat(CHUNK_BYTES - before - 3);
      await withFile(`"${pad}"\n${tail}`, async (path) => {
        const { records, batches } = await readAll(jsonlFile({ path }), { batchRecords: 1 });
        expect(records).toEqual([pad, ...expected]);
        const rest = await readAll(jsonlFile({ path }), { from: batches[1]?.offset ?? null });
        expect(rest.records).toEqual(expected.slice(1));
      });
    }
  });

  test("reads 10,000 real flights in batches of any size, and resumes in the middle", async () => {
    const expected = (await readAll(jsonFile({ path: publicData("flights-10k.json") }))).records;
    await withFile(expected.map((record) => `${JSON.stringify(record)}\n`).join(""), async (path) => {
      const source = jsonlFile({ path });
      for (const batchRecords of [1, 7, 1000, 100_000]) {
        const { records, batches } = await readAll(source, { batchRecords });
        expect(records).toEqual(expected);
        expect(batches.slice(0, -1).every((batch) => batch.records.length === batchRecords)).toBe(true);
        const middle = batches[batches.length >> 1];
        const rest = await readAll(source, { from: middle?.offset ?? null, batchRecords });
        expect(rest.records).toEqual(batches.slice((batches.length >> 1) + 1).flatMap((batch) => batch.records));
      }
    });
  });

  test("notices another file in its place, and one that has become shorter", async () => {
    await withFile("1\n2\n3\n", async (path) => {
      const source = jsonlFile({ path });
      const { offset } = await readAll(source);
      await writeFile(path, "1\n9\n3\n4\n");
      expect((await readAll(source, { from: offset })).error).toMatchObject({
        code: "SOURCE_MOVED",
        details: { path },
      });
      const moved = await source.inspect({ "0": offset }, {});
      expect(moved).toMatchObject({ available: false, recordsBetween: null });
      expect(moved.problem).toContain(path);
      await writeFile(path, "1\n2\n");
      expect((await readAll(source, { from: offset })).error).toMatchObject({ code: "SOURCE_RANGE_GONE" });
      expect(await source.inspect({}, { "0": offset })).toEqual({ available: true, problem: "", recordsBetween: null });
    });
  });
});
