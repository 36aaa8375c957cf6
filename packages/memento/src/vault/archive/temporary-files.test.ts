/** Imports that need room for temporary files, and have none. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../test/harness/small-disk.ts";
import { Memento } from "../../memento.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";

let folder: string;
let file: string;

async function opened(): Promise<Memento> {
  const memento = await Memento.open("memory:", { keys: { raw: [new Uint8Array(32).fill(4)] } });
  onTestFinished(async () => await memento.close());
  return memento;
}

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-temporary-"));
  file = path.join(folder, "a.memento");
  const memento = await opened();
  const random = new SeededRandom(1);
  await memento.caretaker("etl").saveStream(Array.from({ length: 40 }, () => random.bytes(65_536)));
  const state = (await Array.fromAsync(memento.timelines())).find(({ record }) => record.originator === "default");
  await memento.exportTo(file, { timeline: state?.record.key ?? "" });
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const ways: readonly (readonly [string, (memento: Memento) => Promise<unknown>])[] = [
  ["a stream", async (memento) => await memento.importFrom(Readable.from([readFileSync(file)]))],
  ["a fork of a timeline's head", async (memento) => await memento.importFrom(file, { fork: "other" })],
];

describe.each(ways)("%s", (_what, work) => {
  test("where there is no such folder, is refused with its name and the way out", async () => {
    const memento = await opened();
    vi.stubEnv("TMPDIR", path.join(folder, "gone"));
    await expect(work(memento)).rejects.toMatchObject({
      code: "IO_FAILED",
      message: expect.stringContaining(path.join(folder, "gone")) as string,
      hint: expect.stringContaining("TMPDIR") as string,
    });
    expect((await memento.statistics()).total.mementos).toBe(0);
  });

  test("on a full disk says so, and leaves nothing there", async () => {
    if (!(await requireEngine("a small tmpfs (root)", mayMount))) return;
    await withSmallDisk("size=1m", async (disk) => {
      const memento = await opened();
      vi.stubEnv("TMPDIR", disk);
      await expect(work(memento)).rejects.toMatchObject({ code: "DISK_FULL" });
      expect(readdirSync(disk)).toEqual([]);
      expect((await memento.statistics()).total.mementos).toBe(0);
    });
  });
});
