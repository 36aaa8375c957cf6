import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { describe, expect, test } from "vitest";

import { by, codeOf, keep, rowsOf, withFolder } from "../../../../../../test/harness/dataset-loan.ts";
import { readRows } from "../../../../../../test/workers/dataset-folder.ts";
import { nodeDatasetFiles } from "./files.ts";
import { readDataset } from "./index.ts";

describe("versions", () => {
  test("can each be read, whole, until they are trimmed", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl", mergeFiles: 2, graceMs: 0 });
      const seen = new Map<number, unknown[]>();
      const note = async (): Promise<void> => void seen.set((await readDataset(folder)).version, await rowsOf(folder));
      for (let row = 0; row < 7; row++) {
        await sink.write([{ row }], by());
        await note();
      }
      const mark = await sink.mark();
      await sink.revertTo({ position: 3 }, by(), keep);
      await note();
      await sink.revertTo(mark, by(), keep);
      await note();
      expect(seen.size).toBe(9);
      for (const [version, rows] of seen) expect(await rowsOf(folder, version)).toEqual(rows);
      await sink.trim(await sink.mark());
      const { oldest, version } = await readDataset(folder);
      expect(await rowsOf(folder)).toEqual(seen.get([...seen.keys()].at(-1) ?? 0));
      expect(await codeOf(() => readDataset(folder, { version: oldest - 1 }))).toContain("TRIMMED");
      expect(await codeOf(() => readDataset(folder, { version: version + 1 }))).toContain("NOT_FOUND");
      const listed = (await readDataset(folder)).files.map(({ name }) => name.slice("files/".length));
      expect((await readdir(path.join(folder, "files"))).toSorted()).toEqual(listed);
    });
  });

  test("keep their files for readers until the grace period is over", async () => {
    await withFolder(async ({ folder, clock, open }) => {
      const sink = await open({ format: "jsonl", graceMs: 1_000 });
      await sink.write([{ row: 1 }], by());
      const [reading] = (await readDataset(folder)).files;
      await sink.revertTo(null, by(), keep);
      await sink.trim(await sink.mark());
      expect(await readRows(reading?.path ?? "")).toEqual([{ row: 1 }]);
      await clock.tick(1_001);
      await sink.trim(await sink.mark());
      expect(existsSync(reading?.path ?? "")).toBe(false);
    });
  });

  test("are shown by `current` as of the last rollback or end of a run", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl" });
      const { mark } = await sink.write([{ row: 1 }], by());
      await sink.write([{ row: 2 }], by());
      const shown = async (): Promise<number> => (await readdir(path.join(folder, "current"))).length;
      await sink.trim(null);
      expect(await shown()).toBe(2);
      await sink.revertTo(mark, by(), keep);
      expect(await shown()).toBe(1);
      const without = await open({ format: "jsonl", current: false }, "two");
      await without.write([{ row: 3 }], by());
      await without.trim(null);
      expect(await shown()).toBe(1);
    });
  });

  test("are few files and small books after many writes and trims", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl", mergeFiles: 4, graceMs: 0 });
      const sizes: number[] = [];
      for (let write = 1; write <= 320; write++) {
        const { mark } = await sink.write([{ write }], by());
        if (write % 16 === 0) await sink.trim(mark);
        if (write % 160 === 0) sizes.push((await readdir(folder, { recursive: true })).length);
      }
      expect((await readDataset(folder)).files.length).toBeLessThan(16);
      expect((await readDataset(folder)).rows).toBe(320);
      const names = await readdir(path.join(folder, "files"));
      expect(names.length).toBeLessThan(16);
      expect(sizes[1]).toBeLessThan(2 * (sizes[0] ?? 0) + 8);
    });
  });
});

describe("large batches", () => {
  test("are cut into files, and Parquet into row groups", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "parquet", fileRowsMax: 2_500, rowGroupRows: 1_000 });
      await sink.write(
        Array.from({ length: 6_000 }, (_none, id) => ({ id })),
        by(),
      );
      const { files, rows } = await readDataset(folder);
      expect([rows, files.map((file) => file.rows)]).toEqual([6_000, [2_500, 2_500, 1_000]]);
      const { parquetMetadata } = await import("hyparquet");
      const content = await readFile(files[0]?.path ?? "");
      const { row_groups: groups } = parquetMetadata(
        content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength),
      );
      expect(groups.map(({ num_rows: count }) => Number(count))).toEqual([1_000, 1_000, 500]);
      expect(await rowsOf(folder)).toEqual(Array.from({ length: 6_000 }, (_none, id) => ({ id })));
    });
  });
});

describe("several writers", () => {
  test("publish side by side: nobody's rows are lost", async () => {
    await withFolder(async ({ folder, open }) => {
      const names = ["one", "two", "three", "four"];
      const sinks = await Promise.all(names.map(async (name) => await open({ format: "csv", mergeFiles: 3 }, name)));
      await Promise.all(
        sinks.map(async (sink, place) => {
          for (let write = 0; write < 12; write++) await sink.write([{ place, write }], by());
        }),
      );
      const rows = (await rowsOf(folder)) as { place: string; write: string }[];
      expect(rows.length).toBe(48);
      expect(new Set(rows.map(({ place, write }) => `${place}:${write}`)).size).toBe(48);
    });
  });

  test("a writer that slept through many versions and their trimming is believed no more", async () => {
    await withFolder(async ({ folder, open }) => {
      const [old, next] = [await open({ format: "jsonl", graceMs: 0 }), await open({ format: "jsonl", graceMs: 0 })];
      await old.write([{ row: 0 }], by(1));
      await next.fence(2);
      for (let row = 1; row < 5; row++) await next.write([{ row }], by(2));
      await next.trim(await next.mark());
      expect(await readdir(path.join(folder, "_memento/manifests"))).toEqual([]);
      expect(await codeOf(() => old.write([{ row: 99 }], by(1)))).toContain("FENCED");
      expect(await rowsOf(folder)).toEqual([0, 1, 2, 3, 4].map((row) => ({ row })));
    });
  });

  test("a name that is spent is not taken: the sleeper woke between its look and its commit", async () => {
    await withFolder(async ({ folder, open }) => {
      const next = await open({ format: "jsonl", graceMs: 0 });
      let wake: (() => Promise<void>) | null = null;
      const files = {
        ...nodeDatasetFiles,
        link: async (file: string, name: string) => {
          const work = name.includes("manifests") ? wake : null;
          wake = null;
          await work?.();
          await nodeDatasetFiles.link(file, name);
        },
      };
      const old = await open({ format: "jsonl", graceMs: 0, files });
      await old.write([{ row: 0 }], by(1));
      wake = async () => {
        await next.fence(2);
        for (let row = 1; row < 5; row++) await next.write([{ row }], by(2));
        await next.trim(await next.mark());
      };
      expect(await codeOf(() => old.write([{ row: 99 }], by(1)))).toContain("FENCED");
      expect(await rowsOf(folder)).toEqual([0, 1, 2, 3, 4].map((row) => ({ row })));
      await next.write([{ row: 5 }], by(2));
      expect((await readDataset(folder)).rows).toBe(6);
    });
  });
});

describe("foreign changes of merged files", () => {
  test("hold back what the file was made from: no row comes twice", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl", mergeFiles: 3 });
      const { mark } = await sink.write([{ row: 1 }], by());
      await sink.write([{ row: 2 }], by());
      await sink.write([{ row: 3 }], by());
      const [merged] = (await readDataset(folder)).files;
      expect(merged?.rows).toBe(3);
      await writeFile(merged?.path ?? "", '{"row":1}\n{"row":"masked"}\n{"row":3}\n');
      const { remove, restore, foreign } = await sink.inspect(mark);
      expect({ remove, restore, foreign }).toEqual({
        remove: 0,
        restore: 0,
        foreign: [{ item: merged?.name, change: "changed" }],
      });
      const { kept } = await sink.revertTo(mark, by(), keep);
      expect(kept).toEqual(foreign);
      expect(await rowsOf(folder)).toEqual([{ row: 1 }, { row: "masked" }, { row: 3 }]);
      await sink.revertTo(mark, by(), { force: true });
      expect(await rowsOf(folder)).toEqual([{ row: 1 }]);
    });
  });

  test("hold back another file that was merged from the same", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl", mergeFiles: 2 });
      const first = await sink.write([{ row: 1 }], by());
      const second = await sink.write([{ row: 2 }], by());
      const third = await sink.write([{ row: 3 }], by());
      await sink.revertTo(first.mark, by(), keep);
      await sink.revertTo(second.mark, by(), keep);
      await sink.revertTo(third.mark, by(), keep);
      await sink.write([{ row: 4 }], by());
      const [listed] = (await readDataset(folder)).files;
      const change = { remove: 1, restore: 0, foreignTotal: 0 };
      expect(await sink.inspect(third.mark)).toMatchObject(change);
      await writeFile(listed?.path ?? "", '{"row":"masked"}\n');
      await sink.revertTo(first.mark, by(), keep);
      const rows = (await rowsOf(folder)).map((row) => JSON.stringify(row));
      expect(rows).toContain('{"row":"masked"}');
      expect(new Set(rows).size).toBe(rows.length);
    });
  });

  test("are not merged any further", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "parquet", mergeFiles: 2 });
      await sink.write([{ row: 1 }], by());
      const [first] = (await readDataset(folder)).files;
      await writeFile(first?.path ?? "", "no longer Parquet");
      await sink.write([{ row: 2 }], by());
      expect((await readDataset(folder)).files.length).toBe(2);
      expect((await sink.inspect(null)).foreign).toEqual([{ item: first?.name, change: "changed" }]);
    });
  });

  test("a file of an older version that was written over refuses even force, by name", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl" });
      const { mark } = await sink.write([{ row: 1 }], by());
      const [file] = (await readDataset(folder)).files;
      await sink.revertTo(null, by(), keep);
      await rm(file?.path ?? "");
      expect((await sink.inspect(mark)).foreign).toEqual([{ item: file?.name, change: "deleted" }]);
      expect(await codeOf(() => sink.revertTo(mark, by(), { force: true }))).toContain(`NOT_REVERTIBLE ${file?.name}`);
    });
  });
});

describe("damage", () => {
  test("of a manifest is found at every byte, and a missing one is named", async () => {
    await withFolder(async ({ folder, open }) => {
      const sink = await open({ format: "jsonl" });
      await sink.write([{ row: 1 }], by());
      await sink.write([{ row: 2 }], by());
      const first = path.join(folder, "_memento/manifests/000000000001.json");
      const sound = await readFile(first);
      for (let offset = 0; offset < sound.length; offset++) {
        const flipped = Buffer.from(sound);
        flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
        await writeFile(first, flipped);
        expect(await codeOf(() => readDataset(folder)), `byte ${offset}`).toMatch(
          /^(DAMAGED|FORMAT_UNKNOWN) .*0001\.json/,
        );
      }
      await rm(first);
      expect(await codeOf(() => readDataset(folder))).toMatch(/^DAMAGED .*0001\.json is missing/);
    });
  });

  test("a folder that is a file, and a folder of another format, are said to be so", async () => {
    await withFolder(async ({ folder, open }) => {
      await writeFile(folder, "a file");
      expect(await codeOf(() => open({ format: "csv" }))).toContain("INVALID_ARGUMENT");
      await rm(folder);
      await (await open({ format: "csv" })).write([{ a: 1 }], by());
      expect(await codeOf(() => open({ format: "jsonl" }))).toContain("is a csv dataset, not jsonl");
    });
  });
});
