import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-diff-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento diff", () => {
  test("shows offsets, state and marks from one memento to another", async () => {
    const { stdout, exitCode } = await memento(folder, ["diff", "3", "4"]);
    expect(stdout).toMatch(/^--- \w+-3-\w+ {2}numbers #3\n\+\+\+ \w+-4-\w+ {2}numbers #4\n/u);
    expect(stdout).toContain('offsets\n  numbers["0"]: 20 -> 40');
    expect(stdout).toContain("state\n  largest: 19 -> 39");
    expect(stdout).toMatch(/sinks\n {2}numbers\.marks\S+position: 2 -> 4/u);
    expect(exitCode).toBe(0);
  });

  test("shows a stage's output as it comes", async () => {
    const { stdout } = await memento(folder, ["diff", "start", "stage:prepare"]);
    expect(stdout).toMatch(/outputs\n {2}prepare\n {2}\+ \{ factor: 1 \}/u);
  });

  test("a program gets every place", async () => {
    const { stdout } = await memento(folder, ["diff", "3", "4", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      same: false,
      before: { sequence: 3 },
      after: { sequence: 4 },
      parts: {
        state: [{ name: "largest", kind: "changed", differences: [{ path: "", before: 19, after: 39 }] }],
        credentials: [],
      },
    });
  });

  test("says that nothing differs", async () => {
    expect((await memento(folder, ["diff", "4", "4"])).stdout).toContain("They hold the same content.");
  });
});
