import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { by, codeOf, keep } from "../../../../../../test/harness/dataset-loan.ts";
import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { datasetFolder, readDataset } from "./index.ts";

const mayMount = await requireEngine("a small tmpfs (root)", () => {
  if (process.getuid?.() !== 0) return "only root may mount";
  const probe = mkdtempSync(join(tmpdir(), "memento-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", ["-l", probe]);
    return true;
  } catch (error) {
    return `mount refused: ${String(error)}`;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
});

describe.skipIf(!mayMount)("a disk", () => {
  test("that is full is told as DISK_FULL; the newest version stays whole, and goes on with room", async () => {
    const mount = mkdtempSync(join(tmpdir(), "memento-mount-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=400k", "tmpfs", mount]);
    try {
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
      execFileSync("mount", ["-o", "remount,size=4m", mount]);
      const next = await open();
      expect((await next.write(rows, by())).duplicate).toBe(false);
      expect((await readDataset(folder)).rows).toBe(count + 100);
      await next.revertTo(first.mark, by(), keep);
      expect((await readDataset(folder)).rows).toBe(100);
    } finally {
      execFileSync("umount", ["-l", mount]);
      rmSync(mount, { recursive: true });
    }
  });
});
