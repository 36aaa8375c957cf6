import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { readMissingEngines, requireEngine } from "./engines.ts";

let folder: string;
let notRunFile: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-engines-"));
  notRunFile = path.join(folder, "not-run.jsonl");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("requireEngine()", () => {
  test("gives true for an engine that is there, and registers nothing", async () => {
    const usable = await requireEngine("abacus", () => true, { MEMENTO_NOT_RUN_FILE: notRunFile });
    expect(usable).toBe(true);
    expect(readMissingEngines(notRunFile)).toEqual([]);
  });

  test("gives false for a missing engine, and registers it once with its reason", async () => {
    const environment = { MEMENTO_NOT_RUN_FILE: notRunFile };
    const probe = (): string => "no beads";
    expect(await requireEngine("abacus", probe, environment)).toBe(false);
    expect(await requireEngine("abacus", probe, environment)).toBe(false);
    expect(readMissingEngines(notRunFile)).toEqual([{ engine: "abacus", reason: "no beads" }]);
  });

  test("throws for a missing engine when everything is required", async () => {
    const environment = { MEMENTO_TEST: "all", MEMENTO_NOT_RUN_FILE: notRunFile };
    await expect(requireEngine("abacus", () => "no beads", environment)).rejects.toThrow(
      "MEMENTO_TEST=all requires abacus, which cannot be used: no beads",
    );
  });

  test("refuses a value of MEMENTO_TEST that means nothing, even when the engine is there", async () => {
    await expect(requireEngine("abacus", () => true, { MEMENTO_TEST: "al" })).rejects.toThrow('MEMENTO_TEST is "al"');
  });

  test("lets an error inside a probe through", async () => {
    const probe = (): never => {
      throw new TypeError("a mistake in the probe");
    };
    await expect(requireEngine("abacus", probe, {})).rejects.toThrow("a mistake in the probe");
  });
});
