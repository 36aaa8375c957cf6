import { readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../../test/harness/small-disk.ts";
import { by } from "../../../../../../test/workers/duckdb-sinks.ts";
import { systemClock } from "../../../core/ports.ts";
import { SeededRandom } from "../../../testing/seeded-random.ts";
import type { Sink } from "../sink.ts";
import { duckdbTable } from "./index.ts";

const hasDisks = await requireEngine("a small tmpfs (root)", mayMount);

async function openSink(path: string): Promise<Sink> {
  const columns = { n: "INTEGER", text: "VARCHAR" };
  const sink = duckdbTable<unknown>({ path, settings: { threads: "1" }, table: "t", mode: "append", columns });
  const signal = new AbortController().signal;
  await sink.open({ timeline: "one", name: "out", clock: systemClock, signal });
  return sink;
}

describe.skipIf(!hasDisks)("a disk", () => {
  test("that is full is told as DISK_FULL; nothing is half done, and the sink goes on with room", async () => {
    await withSmallDisk("size=6m", async (mount, remount) => {
      const path = join(mount, "target.duckdb");
      const sink = await openSink(path);
      const { mark } = await sink.write([{ n: 0, text: "first" }], by("t1"));
      const random = new SeededRandom(1);
      const word = (): string => Array.from({ length: 12 }, () => random.integer(2 ** 30).toString(36)).join("");
      const rows = Array.from({ length: 100_000 }, (_, n) => ({ n, text: word() }));
      await expect(sink.write(rows, by("t2"))).rejects.toMatchObject({
        code: "DISK_FULL",
        retryable: true,
        message: expect.stringContaining(path) as string,
      });
      expect(await sink.mark()).toEqual(mark);
      expect(await sink.inspect(null)).toMatchObject({ remove: 1 });
      remount("size=64m");
      expect(await sink.write(rows, by("t2"))).toMatchObject({ rows: 100_000, duplicate: false });
      await sink.close();
    });
  }, 60_000);

  test("without room for a checkpoint and its guard keeps what was written in the log", async () => {
    await withSmallDisk("size=16m", async (mount) => {
      const path = join(mount, "target.duckdb");
      await (await openSink(path)).close();
      const { bavail, bsize } = statfsSync(mount);
      writeFileSync(join(mount, "filler"), Buffer.alloc(bavail * bsize - 100_000));
      const first = await openSink(path);
      const { mark } = await first.write([{ n: 1, text: "kept" }], by("t1"));
      await first.close();
      expect(readdirSync(mount).toSorted()).toEqual(["filler", "target.duckdb", "target.duckdb.wal"]);
      const second = await openSink(path);
      expect(await second.mark()).toEqual(mark);
      rmSync(join(mount, "filler"));
      await second.close();
      expect(readdirSync(mount)).toEqual(["target.duckdb"]);
    });
  }, 60_000);
});
