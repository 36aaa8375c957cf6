import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import type { DuckDBConnection } from "@duckdb/node-api";
import { describe, expect, test } from "vitest";

import { by, type DuckdbSinks, gently, startWriter, withSinks } from "../../../../../../test/workers/duckdb-sinks.ts";
import { SeededRandom } from "../../../testing/seeded-random.ts";

const HOLDER = fileURLToPath(new URL("../../../../../../test/workers/duckdb-holder.ts", import.meta.url));
const PAGE = 4_096;
const BLOCKS = 3 * PAGE;
const BLOCK = 64 * PAGE;
const columns = { id: "VARCHAR", note: "VARCHAR" };
const options = { mode: "upsert", columns, key: "id", holdMs: 1_000 } as const;

/** A database with two writes, around the checkpoint of the second. */
interface Checkpoint extends Disposable {
  /** Its folder before anything was overwritten: the checkpoint is announced in the log. */
  readonly before: string;
  readonly after: string;
}

function copy(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}

/** Writes and closes; `cut` is the place where DuckDB gives up the checkpoint. */
async function write(sinks: DuckdbSinks, token: string, ids: readonly string[], cut = "none"): Promise<void> {
  const onOpen = async (connection: DuckDBConnection): Promise<void> => {
    await connection.run(`SET GLOBAL debug_checkpoint_abort = '${cut}'`);
  };
  const sink = await sinks.open({ ...options, onOpen });
  await sink.write(
    ids.map((id) => ({ id, note: token })),
    by(token),
  );
  await sink.close();
}

async function twoWrites(sinks: DuckdbSinks): Promise<Checkpoint> {
  const copies = mkdtempSync(join(tmpdir(), "memento-copies-"));
  const [before, after] = [join(copies, "before"), join(copies, "after")];
  await write(sinks, "t1", ["a", "b"]);
  await write(sinks, "t2", ["b", "c"], "before_header");
  copy(sinks.folder, before);
  await sinks.exec("SELECT 1");
  copy(sinks.folder, after);
  return { before, after, [Symbol.dispose]: () => rmSync(copies, { recursive: true }) };
}

const SELECT = "SELECT id, note FROM t ORDER BY id";
const ROWS = [
  ["a", "t1"],
  ["b", "t2"],
  ["c", "t2"],
];

/** Everything is there once, and can be gone back from; nothing is left beside the database. */
async function expectWhole(sinks: DuckdbSinks): Promise<void> {
  const sink = await sinks.open(options);
  expect(await sink.write([{ id: "c", note: "again" }], by("t2"))).toMatchObject({ duplicate: true });
  expect(await sinks.query(SELECT)).toEqual(ROWS);
  await sink.revertTo(null, by("r"), gently);
  expect(await sinks.query(SELECT)).toEqual([]);
  await sink.close();
  expect(readdirSync(sinks.folder)).toEqual(["target.duckdb"]);
}

/** Where the pages begin that a checkpoint has overwritten, but for the headers, which it writes last. */
function overwritten({ before, after }: Checkpoint): number[] {
  const [old, now] = [readFileSync(join(before, "target.duckdb")), readFileSync(join(after, "target.duckdb"))];
  const pages = Array.from({ length: old.length / PAGE - 3 }, (_, index) => BLOCKS + index * PAGE);
  return pages.filter((at) => !now.subarray(at, at + PAGE).equals(old.subarray(at, at + PAGE)));
}

/** Puts the files of before into their place, with some pages as the checkpoint wrote them, or the beginnings of pages. */
function tear(
  { folder, path }: DuckdbSinks,
  { before, after }: Checkpoint,
  pages: readonly number[],
  length: number = PAGE,
): void {
  copy(before, folder);
  const [torn, now] = [readFileSync(path), readFileSync(join(after, "target.duckdb"))];
  for (const at of pages) now.copy(torn, at, at, at + length);
  writeFileSync(path, torn);
}

/** Puts a byte into the first block that is not what was written there. */
function rot(path: string): void {
  const file = readFileSync(path);
  file[BLOCKS + 100] = (file[BLOCKS + 100] ?? 0) ^ 1;
  writeFileSync(path, file);
}

const guardOf = ({ path }: DuckdbSinks): string => `${path}.memento-guard`;

describe("a checkpoint that was cut short", () => {
  test("at any page loses nothing", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      const pages = overwritten(checkpoint);
      expect(pages.length).toBeGreaterThan(5);
      for (let count = 0; count <= pages.length; count++) {
        tear(sinks, checkpoint, pages.slice(0, count));
        expect(await sinks.query(SELECT)).toEqual(ROWS);
      }
      tear(sinks, checkpoint, pages.slice(0, 3));
      await expectWhole(sinks);
    });
  });

  test("by a loss of power, which any of its pages may survive, loses nothing", async () => {
    await withSinks(async (sinks) => {
      // So wide a table needs several blocks of metadata.
      const wide = Array.from({ length: 150 }, (_, index) => `c${index} VARCHAR DEFAULT 'some text for ${index}'`);
      await sinks.exec(`CREATE TABLE wide (${wide.join(", ")})`);
      await sinks.exec("INSERT INTO wide (c0) SELECT i::VARCHAR FROM range(3000) r(i)");
      using checkpoint = await twoWrites(sinks);
      const pages = overwritten(checkpoint);
      expect(new Set(pages.map((at) => Math.floor((at - BLOCKS) / BLOCK))).size).toBe(2);
      const random = new SeededRandom(1);
      for (let round = 0; round < 10; round++) {
        tear(
          sinks,
          checkpoint,
          pages.filter(() => random.integer(2) === 0),
        );
        expect(await sinks.query("SELECT count(c149), count(DISTINCT c0) FROM wide")).toEqual([["3000", "3000"]]);
        await expectWhole(sinks);
      }
    });
  });

  test("by a loss of power inside its header loses nothing", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      tear(sinks, checkpoint, [PAGE, 2 * PAGE], 10);
      await expectWhole(sinks);
    });
  });

  test.each(["before_header", "after_free_list_write", "before_truncate", "before_wal_finish"])(
    "where DuckDB itself can stop (%s) loses nothing",
    async (cut) => {
      await withSinks(async (sinks) => {
        await write(sinks, "t1", ["a", "b"]);
        await write(sinks, "t2", ["b", "c"], cut);
        expect(existsSync(`${sinks.path}.wal`) && existsSync(guardOf(sinks))).toBe(true);
        await expectWhole(sinks);
      });
    },
  );

  test("while its copy was written has not begun", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      const kept = readFileSync(join(checkpoint.before, "target.duckdb.memento-guard"));
      for (const left of [kept.subarray(0, 0), kept.subarray(0, 30), kept.subarray(0, -1), Buffer.from("of another")]) {
        copy(checkpoint.before, sinks.folder);
        writeFileSync(guardOf(sinks), left);
        await expectWhole(sinks);
      }
    });
  });

  test("is mended by one of those who come at once", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      const pages = overwritten(checkpoint);
      for (let round = 0; round < 3; round++) {
        tear(sinks, checkpoint, pages.slice(0, 3 + 3 * round));
        const comers = ["x", "y", "z"].map((id) => startWriter(sinks.path, id));
        expect(await Promise.all(comers.map(async (comer) => await comer.close()))).toEqual([0, 0, 0]);
        const theirs = ["x", "y", "z"].map((id) => [id, "writer"]);
        expect(await sinks.query(SELECT)).toEqual([...ROWS, ...theirs]);
      }
    });
  });
});

describe("a copy of what a checkpoint overwrites", () => {
  test("mends no damage of later", async () => {
    await withSinks(async (sinks) => {
      await write(sinks, "t1", ["a", "b"]);
      await write(sinks, "t2", ["b", "c"], "before_wal_finish");
      rot(sinks.path);
      const damaged = readFileSync(sinks.path);
      await expect(sinks.open(options)).rejects.toMatchObject({ code: "DAMAGED" });
      expect(readFileSync(sinks.path).equals(damaged)).toBe(true);
    });
  });

  test("that is not whole mends nothing", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      tear(sinks, checkpoint, overwritten(checkpoint).slice(0, 5));
      const torn = readFileSync(sinks.path);
      writeFileSync(guardOf(sinks), readFileSync(guardOf(sinks)).subarray(0, -1));
      await expect(sinks.open(options)).rejects.toMatchObject({ code: "DAMAGED" });
      expect(readFileSync(sinks.path).equals(torn)).toBe(true);
    });
  });

  test("leaves a database alone that was put into the place of its own", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      await withSinks(async (others) => {
        await write(others, "u1", ["d", "e"]);
        // The two were made alike, and their headers are the same.
        const [one, other] = [readFileSync(join(checkpoint.before, "target.duckdb")), readFileSync(others.path)];
        expect(one.subarray(0, BLOCKS).equals(other.subarray(0, BLOCKS))).toBe(true);
        expect(one.equals(other)).toBe(false);
        writeFileSync(guardOf(others), readFileSync(join(checkpoint.before, "target.duckdb.memento-guard")));
        expect(await others.query(SELECT)).toEqual([
          ["d", "u1"],
          ["e", "u1"],
        ]);
        expect(existsSync(guardOf(others))).toBe(false);
      });
    });
  });

  test("is not touched while another process has the database open", async () => {
    await withSinks(async (sinks) => {
      using checkpoint = await twoWrites(sinks);
      copy(checkpoint.before, sinks.folder);
      const holder = spawn(process.execPath, [HOLDER, sinks.path]);
      await once(holder.stdout, "data");
      // As if it were in the middle of a checkpoint.
      rot(sinks.path);
      const files = (): Buffer[] => [sinks.path, guardOf(sinks)].map((path) => readFileSync(path));
      const held = files();
      await expect(sinks.open(options)).rejects.toMatchObject({ code: "LOCKED" });
      expect(files()).toEqual(held);
      holder.kill("SIGKILL");
      await once(holder, "close");
      await expectWhole(sinks);
    });
  });
});
