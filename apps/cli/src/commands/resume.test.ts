import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;
let pipeline: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-resume-")));
  symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
  pipeline = path.join(folder, "numbers.ts");
  copyFileSync(pipelineFile("numbers.ts"), pipeline);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const failing = (...more: string[]): string[] => [
  "run",
  "numbers.ts",
  "--param",
  "into=numbers.db",
  "--param",
  "failAt=45",
  ...more,
];

describe("memento resume", () => {
  test("goes on with the only unfinished run, by the file that it was loaded from", async () => {
    expect((await memento(folder, failing())).exitCode).toBe(1);
    const again = await memento(folder, ["resume"]);
    expect(again.stderr).toMatch(/resumed run \w+ at memento \S+, in the middle of read: stage prepare skipped/u);
    expect(again.stderr).toContain("the number 45 is one too many");
    expect(again.exitCode).toBe(1);
  });

  test("takes the file from elsewhere when it was moved", async () => {
    await memento(folder, failing());
    copyFileSync(pipeline, path.join(folder, "moved.ts"));
    unlinkSync(pipeline);
    const lost = await memento(folder, ["resume"]);
    expect(lost.stderr).toContain(`There is no file ${pipeline}`);
    expect(lost.exitCode).toBe(1);
    expect((await memento(folder, ["resume", "--pipeline", "moved.ts"])).stderr).toContain("resumed run");
  });

  test("asks which where several stand unfinished", async () => {
    await memento(folder, failing("--partition", "a"));
    await memento(folder, failing("--partition", "b"));
    const { stderr, exitCode } = await memento(folder, ["resume"]);
    expect(stderr).toMatch(/2 runs stand unfinished: r\w+ \(numbers@a, failed\), r\w+ \(numbers@b, failed\)/u);
    expect(exitCode).toBe(2);
  });

  test("says that there is nothing to resume", async () => {
    expect((await memento(folder, ["init"])).exitCode).toBe(0);
    const { stderr, exitCode } = await memento(folder, ["resume"]);
    expect(stderr).toContain("NOTHING_TO_RESUME");
    expect(exitCode).toBe(1);
  });
});
