import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { MemoryStore } from "../../store/memory/store.ts";
import { cutEveryByte, flipEveryByte, type ProbeResult } from "./damage.ts";

/** Lends a folder with two small files, the second of which nobody reads. */
async function withFolder(run: (folder: string, used: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-damage-kit-"));
  try {
    await writeFile(join(folder, "used"), `content ${sha256("content ")}`);
    await writeFile(join(folder, "unused"), "nobody reads this");
    await run(folder, join(folder, "used"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const open = async () => await MemoryStore.open();
const answers = async (path: string): Promise<ProbeResult> => ({ answers: await readFile(path, "latin1") });

async function checkedAnswers(path: string): Promise<ProbeResult> {
  const text = await readFile(path, "latin1");
  if (text.slice(8) === sha256(text.slice(0, 8))) return { answers: text };
  return { damage: ["the digest does not fit"] };
}

describe("flipEveryByte()", () => {
  test("fails where a flipped byte changes an answer and nothing is found", async () => {
    await withFolder(async (folder, used) => {
      await expect(flipEveryByte({ folder, open, probe: () => answers(used) })).rejects.toThrow(
        /byte 0 of used was flipped/,
      );
    });
  });

  test("counts what is found and what does no harm, and puts every byte back", async () => {
    await withFolder(async (folder, used) => {
      const before = await readFile(used);
      const probe = async (): Promise<ProbeResult> => {
        await writeFile(join(folder, "left-over"), "x");
        return await checkedAnswers(used);
      };
      const { length } = before;
      expect(await flipEveryByte({ folder, open, probe })).toEqual({ tried: length + 17, found: length, harmless: 17 });
      expect(await readFile(used)).toEqual(before);
      await expect(readFile(join(folder, "left-over"))).rejects.toThrow(/ENOENT/);
    });
  });

  test("takes our errors for findings, and no others", async () => {
    await withFolder(async (folder, used) => {
      const failing = (error: Error) => async (): Promise<ProbeResult> => {
        const result = await checkedAnswers(used);
        if ("damage" in result) throw error;
        return result;
      };
      const damaged = await flipEveryByte({ folder, open, probe: failing(new MementoError("DAMAGED", "found")) });
      expect(damaged.harmless).toBe(17);
      const plain = flipEveryByte({ folder, open, probe: failing(new TypeError("oops")) });
      await expect(plain).rejects.toThrow("oops");
      const other = flipEveryByte({ folder, open, probe: failing(new MementoError("NOT_FOUND", "gone")) });
      await expect(other).rejects.toThrow("gone");
    });
  });

  test("fails for a store that is not sound at the start", async () => {
    await withFolder(async (folder) => {
      const probe = async (): Promise<ProbeResult> => ({ damage: ["always"] });
      await expect(flipEveryByte({ folder, open, probe })).rejects.toThrow(/sound at the start/);
    });
  });
});

describe("cutEveryByte()", () => {
  test("cuts each file at each of its bytes", async () => {
    await withFolder(async (folder, used) => {
      const seen = new Set<number>();
      const probe = async (): Promise<ProbeResult> => {
        seen.add((await readFile(used)).length);
        return await checkedAnswers(used);
      };
      const { tried, found } = await cutEveryByte({ folder, open, probe, files: ["used"] });
      expect([tried, found, seen.size]).toEqual([51, 51, 52]);
    });
  });
});
