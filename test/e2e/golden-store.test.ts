import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { goldenPipeline, goldenStates } from "../fixtures/golden-content.ts";
import { tellStore } from "../fixtures/tell-store.ts";

const golden = fileURLToPath(new URL("../fixtures/format-1/", import.meta.url));
const told = JSON.parse(readFileSync(path.join(golden, "told.json"), "utf8")) as Record<string, unknown>;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-golden-"));
  cpSync(golden, folder, { recursive: true });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("P9 readable for ever: a store of format version 1", () => {
  test.each([
    ["sqlite.db", "sqlite"],
    ["file-store", "file"],
  ])("%s is read to the byte, verified, and written on", async (name, scheme) => {
    await using memento = await Memento.open(`${scheme}:${path.join(folder, name)}`);
    expect(await tellStore(memento)).toEqual(told[name]);
    const caretaker = memento.caretaker("golden");
    for (const [id, state] of Object.entries(goldenStates())) expect(await caretaker.load(id)).toEqual(state);
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
    const result = await memento.run(goldenPipeline(path.join(folder, "table.db")), {
      fresh: true,
      params: { upTo: 40 },
    });
    expect(result.status).toBe("completed");
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  });
});
