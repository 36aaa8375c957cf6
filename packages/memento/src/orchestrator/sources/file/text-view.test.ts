import { appendFile, writeFile } from "node:fs/promises";
import path from "node:path";
import zlib from "node:zlib";

import { describe, expect, test } from "vitest";

import { memoryInUse } from "../../../../../../test/harness/memory-in-use.ts";
import { readAll, withFile, withFolder } from "../../../../../../test/harness/source-reading.ts";
import { SeededRandom } from "../../../testing/seeded-random.ts";
import { csvFile } from "../csv/csv-file.ts";
import { jsonFile } from "../json/json-file.ts";
import { jsonlFile } from "../json/jsonl-file.ts";
import { recordsFile } from "../records-file.ts";

const WORDS = ["plain", "naïve", "„quoted“", "€ 5", "日本", "🙂", 'say "so"', "a\nb"];
const rows = Array.from({ length: 3000 }, (_, id) => ({
  id,
  text: `${WORDS[id % WORDS.length]} ${"x".repeat(id % 97)}`,
}));

const TEXTS = {
  csv: `id,text\r\n${rows.map(({ id, text }) => `${id},"${text.replaceAll('"', '""')}"\r\n`).join("")}`,
  json: JSON.stringify(rows),
  jsonl: rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
} as const;
const makers = {
  csv: (file: string) => csvFile({ path: file, cast: true }),
  json: (file: string) => jsonFile({ path: file }),
  jsonl: (file: string) => jsonlFile({ path: file }),
} as const;
const formats = ["csv", "json", "jsonl"] as const;

const cases = formats.flatMap((format) => [
  [format, "gzip", zlib.gzipSync(TEXTS[format])] as const,
  [format, "zstd", zlib.zstdCompressSync(TEXTS[format])] as const,
]);
const members = Buffer.concat([TEXTS.jsonl.slice(0, 5000), TEXTS.jsonl.slice(5000)].map((text) => zlib.gzipSync(text)));

const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
const more = [
  ["jsonl", "gzip in two members", members],
  ["jsonl", "gzip with zeros at its end", Buffer.concat([members, Buffer.alloc(512)])],
  ["jsonl", "zstd behind a frame to skip", Buffer.concat([skippable, zlib.zstdCompressSync(TEXTS.jsonl)])],
] as const;

describe("compression", () => {
  test("reads gzip with many zeros at its end, and refuses what stands behind them after the records before it", async () => {
    const member = zlib.gzipSync('{"id":1}\n');
    await withFile(Buffer.concat([member, Buffer.alloc(200_000)]), async (file) => {
      expect(await readAll(jsonlFile({ path: file }))).toMatchObject({ records: [{ id: 1 }], error: null });
    });
    await withFile(Buffer.concat([member, Buffer.alloc(70_000), member]), async (file) => {
      const { records, error } = await readAll(jsonlFile({ path: file }));
      expect(records).toEqual([{ id: 1 }]);
      expect(error).toMatchObject({ code: "RECORD_INVALID" });
    });
  });

  test.each([...cases, ...more])(
    "%s in %s gives the records of the text, and resumes at every offset with exactly those that remain",
    async (format, _method, bytes) => {
      await withFile(bytes, async (file) => {
        const source = makers[format](file);
        const whole = await readAll(source, { batchRecords: 100 });
        expect(whole).toMatchObject({ error: null, records: rows });
        expect(whole.batches.at(-1)?.share).toBe(1);
        for (const { offset } of whole.batches) {
          const { record } = offset as { record: number };
          const rest = await readAll(source, { from: offset, batchRecords: 777 });
          expect(rest.error).toBeNull();
          expect(rest.records).toEqual(rows.slice(record));
          expect(await source.inspect({ "0": offset }, { "0": whole.offset })).toEqual({
            available: true,
            problem: "",
            recordsBetween: rows.length - record,
          });
        }
      });
    },
  );

  test.each(cases)(
    "%s in %s that was cut gives a beginning of the records, then INPUT_CUT",
    async (format, method, bytes) => {
      for (const length of [0, 1, 7, 60, bytes.length >> 1, bytes.length - 9, bytes.length - 1]) {
        await withFile(bytes.subarray(0, length), async (file) => {
          const options = { path: file, compression: method };
          const source = {
            csv: csvFile({ ...options, cast: true }),
            json: jsonFile(options),
            jsonl: jsonlFile(options),
          };
          const { records, error } = await readAll<unknown>(source[format]);
          expect(error?.code, `${length} bytes`).toBe("INPUT_CUT");
          expect(records).toEqual(rows.slice(0, records.length));
          if (length >= bytes.length - 9) expect(records.length).toBeGreaterThan(1000);
        });
      }
    },
  );

  test.each(cases)("%s in %s that was damaged never gives a wrong record", async (format, method, bytes) => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 40; round++) {
      const damaged = Buffer.from(bytes);
      const at = 12 + random.integer(bytes.length - 12);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.integer(8));
      await withFile(damaged, async (file) => {
        const { records, error } = await readAll(makers[format](file));
        const wrong = records.findIndex((record, index) => JSON.stringify(record) !== JSON.stringify(rows[index]));
        // A flipped bit can decode to other text; the checksum at the end tells, and zstd's own format carries none by default.
        if (wrong !== -1 && method === "gzip") expect(error, `bit at ${at}`).not.toBeNull();
        expect(["none", "INPUT_CUT", "RECORD_INVALID"]).toContain(error?.code ?? "none");
      });
    }
  });

  test("refuses what stands behind the data, and a file that is not compressed as it should be", async () => {
    for (const [method, bytes] of [
      ["gzip", zlib.gzipSync(TEXTS.jsonl)],
      ["zstd", zlib.zstdCompressSync(TEXTS.jsonl)],
    ] as const) {
      await withFile(Buffer.concat([bytes, Buffer.from("more")]), async (file) => {
        const { error } = await readAll(jsonlFile({ path: file }));
        expect(error).toMatchObject({ code: "RECORD_INVALID" });
      });
      await withFile(TEXTS.jsonl, async (file) => {
        const { error } = await readAll(jsonlFile({ path: file, compression: method }));
        expect(error).toMatchObject({ code: "RECORD_INVALID", details: { path: file } });
      });
    }
    expect(() => jsonlFile({ path: "x", compression: "br" as "gzip" })).toThrow(/compression takes/u);
  });

  test("is another file after any change", async () => {
    await withFile(zlib.gzipSync(TEXTS.jsonl), async (file) => {
      const source = jsonlFile({ path: file });
      const { batches } = await readAll(source, { batchRecords: 1000 });
      const from = batches[0]?.offset ?? null;
      await appendFile(file, zlib.gzipSync('{"id":3000}\n'));
      expect((await readAll(source, { from })).error).toMatchObject({ code: "SOURCE_MOVED" });
      expect(await source.inspect({ "0": from }, {})).toMatchObject({ available: false });
    });
  });

  test("is known by the bytes, and a name that says so may be that of an empty file that was cut", async () => {
    await withFolder(async (folder) => {
      for (const [name, bytes] of [
        ["a.csv.gz", zlib.gzipSync(TEXTS.csv)],
        ["b.jsonl.zst", zlib.zstdCompressSync(TEXTS.jsonl)],
        ["c.json.gz", TEXTS.json],
      ] as const) {
        const file = path.join(folder, name);
        await writeFile(file, bytes);
        expect((await readAll(recordsFile(file))).records).toHaveLength(rows.length);
      }
      await writeFile(path.join(folder, "d.jsonl.gz"), "");
      expect((await readAll(recordsFile(path.join(folder, "d.jsonl.gz")))).error).toMatchObject({ code: "INPUT_CUT" });
    });
  });

  test("takes no more memory for 100 times the text", async () => {
    const block = Buffer.from(TEXTS.jsonl);
    const gzip = zlib.gzipSync(Buffer.concat(Array.from({ length: 400 }, () => block)), { level: 1 });
    await withFile(gzip, async (file) => {
      const before = memoryInUse();
      let most = 0;
      let count = 0;
      const signal = new AbortController().signal;
      for await (const { records } of jsonlFile({ path: file }).read({ from: {}, batchRecords: 1000, signal })) {
        count += records.length;
        if (count % 100_000 < 1000) most = Math.max(most, memoryInUse() - before);
      }
      expect(count).toBe(400 * rows.length);
      expect(most).toBeLessThan(16 * 2 ** 20);
    });
  });
});

const ENCODED = [
  ["utf-16le", Buffer.from(`\ufeff${TEXTS.csv}`, "utf16le")],
  ["utf-16be", Buffer.from(TEXTS.csv, "utf16le").swap16()],
  ["utf-16", Buffer.from(`\ufeff${TEXTS.csv}`, "utf16le").swap16()],
  ["utf-16", Buffer.from(TEXTS.csv, "utf16le")],
] as const;

describe("encoding", () => {
  test.each(ENCODED)("reads CSV in %s, and resumes at every offset", async (encoding, bytes) => {
    await withFile(bytes, async (file) => {
      const source = csvFile({ path: file, encoding, cast: true });
      const whole = await readAll(source, { batchRecords: 250 });
      expect(whole).toMatchObject({ error: null, records: rows });
      for (const { offset } of whole.batches) {
        const { record } = offset as { record: number };
        expect((await readAll(source, { from: offset })).records).toEqual(rows.slice(record));
      }
    });
  });

  test("reads Latin-1 and Windows-1252, each by its own table", async () => {
    await withFile(Buffer.from([0x61, 0x0a, 0xe4, 0x80, 0x41, 0x9f, 0x0a]), async (file) => {
      expect((await readAll(csvFile({ path: file, encoding: "latin1" }))).records).toEqual([{ a: "ä\u0080A\u009f" }]);
      expect((await readAll(csvFile({ path: file, encoding: "windows-1252" }))).records).toEqual([{ a: "ä€AŸ" }]);
      expect((await readAll(csvFile({ path: file }))).error).toMatchObject({ code: "RECORD_INVALID" });
    });
    expect(() => csvFile({ path: "x", encoding: "ebcdic" as "latin1" })).toThrow(/encoding takes/u);
  });

  test("reads a compressed file of another encoding", async () => {
    await withFile(zlib.gzipSync(Buffer.from(TEXTS.json, "utf16le")), async (file) => {
      expect((await readAll(jsonFile({ path: file, encoding: "utf-16le" }))).records).toEqual(rows);
    });
  });

  test("refuses half a pair and half a character, after the records before them", async () => {
    const lone = Buffer.from(`"a"\n"b"\n"\ud83d"\n`, "utf16le");
    await withFile(lone, async (file) => {
      const { records, error } = await readAll(jsonlFile({ path: file, encoding: "utf-16le" }));
      expect({ records, code: error?.code }).toEqual({ records: ["a", "b"], code: "RECORD_INVALID" });
      expect(error?.details).toMatchObject({ byte: 18 });
    });
    await withFile(lone.subarray(0, 17), async (file) => {
      const { records, error } = await readAll(jsonlFile({ path: file, encoding: "utf-16le" }));
      expect({ records, code: error?.code }).toEqual({ records: ["a", "b"], code: "INPUT_CUT" });
    });
  });

  test("follows a file that grows, from inside a character on, and tells one that was replaced", async () => {
    const bytes = Buffer.from('"a"\n"b🙂"\n"c"\n', "utf16le");
    await withFile(bytes.subarray(0, 15), async (file) => {
      const source = jsonlFile({ path: file, encoding: "utf-16le", lastLine: "wait" });
      const first = await readAll(source);
      expect(first).toMatchObject({ records: ["a"], error: null });
      await appendFile(file, bytes.subarray(15));
      expect(await readAll(source, { from: first.offset })).toMatchObject({ records: ["b🙂", "c"], error: null });
      await writeFile(file, Buffer.from('"z"\n"b"\n"c"\n"d"\n', "utf16le"));
      expect((await readAll(source, { from: first.offset })).error).toMatchObject({ code: "SOURCE_MOVED" });
      await writeFile(file, "");
      expect((await readAll(source, { from: first.offset })).error).toMatchObject({ code: "SOURCE_RANGE_GONE" });
      // In UTF-16 these are halves of pairs: a plan says that the text cannot be read, and is not itself what fails.
      await writeFile(file, `"${"\u0627".repeat(20)}"`);
      const inspection = await source.inspect({ "0": first.offset }, {});
      expect(inspection).toMatchObject({ available: false, problem: expect.stringContaining("is not UTF-16") });
    });
  });
});

describe("dialects of CSV", () => {
  test("takes an escape, comments, a decimal comma and single quotes, and resumes behind each of them", async () => {
    const text = "# made by hand\nid;text;n\n1;'it\\'s; \\\\ fine';1,5\n# between\n2;x#y;-0,25\n3;1.5;7\n# end";
    await withFile(text, async (file) => {
      const dialect = { delimiter: ";", quote: "'", escape: "\\", comment: "#", cast: true, decimal: "," } as const;
      const source = csvFile({ path: file, ...dialect });
      const expected = [
        { id: 1, text: "it's; \\ fine", n: 1.5 },
        { id: 2, text: "x#y", n: -0.25 },
        { id: 3, text: "1.5", n: 7 },
      ];
      const { records, batches, error } = await readAll(source, { batchRecords: 1 });
      expect({ records, error }).toEqual({ records: expected, error: null });
      for (const [index, { offset }] of batches.entries())
        expect((await readAll(source, { from: offset })).records).toEqual(expected.slice(index + 1));
    });
  });

  test.each([{ escape: "ab" }, { escape: "," }, { escape: "\\", quote: null }, { comment: "" }, { comment: '"' }])(
    "refuses %j",
    (options) => {
      expect(() => csvFile({ path: "x", ...options })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    },
  );
});
