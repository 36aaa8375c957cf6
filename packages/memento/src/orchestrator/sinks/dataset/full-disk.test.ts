import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { by, codeOf, keep } from "../../../../../../test/harness/dataset-loan.ts";
import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../../test/harness/small-disk.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { datasetFolder, readDataset } from "./index.ts";

const hasDisks = await requireEngine("a small tmpfs (root)", mayMount);

describe.skipIf(!hasDisks)("a disk", () => {
  test("that is full is told as DISK_FULL; the newest version stays whole, and goes on with room", async () => {
    await withSmallDisk("size=400k", async (mount, remount) => {
      const folder = join(mount, "out");
      const open = async () => {
        const sink = datasetFolder({ folder, format: "jsonl", mergeFiles: 4, graceMs: 0 });
        const signal = new AbortController().signal;
        await sink.open({ timeline: "one", name: "out", clock: new ManualClock(), signal });
        return sink;
      };
      const sink = await open();
      const rows = Array.from({ length: 100 }, (_none, id) => ({ id, text: "x".repeat(150) }));
      const write = by();
      const first = await sink.write(rows, by());
      let message = "";
      for (let batch = 0; batch < 100 && message === ""; batch++) {
        const thrown = await codeOf(() => sink.write(rows, { ...write, token: `full ${batch}` }));
        if (thrown !== "nothing was thrown") message = thrown;
      }
      expect(message).toMatch(/^DISK_FULL /);
      const { files, rows: count } = await readDataset(folder);
      const there = await readdir(join(folder, "files"));
      for (const { name } of files) expect(there).toContain(name.slice("files/".length));
      expect(count % 100).toBe(0);
      remount("size=4m");
      const next = await open();
      expect((await next.write(rows, by())).duplicate).toBe(false);
      expect((await readDataset(folder)).rows).toBe(count + 100);
      await next.revertTo(first.mark, by(), keep);
      expect((await readDataset(folder)).rows).toBe(100);
    });
  });
});
