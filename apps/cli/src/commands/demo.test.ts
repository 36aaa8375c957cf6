import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";
import { runProcess, shellEnvironment } from "../../../../test/harness/process.ts";

const cli = path.resolve(import.meta.dirname, "../..");
let folder: string;

/** The command line copied beside a workspace that is a test's own. */
beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-demo-")));
  const copy = path.join(folder, "apps", "cli");
  mkdirSync(copy, { recursive: true });
  for (const part of ["bin", "dist", "package.json"])
    cpSync(path.join(cli, part), path.join(copy, part), { recursive: true });
  for (const modules of [path.join(cli, "node_modules"), path.resolve(cli, "../../node_modules")]) {
    symlinkSync(modules, path.join(modules.startsWith(cli) ? copy : folder, "node_modules"));
  }
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const demo = async (...args: string[]): Promise<Awaited<ReturnType<typeof runProcess>>> =>
  await runProcess(process.execPath, [path.join(folder, "apps/cli/bin/memento.js"), "demo", ...args], {
    cwd: folder,
    env: shellEnvironment(),
    timeoutMs: 60_000,
  });

function writeDemo(text: string): void {
  mkdirSync(path.join(folder, "examples", "flights"), { recursive: true });
  writeFileSync(path.join(folder, "examples", "flights", "demo.ts"), text);
}

describe("memento demo", () => {
  test("starts the workspace's demonstration, hands its arguments on, and ends with its code", async () => {
    writeDemo(
      "export async function main(args: string[]): Promise<number> { console.log('shown', args.join('+')); return 7; }",
    );
    const { exitCode, stdout } = await demo("--quick", "x");
    expect(stdout).toBe("shown --quick+x\n");
    expect(exitCode).toBe(7);
  });

  test.each([["bogus"], ["--bogus"], ["--records"], ["--records", "few"]])(
    "the demonstration's own answer to %j is that of a command line that is wrong",
    async (...args) => {
      const { exitCode, stdout, stderr } = await memento(folder, ["demo", ...args]);
      expect(stderr).toContain("--records");
      expect(stderr).not.toContain("defect");
      expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    },
  );

  test("--json keeps standard output for the one document", async () => {
    writeDemo("export async function main(): Promise<number> { console.log('shown'); return 0; }");
    const { exitCode, stdout, stderr } = await demo("--json");
    expect(JSON.parse(stdout)).toEqual({ exitCode: 0, done: true });
    expect(stderr).toContain("shown");
    expect(exitCode).toBe(0);
  });

  test("says where to find it when it is not there", async () => {
    const { exitCode, stderr } = await demo();
    expect(stderr).toContain("npm run demo");
    expect(stderr).toContain("code: INPUT_MISSING");
    expect(exitCode).toBe(1);
  });
});
