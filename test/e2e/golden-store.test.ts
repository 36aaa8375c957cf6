import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { GOLDEN_CODECS, goldenPipeline, goldenStates, goldenVersions } from "../fixtures/golden-content.ts";
import { tellStore } from "../fixtures/tell-store.ts";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-golden-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const stores = [
  ["sqlite.db", "sqlite"],
  ["file-store", "file"],
] as const;

/** A copy of a golden store, open, and what was told of it when it was made. */
async function openGolden(version: string, name: string, scheme: string): Promise<{ memento: Memento; told: unknown }> {
  cpSync(path.join(fixtures, version), folder, { recursive: true });
  const told = JSON.parse(readFileSync(path.join(folder, "told.json"), "utf8")) as Record<string, unknown>;
  return { memento: await Memento.open(`${scheme}:${path.join(folder, name)}`), told: told[name] };
}

async function checkGolden(memento: Memento, told: unknown): Promise<void> {
  expect(await tellStore(memento)).toEqual(told);
  const caretaker = memento.caretaker("golden");
  for (const [id, state] of Object.entries(goldenStates())) expect(await caretaker.load(id)).toEqual(state);
  expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  const result = await memento.run(goldenPipeline(path.join(folder, "table.db")), {
    fresh: true,
    params: { upTo: 40 },
  });
  expect(result.status).toBe("completed");
  expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
}

describe("P9 readable for ever: a store of format version 1", () => {
  test.each(stores)("%s is read to the byte, verified, and written on", async (name, scheme) => {
    const { memento, told } = await openGolden("format-1", name, scheme);
    await using opened = memento;
    await checkGolden(opened, told);
    expect(opened.vault.meta.format).toBe(1);
  });
});

describe("P9 readable for ever: a store of format version 2", () => {
  test.each(stores)(
    "%s is read to the byte, with its deltas in every codec, verified, and written on",
    async (name, scheme) => {
      const { memento, told } = await openGolden("format-2", name, scheme);
      await using opened = memento;
      await checkGolden(opened, told);
      for (const codec of GOLDEN_CODECS) {
        const increments = opened.caretaker(`increments-${codec}`);
        for (const [id, state] of Object.entries(goldenVersions())) expect(await increments.load(id)).toEqual(state);
        const { heldBytes, logicalBytes } = await increments.info("version-8").then(({ sizes }) => sizes);
        expect(heldBytes).toBeLessThan(logicalBytes / 4);
        const next = await increments.save({ version: 9, rows: [] }, { id: "version-9" });
        expect(await increments.load(next.id)).toEqual({ version: 9, rows: [] });
      }
    },
  );
});
