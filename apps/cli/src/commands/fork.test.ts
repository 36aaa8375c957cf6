import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-fork-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function sumOf(file: string): number {
  const database = new DatabaseSync(path.join(folder, file), { readOnly: true });
  const row = database.prepare("SELECT total(value) AS sum FROM numbers").get();
  database.close();
  return Number(row?.["sum"]);
}

describe("memento fork", () => {
  test("starts a timeline of its own, whose run loads elsewhere by other parameters", async () => {
    const made = await memento(folder, [
      "fork",
      "stage:prepare",
      "--name",
      "try",
      "--param",
      "into=try.db",
      "--param",
      "factor=2",
    ]);
    expect(made.stdout).toMatch(
      /^Made the fork numbers#try of \w+-2-\w+\nhead \w+-1-\w+\nMind: it writes into the same places as numbers, unless .*\nRun it: memento run \S+numbers\.ts --name numbers --fork try\n$/u,
    );
    expect(made.exitCode).toBe(0);
    const run = await memento(folder, ["run", pipelineFile("numbers.ts"), "--fork", "try", "--json"]);
    expect(JSON.parse(run.stdout)).toMatchObject({ status: "completed", resumed: true, skipped: ["prepare"] });
    expect([sumOf("numbers.db"), sumOf("try.db")]).toEqual([1_770, 3_540]);
    const log = (await memento(folder, ["log"])).stdout;
    expect(log).toContain("head of numbers#try");
    expect(log).toContain("fork try of #2");
  });

  test("the same run on both timelines must be told apart", async () => {
    await memento(folder, ["fork", "4", "--name", "try", "--param", "into=try.db"]);
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--json", "--limit", "1"])).stdout) as {
      mementos: { run: string }[];
    };
    const run = mementos[0]?.run ?? "";
    const unclear = await memento(folder, ["pause", run]);
    expect(unclear.stderr).toContain("--timeline");
    expect(unclear.exitCode).toBe(2);
    expect((await memento(folder, ["pause", run, "--timeline", "numbers#try"])).stdout).toContain("is paused");
    const watched = await memento(folder, ["watch", run, "--timeline", "numbers#try", "--json"]);
    expect(JSON.parse(watched.stdout)).toMatchObject({ runs: [{ pipeline: "numbers#try", status: "paused" }] });
    expect((await memento(folder, ["watch", "--timeline", "numbers#try", "--once"])).exitCode).toBe(2);
    expect((await memento(folder, ["resume", run, "--timeline", "numbers#try"])).exitCode).toBe(0);
  });

  test.each([
    [["stage:prepare", "--name", "bad\u0007name"], "NAME_INVALID", 2],
    [["nope", "--name", "try"], "NOT_FOUND", 1],
    [["head", "--name", "try", "--param", "factor=many"], "PARAMS_INVALID", 2],
    [["head"], "--name <name>", 2],
  ])("%j is refused", async (args, message, exitCode) => {
    const result = await memento(folder, ["fork", ...args]);
    expect(result.stderr).toContain(message);
    expect(result.exitCode).toBe(exitCode);
    expect((await memento(folder, ["log"])).stdout).not.toContain("fork");
  });

  test("a name is taken once", async () => {
    expect((await memento(folder, ["fork", "head", "--name", "try"])).exitCode).toBe(0);
    const again = await memento(folder, ["fork", "head", "--name", "try", "--timeline", "numbers"]);
    expect(again.stderr).toContain("hint: Choose another name, or run on the fork that is there.\n  code: EXISTS");
    expect(again.exitCode).toBe(1);
  });
});
