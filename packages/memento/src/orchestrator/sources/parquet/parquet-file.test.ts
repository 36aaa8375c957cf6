import { readFile, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";

import { beforeAll, describe, expect, test } from "vitest";

import { extent } from "../../../../../../test/harness/extent.ts";
import { publicData, readAll, withFile } from "../../../../../../test/harness/source-reading.ts";
import type { SourceOffset } from "../source.ts";
import { parquetFile } from "./parquet-file.ts";

const fixture = (name: string): string =>
  path.join(import.meta.dirname, "../../../../../../test/fixtures/parquet", name);

const columns = ["Title", "US Gross", "Release Date", "MPAA Rating", "IMDB Rating", "IMDB Votes"];
const files = ["none", "snappy", "gzip", "zstd", "brotli", "lz4", "plain", "v2", "delta", "fallback"].map(
  (name) => `movies-${name}.parquet`,
);
let movies: Record<string, unknown>[] = [];

beforeAll(async () => {
  const all = JSON.parse(await readFile(publicData("movies.json"), "utf8")) as Record<string, unknown>[];
  movies = all
    .slice(0, 250)
    .map((movie) => Object.fromEntries(columns.map((name) => [name, textOrSame(name, movie[name])])));
});

/** Some titles are numbers in the JSON file; the Parquet files hold them as text. */
function textOrSame(name: string, value: unknown): unknown {
  return name === "Title" && typeof value === "number" ? String(value) : (value ?? null);
}

describe("parquetFile()", () => {
  test.each(files)("reads %s, and resumes at every row with exactly the rows that remain", async (name) => {
    const source = parquetFile({ path: fixture(name) });
    const whole = await readAll(source, { batchRecords: 1 });
    expect(whole.error).toBeNull();
    expect(whole.records).toEqual(movies);
    expect(Object.keys(whole.records[0] ?? {})).toEqual(columns);
    for (const [index, { offset }] of whole.batches.entries()) {
      const rest = await readAll(source, { from: offset, batchRecords: 37 });
      expect(rest.error).toBeNull();
      expect(rest.records).toEqual(movies.slice(index + 1));
    }
  });

  test.each([2, 89, 90, 91, 1000])(
    "gives batches of %d rows across row groups, the last one smaller",
    async (batchRecords) => {
      const { batches } = await readAll(parquetFile({ path: fixture("movies-zstd.parquet") }), { batchRecords });
      expect(batches.slice(0, -1).every(({ records }) => records.length === batchRecords)).toBe(true);
      expect(batches.flatMap(({ records }) => records)).toEqual(movies);
    },
  );

  test("reads only the columns that are asked for, in that order", async () => {
    const chosen = ["IMDB Votes", "Title"];
    const { records } = await readAll(parquetFile({ path: fixture("movies-v2.parquet"), columns: chosen }));
    expect(records).toEqual(movies.map((movie) => ({ "IMDB Votes": movie["IMDB Votes"], Title: movie["Title"] })));
    expect(Object.keys(records[0] ?? {})).toEqual(chosen);
    const missing = await readAll(parquetFile({ path: fixture("movies-v2.parquet"), columns: ["Nowhere"] }));
    expect(missing.error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(() => parquetFile({ path: "x", columns: [] })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test.each(["types.parquet", "types-plain.parquet"])("gives every type in %s as it says", async (name) => {
    const { records, error } = await readAll(parquetFile({ path: fixture(name) }));
    expect(error).toBeNull();
    const moment = new Date("2001-02-03T04:05:06.789Z");
    const missing = null;
    const expected = [
      {
        small: 1,
        large: 2n ** 53n,
        unsigned: 2n ** 64n - 1n,
        bool: true,
        float: 1.5,
        decimal: 12.25,
        date: new Date("2001-02-03"),
        millis: moment,
        micros: "2001-02-03T04:05:06.789012Z",
        nanos: "2001-02-03T04:05:06.789012000Z",
        text: "\ufeffé🙂",
        bytes: new Uint8Array([0, 255]),
        fixed: new Uint8Array([97, 98]),
        nothing: missing,
        list: [1, null, 2n ** 60n],
        struct: { a: "2001-02-03T04:05:06.789012Z", b: new Uint8Array([120]) },
        map: { k: 1, l: null },
      },
      {
        small: missing,
        large: 2 ** 53 - 1,
        unsigned: 0,
        bool: missing,
        float: Number.NaN,
        decimal: missing,
        date: missing,
        millis: missing,
        micros: missing,
        nanos: missing,
        text: missing,
        bytes: missing,
        fixed: missing,
        nothing: missing,
        list: [],
        struct: { a: null, b: null },
        map: {},
      },
      {
        small: -3,
        large: -(2n ** 63n),
        unsigned: missing,
        bool: false,
        float: missing,
        decimal: -0.5,
        date: new Date("1969-12-31"),
        millis: moment,
        micros: "2001-02-03T04:05:06.789012Z",
        nanos: "2001-02-03T04:05:06.789012000Z",
        text: "",
        bytes: new Uint8Array(0),
        fixed: new Uint8Array([99, 100]),
        nothing: missing,
        list: missing,
        struct: missing,
        map: missing,
      },
    ];
    const rows = records.map((record) =>
      Object.fromEntries(Object.entries(record).filter(([key]) => key !== "__proto__")),
    );
    expect(rows).toEqual(expected);
    expect(records.map((record) => Object.getOwnPropertyDescriptor(record, "__proto__")?.value as unknown)).toEqual([
      1, 2, 3,
    ]);
  });

  test("reads bytes as text where it is told to", async () => {
    const { records } = await readAll(
      parquetFile({ path: fixture("types.parquet"), binaryAsText: true, columns: ["bytes"] }),
    );
    expect(records).toEqual([{ bytes: "\u0000\ufffd" }, { bytes: null }, { bytes: "" }]);
  });

  test("gives each row values of its own: changing one row changes no other", async () => {
    const source = parquetFile({ path: fixture("types.parquet"), columns: ["millis", "bytes", "struct", "list"] });
    const [first, , third] = (await readAll(source, { batchRecords: 1 })).records;
    const { millis, bytes } = first as { readonly millis: Date; readonly bytes: Uint8Array };
    millis.setTime(0);
    expect(third?.["millis"]).toEqual(new Date("2001-02-03T04:05:06.789Z"));
    expect(bytes.buffer.byteLength).toBe(2);
  });

  test("gives nothing from a file that was cut at any byte", async () => {
    await withFile(await readFile(fixture("movies-empty.parquet")), async (cut) => {
      for (let length = (await stat(cut)).size - 1; length >= 0; length -= extent({ plain: 3, all: 1 })) {
        await truncate(cut, length);
        const { records, error } = await readAll(parquetFile({ path: cut }));
        expect(records).toEqual([]);
        expect(error).toMatchObject({ code: "INPUT_CUT", details: { path: cut } });
      }
    });
  });

  test.each(["movies-v2.parquet", "movies-plain.parquet", "types.parquet"])(
    "ends soon and in one of our errors, wherever %s is damaged",
    async (name) => {
      const bytes = await readFile(fixture(name));
      const ends = new Set<string | undefined>();
      for (let byte = 0; byte < bytes.length; byte += extent({ plain: 87, all: 29 })) {
        const damaged = Buffer.from(bytes);
        damaged[byte] = (damaged[byte] ?? 0) ^ 0x10;
        await withFile(damaged, async (file) => {
          const { error } = await readAll(parquetFile({ path: file }), { batchRecords: 20 });
          ends.add(error?.code);
        });
      }
      expect(ends).toContain("INPUT_CUT");
      expect(["INPUT_CUT", "RECORD_INVALID", "CAPABILITY_MISSING", undefined]).toEqual(
        expect.arrayContaining([...ends]),
      );
    },
  );

  test("gives the rows before a damaged page, to the row", async () => {
    const bytes = await readFile(fixture("movies-plain.parquet"));
    const title = Buffer.from(String(movies[200]?.["Title"]));
    // It also stands in statistics, where it says nothing of the rows.
    for (let at = bytes.indexOf(title); at !== -1; at = bytes.indexOf(title)) bytes[at] = (bytes[at] ?? 0) ^ 1;
    await withFile(bytes, async (file) => {
      const { records, error } = await readAll(parquetFile({ path: file }), { batchRecords: 1000 });
      // Its row group begins at row 180, and each page holds at least one row.
      expect(records.length).toBeGreaterThan(180);
      expect(records).toEqual(movies.slice(0, records.length));
      expect(records.length).toBeLessThanOrEqual(200);
      expect(error).toMatchObject({ code: "INPUT_CUT", details: { path: file, row: records.length } });
    });
  });

  test("takes a file of no rows for an empty one, and anything else for no Parquet file", async () => {
    const empty = await readAll(parquetFile({ path: fixture("movies-empty.parquet") }));
    expect(empty).toMatchObject({ records: [], error: null, offset: null });
    const json = await readAll(parquetFile({ path: publicData("anscombe.json") }));
    expect(json.error).toMatchObject({ code: "RECORD_INVALID" });
  });

  test("notices any change of the file, and an offset of another kind of source", async () => {
    await withFile(await readFile(fixture("movies-zstd.parquet")), async (file) => {
      const source = parquetFile({ path: file });
      const { batches } = await readAll(source, { batchRecords: 100 });
      const [first, second] = batches.map(({ offset }) => offset);
      expect(await source.inspect({ "0": first ?? null }, { "0": second ?? null })).toEqual({
        available: true,
        problem: "",
        recordsBetween: 100,
      });
      const elsewhere = await readAll(parquetFile({ path: fixture("movies-zstd.parquet") }), { from: first ?? null });
      expect(elsewhere.records).toEqual(movies.slice(100));
      await writeFile(file, await readFile(fixture("movies-gzip.parquet")));
      expect((await readAll(source, { from: first ?? null })).error).toMatchObject({ code: "SOURCE_MOVED" });
      expect(await source.inspect({ "0": first ?? null }, {})).toMatchObject({ available: false });
      expect((await readAll(source, { from: { file: "x", byte: 1, record: 1 } })).error).toMatchObject({
        code: "SOURCE_MOVED",
      });
    });
  });

  test("refuses an offset past the last row, which was set by hand", async () => {
    const source = parquetFile({ path: fixture("movies-zstd.parquet") });
    const { offset: end } = await readAll(source);
    const from = { ...(end as object), row: 251 };
    const gone = { code: "SOURCE_RANGE_GONE", details: { rows: 250, row: 251 } };
    expect((await readAll(source, { from })).error).toMatchObject(gone);
    expect(await source.inspect({ "0": from }, { "0": end })).toMatchObject({ available: false });
    expect(await readAll(source, { from: end })).toMatchObject({ error: null, records: [] });
  });

  test("goes on in the middle of 3 million flights, at the row after the one that was taken last", async () => {
    const source = parquetFile({ path: publicData("flights-3m.parquet") });
    const places: { readonly offset: SourceOffset; readonly next: unknown }[] = [];
    let last: SourceOffset | null = null;
    let rows = 0;
    for await (const { records, offset } of source.read({
      from: {},
      batchRecords: 100_003,
      signal: new AbortController().signal,
    })) {
      if (last !== null) places.push({ offset: last, next: records[0] });
      last = offset;
      rows += records.length;
    }
    expect(rows).toBe(3_000_000);
    for (const { offset, next } of places) {
      for await (const { records } of source.read({
        from: { "0": offset },
        batchRecords: 10,
        signal: new AbortController().signal,
      })) {
        expect(records[0]).toEqual(next);
        break;
      }
    }
  });
});
