import { readFile, writeFile } from "node:fs/promises";

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CHUNK_BYTES, publicData, readAll, withFile } from "../../../../../../test/harness/source-reading.ts";
import { jsonFile } from "./json-file.ts";
import { jsonProblem, parseJson } from "./parse-json.ts";

const runs = Number(process.env["MEMENTO_CASES"] ?? 60);

const nasty = fc.oneof(
  fc.json(),
  fc.constantFrom(
    '"]"',
    '"[,"',
    '"\\"]"',
    '"\\\\"',
    '{"}":"{"}',
    "[[],[[]]]",
    "{}",
    '"🙂é"',
    "-0.5e-3",
    '{"__proto__":[1]}',
  ),
  fc.string({ unit: "grapheme" }).map((text) => JSON.stringify({ [text]: text })),
);
const space = fc.constantFrom("", " ", "\n\t", "\r\n  ");

const file = fc.record({
  values: fc.array(nasty, { maxLength: 10 }),
  spaces: fc.array(space, { minLength: 6, maxLength: 6 }),
  keys: fc.array(
    fc.oneof(fc.string({ unit: "grapheme", minLength: 1, maxLength: 4 }), fc.constantFrom('"', "\\", "a.b")),
    { maxLength: 3 },
  ),
  before: fc.array(fc.tuple(fc.constantFrom("x1", "x2", 'x"]}'), nasty), { maxLength: 2 }),
  bom: fc.boolean(),
});

type Made = typeof file extends fc.Arbitrary<infer Value> ? Value : never;

function textOf({ values, spaces: [a = "", b = "", c = "", d = "", e = "", f = ""], keys, before, bom }: Made): string {
  const array = `[${a}${values.join(`${b},${c}`)}${d}]`;
  const members = before.map(([key, member]) => `${JSON.stringify(key)}${a}:${b}${member}${c},`).join(d);
  const wrapped = keys.reduceRight(
    (inner, key) => `{${e}${members}${JSON.stringify(key)}${f}:${a}${inner}${b},"after":[1,{}]}`,
    array,
  );
  return `${bom ? "\ufeff" : ""}${e}${wrapped}${f}`;
}

describe("jsonFile()", () => {
  test("gives what JSON.parse gives, and resumes at every offset with exactly the records that remain", async () => {
    await fc.assert(
      fc.asyncProperty(file, async (made) => {
        const expected = made.values.map(parseJson);
        await withFile(textOf(made), async (path) => {
          const source = jsonFile({ path, at: made.keys });
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

  test("takes no text for an array that JSON.parse would not, and gives a beginning of its elements", async () => {
    const broken = fc
      .tuple(
        fc.array(nasty, { minLength: 1, maxLength: 5 }),
        fc.nat(),
        fc.constantFrom("", ",", "]", "}", "{", '"', "\\", "1", "x"),
      )
      .map(([values, place, wrong]) => {
        const text = `[${values.join(",")}]`;
        const at = place % text.length;
        // A character may have been cut in two; a file holds none such.
        return (text.slice(0, at) + wrong + text.slice(at + (wrong === "" ? 1 : 0))).toWellFormed();
      });
    await fc.assert(
      fc.asyncProperty(broken, async (text) => {
        const parsed = parse(text);
        await withFile(text, async (path) => {
          const { records, error } = await readAll(jsonFile({ path }));
          if (Array.isArray(parsed)) expect({ records, error }).toEqual({ records: parsed, error: null });
          else expect(["INPUT_CUT", "RECORD_INVALID"]).toContain(error?.code);
        });
      }),
      { numRuns: runs * 4 },
    );
  });

  test("keeps the digits of whole numbers, and refuses a number that it cannot keep, by record and path", async () => {
    await withFile('[{"id":12345678901234567890},\n{"v":[1e400]},3]', async (path) => {
      const { records, error } = await readAll(jsonFile({ path }));
      expect(records).toEqual([{ id: 12345678901234567890n }]);
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { record: 2 } });
      expect(error?.message).toMatch(/record 2 holds a number that cannot be kept, at \$\.v\[0\]$/);
    });
  });

  test("gives nothing but a beginning of the records from a file that was cut at any byte", async () => {
    const values = [{ a: "é🙂", b: [1, { c: "]" }] }, 1234, 'x\\"y', [], null];
    const text = JSON.stringify({ skip: ["[", { data: 1 }], data: { rows: values, more: "}" } });
    const bytes = Buffer.from(text);
    for (let length = 0; length <= bytes.length; length += 1) {
      await withFile(bytes.subarray(0, length), async (path) => {
        const { records, error } = await readAll(jsonFile({ path, at: "data.rows" }), { batchRecords: 2 });
        expect(records).toEqual(values.slice(0, records.length));
        if (length === 0 || length === bytes.length) expect(error).toBeNull();
        else expect(error).toMatchObject({ code: "INPUT_CUT", details: { path } });
      });
    }
  });

  test.each([
    ["no element after a comma", "[1,\n2,]", [1, 2], { code: "RECORD_INVALID", details: { line: 2, record: 3 } }],
    ["no element between commas", "[1,,2]", [1], { code: "RECORD_INVALID", details: { record: 2, byte: 3 } }],
    ["two elements without a comma", "[1,2 3,4]", [1], { code: "RECORD_INVALID", details: { record: 2, byte: 3 } }],
    ["a brace that closes nothing", "[1,2},3]", [1], { code: "RECORD_INVALID", details: { record: 2, byte: 3 } }],
    ["text after the array", "[1,2] x", [1, 2], { code: "RECORD_INVALID", details: { byte: 6 } }],
    ["an object", '{"a":1}', [], { code: "RECORD_INVALID" }],
    ["a broken element", '[1,{"a":}]', [1], { code: "RECORD_INVALID", details: { record: 2 } }],
    ["no end", "[1,2", [1], { code: "INPUT_CUT", details: { record: 2, byte: 3 } }],
    [
      "bytes that are not UTF-8",
      Buffer.from('[1,"\xff"]', "latin1"),
      [1],
      { code: "RECORD_INVALID", details: { byte: 4 } },
    ],
  ])("refuses %s, after the records before it", async (_, content, records, error) => {
    await withFile(content, async (path) => {
      expect(await readAll(jsonFile({ path }))).toMatchObject({ records, error });
    });
  });

  test.each([
    ["no bytes", ""],
    ["white space", " \n"],
    ["a byte order mark", "\ufeff"],
    ["an empty array", "[ ]"],
  ])("takes %s for no records", async (_, content) => {
    await withFile(content, async (path) => {
      expect(await readAll(jsonFile({ path }))).toMatchObject({ records: [], error: null, offset: null });
    });
  });

  test.each([
    ["there is no such key", '{"data":{"other":[1]}}'],
    ["the path leads to no array", '{"data":{"rows":{}}}'],
    ["the path leads through an array", '{"data":[{"rows":[1]}]}'],
    ["the key only stands elsewhere", '{"x":{"data":{"rows":[1]}},"rows":[1]}'],
  ])("refuses a file where %s", async (_, content) => {
    await withFile(content, async (path) => {
      const { records, error } = await readAll(jsonFile({ path, at: "data.rows" }));
      expect({ records, code: error?.code }).toEqual({ records: [], code: "RECORD_INVALID" });
      expect(error?.message).toContain("data.rows");
    });
  });

  test("is not led astray wherever an element is cut between two reads of the file", async () => {
    const tail = '{"é":"\\"🙂\\\\"} , [",]"], -1.5e3\n]';
    const expected = [{ é: '"🙂\\' }, [",]"], -1500];
    for (let before = 0; before <= Buffer.byteLength(tail) + 1; before += 1) {
      const pad = "x".repeat(CHUNK_BYTES - before - 4);
      await withFile(`["${pad}",${tail}`, async (path) => {
        const { records, batches } = await readAll(jsonFile({ path }), { batchRecords: 1 });
        expect(records).toEqual([pad, ...expected]);
        const rest = await readAll(jsonFile({ path }), { from: batches[1]?.offset ?? null });
        expect(rest.records).toEqual(expected.slice(1));
      });
    }
  });

  test("notices any change of the file", async () => {
    await withFile("[1,2,3]", async (path) => {
      const source = jsonFile({ path });
      const { offset } = await readAll(source);
      for (const other of ["[1,2,4]", "[1,2,3,4]", "[1,2]"]) {
        await writeFile(path, other);
        expect((await readAll(source, { from: offset })).error).toMatchObject({
          code: "SOURCE_MOVED",
          details: { path },
        });
        expect(await source.inspect({ "0": offset }, {})).toMatchObject({ available: false });
      }
    });
  });

  test("refuses an element that is longer than it may be, before it fills memory", async () => {
    await withFile(`[1,"${"x".repeat(600_000)}"]`, async (path) => {
      const { records, error } = await readAll(jsonFile({ path, recordBytesMax: 1000 }));
      expect(records).toEqual([1]);
      expect(error).toMatchObject({ code: "RECORD_INVALID", details: { record: 2, byte: 3 } });
    });
  });

  test.each(["movies.json", "flights-10k.json", "countries.json", "jobs.json"])(
    "reads %s as JSON.parse does, and resumes in the middle",
    async (name) => {
      const path = publicData(name);
      const expected = JSON.parse(await readFile(path, "utf8")) as unknown[];
      const source = jsonFile({ path });
      const { records, batches } = await readAll(source, { batchRecords: 100 });
      expect(records).toEqual(expected);
      const middle = batches.length >> 1;
      const rest = await readAll(source, { from: batches[middle]?.offset ?? null });
      expect(rest.records).toEqual(expected.slice(100 * (middle + 1)));
    },
  );

  test("refuses an offset past the end, which was set by hand, before it reads and in a plan", async () => {
    await withFile("[1, 2, 3]", async (path) => {
      const source = jsonFile({ path });
      const { offset: end } = await readAll(source);
      for (const byte of [10, 1e9]) {
        const from = { ...(end as object), byte };
        expect((await readAll(source, { from })).error).toMatchObject({ code: "SOURCE_RANGE_GONE" });
        expect(await source.inspect({ "0": from }, { "0": end })).toMatchObject({ available: false });
      }
    });
  });
});

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    jsonProblem(error);
    return undefined;
  }
}
