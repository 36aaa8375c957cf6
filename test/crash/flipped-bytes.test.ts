import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";
import { flipEveryByte, type ProbeResult } from "@mementojs/memento/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { extent } from "../harness/extent.ts";
import { loadPipeline } from "./load-pipeline.ts";

// MEMENTO_EVERY_BYTE=1: each byte in turn, 15 minutes of work. Otherwise one in 7 or 61, which still meets every page and file.
const every = extent({ plain: 61, all: 7, variable: "MEMENTO_EVERY_BYTE" });
// Nothing is killed here, so nothing needs a disk: each probe opens a store, and a slow disk would be all that is measured.
const memory = "/dev/shm";
const keys = { raw: [new Uint8Array(32).fill(3)] };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(existsSync(memory) ? memory : tmpdir(), "memento-flips-"));
  mkdirSync(path.join(folder, "store"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** All that a user can learn from a store, or the damage that was named. */
async function ask(memento: Memento): Promise<ProbeResult> {
  const report = await memento.verify();
  if (!report.sound) return { damage: report.damages.map(({ problem }) => problem) };
  const answers: unknown[] = [report.mementos];
  const small = memento.caretaker("small");
  for await (const info of small.list()) answers.push([info, await small.load(info.id)]);
  for await (const entry of memento.history({ name: "load" })) {
    const opened = await memento.vault.load(entry.id);
    answers.push([entry, opened.fields(), [...(await opened.values(""))]]);
  }
  for await (const { record, head, lease } of memento.timelines()) answers.push([record, head, lease]);
  return { answers: JSON.parse(JSON.stringify(answers)) as never };
}

describe("P3 true: one flipped byte anywhere in a store", () => {
  test.each(["sqlite", "file"])(
    "%s: is found and named, or every answer stays the same",
    async (scheme) => {
      const place = scheme === "sqlite" ? path.join(folder, "store", "store.db") : path.join(folder, "store");
      {
        await using memento = await Memento.open(`${scheme}:${place}`, { keys });
        const small = memento.caretaker("small");
        await small.save(
          { a: 1, b: ["two", new Date(3)] },
          { id: "first", labels: { day: "1" }, metadata: { secret: true } },
        );
        await small.save({ a: 2, b: ["two", new Date(3)] });
        await small.delete((await small.save({ a: 3 })).id);
        await memento.run(loadPipeline({ folder, count: 12 }));
      }
      const report = await flipEveryByte({
        folder: path.join(folder, "store"),
        every,
        found: ["FORMAT_UNKNOWN", "KEY_WRONG", "NOT_A_STORE"],
        open: async () => (await openStore(`${scheme}:${place}`)).store,
        probe: async (store) => await ask(await Memento.open(store, { keys, create: false })),
      });
      // The rest of a database file is space that is not in use; a store of plain files has none.
      expect(report.found).toBeGreaterThan(report.tried / (scheme === "file" ? 1.01 : 8));
    },
    1_800_000,
  );
});
