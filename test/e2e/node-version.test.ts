import { execFileSync } from "node:child_process";
import path from "node:path";

import { describe, expect, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { findExecutables } from "../harness/executables.ts";
import { runProcess, shellEnvironment } from "../harness/process.ts";

const command = path.resolve(import.meta.dirname, "../../apps/cli/bin/memento.js");
const oldNode = findExecutables("node").find((node) => majorVersion(node) < 24);
const found = await requireEngine("Node.js older than 24", () => {
  return oldNode === undefined ? "every node on PATH is 24 or newer" : true;
});

describe.skipIf(!found)("memento under an old Node.js", () => {
  test.each([["--help"], ["run", "pipeline.ts"], []])("says what it needs in one sentence: %s %s", async (...args) => {
    const result = await runProcess(oldNode ?? "node", [command, ...args], {
      env: shellEnvironment(),
      timeoutMs: 60_000,
    });
    expect(result.stderr).toMatch(/^memento needs Node\.js 24 or newer, and this is Node\.js \d+\.\d+\.\d+\.\n$/u);
    expect(result.stdout).toBe("");
    expect(result.exitCode).toBe(1);
  });
});

function majorVersion(node: string): number {
  return Number(execFileSync(node, ["-p", "process.versions.node.split('.')[0]"], { encoding: "utf8" }));
}
