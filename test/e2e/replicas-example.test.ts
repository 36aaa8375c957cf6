import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { expect, onTestFinished, test } from "vitest";

import { runProcess, shellEnvironment } from "../harness/process.ts";

const example = path.resolve(import.meta.dirname, "../../examples/replicas.ts");

test("examples/replicas.ts saves to two stores, loses one, and goes on with the other", async () => {
  const cwd = mkdtempSync(path.join(tmpdir(), "memento-replicas-"));
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  const { exitCode, stdout, stderr } = await runProcess(process.execPath, [example], {
    cwd,
    env: shellEnvironment(),
    timeoutMs: 60_000,
  });
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toBe("SQLite: the replica is 0 commits behind\n{ page: 21 } 1 save\n");
});
