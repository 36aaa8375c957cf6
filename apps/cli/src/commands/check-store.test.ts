import { mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";

/** A driver as somebody outside would write one: here around SQLite, with a fault where it is asked for. */
const DRIVER = `
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { SqliteStore } from "@mementojs/memento/stores/sqlite";

const BROKEN: boolean = FAULT;

export async function openStore(address: string) {
  const store = await SqliteStore.open({ path: address });
  const acquire = store.acquireLease.bind(store);
  if (BROKEN) store.acquireLease = async (change) => (await acquire(change)) || true;
  return store;
}

export async function place() {
  const folder = mkdtempSync(path.join(tmpdir(), "memento-outside-"));
  const address = path.join(folder, "store.db");
  return { address, open: async () => await openStore(address), dispose: async () => rmSync(folder, { recursive: true }) };
}
`;

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-check-")));
  symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
  for (const fault of [true, false])
    writeFileSync(path.join(folder, fault ? "broken.ts" : "driver.ts"), DRIVER.replace("FAULT", String(fault)));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const PART = ["--grep", "^(acquireLease|append|timelines)"];

describe("memento check-store", () => {
  test("passes a sound driver from outside, one line for each test", async () => {
    const { stdout, exitCode } = await memento(folder, ["check-store", "./driver.ts", ...PART]);
    expect(stdout).toMatch(/^✓ append\(\) > refuses a stale head with a conflict that tells the head \d+ ms$/mu);
    expect(stdout).toMatch(/\nsqlite:\S+: all \d+ tests passed, in .*\.\n$/u);
    expect(exitCode).toBe(0);
  }, 600_000);

  test("races and kills processes of its own with the driver", async () => {
    const { stdout, exitCode } = await memento(folder, [
      "check-store",
      "driver.ts",
      "--grep",
      "processes at once|kill -9",
    ]);
    expect(stdout).toMatch(/✓ kill -9 > /u);
    expect(exitCode).toBe(0);
  }, 600_000);

  test("fails a broken one by the names of the tests, also as JSON", async () => {
    const { stdout, exitCode } = await memento(folder, ["check-store", "broken.ts", ...PART]);
    expect(stdout).toMatch(/^✗ acquireLease\(\) > .*\n {4}\S/mu);
    expect(stdout).toMatch(/tests? failed, .*\n {2}acquireLease\(\) > /u);
    expect(exitCode).toBe(1);
    const json = await memento(folder, ["check-store", "broken.ts", ...PART, "--json"]);
    const report = JSON.parse(json.stdout) as {
      readonly failed: number;
      readonly tests: { name: string; passed: boolean }[];
    };
    expect(report.failed).toBeGreaterThan(0);
    expect(report.tests.find(({ passed }) => !passed)?.name).toMatch(/^acquireLease\(\) > /u);
  }, 600_000);

  test("checks a driver of ours at a URL, with a place of its own for each test, and leaves none", async () => {
    const { stdout, exitCode } = await memento(folder, ["check-store", "sqlite:places-{n}.db", ...PART]);
    expect(stdout).toContain("tests passed");
    expect(exitCode).toBe(0);
    expect(readdirSync(folder).filter((name) => name.startsWith("places"))).toEqual([]);
  }, 600_000);

  test("says what is missing", async () => {
    const fixed = await memento(folder, ["check-store", "sqlite:one.db"]);
    expect([fixed.exitCode, fixed.stderr]).toEqual([2, expect.stringContaining("{n}")]);
    const none = await memento(folder, ["check-store", "none.ts"]);
    expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining("INPUT_MISSING")]);
    writeFileSync(path.join(folder, "empty.ts"), "export const place = 1;\n");
    const empty = await memento(folder, ["check-store", "empty.ts"]);
    expect([empty.exitCode, empty.stderr]).toEqual([2, expect.stringContaining("openStore and place")]);
    const nothing = await memento(folder, ["check-store", "driver.ts", "--grep", "no such test"]);
    expect(nothing.exitCode).toBe(2);
  }, 600_000);
});
