import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import type { RollbackPlan } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-plan-")));
  const run = ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db", "--param", "count=60"];
  expect((await memento(folder, run)).exitCode).toBe(0);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const planned = async (...args: string[]): Promise<RollbackPlan> =>
  JSON.parse((await memento(folder, ["plan", ...args, "--json"])).stdout) as RollbackPlan;

describe("memento plan", () => {
  test("says what would become of data, offsets and state, and how to apply it; changes nothing", async () => {
    const before = (await memento(folder, ["ls"])).stdout.replaceAll(/ +\S+( \S+)?$/gmu, "");
    const { stdout, exitCode } = await memento(folder, ["plan", "stage:prepare"]);
    expect(stdout).toMatch(/^Roll numbers back\nfrom {2}#8 .*\nto {4}#2 /u);
    expect(stdout).toMatch(/^numbers +revert +60 +0 +0 +sqlite table numbers in \S*numbers\.db$/mu);
    expect(stdout).toMatch(/^numbers +60 +yes +1 +back to the beginning$/mu);
    expect(stdout).toMatch(/^stages to run again +read, multiply, load$/mu);
    expect(stdout).toMatch(/^state that changes +largest$/mu);
    expect(stdout).toMatch(/^lease +free$/mu);
    expect(stdout).toMatch(/^ {2}memento rollback \w+-2-\w+ --plan [\w.-]+$/mu);
    expect(exitCode).toBe(0);
    expect((await memento(folder, ["ls"])).stdout.replaceAll(/ +\S+( \S+)?$/gmu, "")).toBe(before);
  });

  test("the line that applies it works as it is shown", async () => {
    const { stdout } = await memento(folder, ["plan", "4", "--store", "sqlite:.memento/store.db"]);
    const line = /^ {2}memento (rollback .*)$/mu.exec(stdout)?.[1] ?? "";
    // From whichever folder.
    expect(line).toContain(`--store sqlite:${folder}/.memento/store.db`);
    expect((await planned("4")).hash).toBe(line.split("--plan ")[1]);
  });

  test("a program gets the plan with its hash", async () => {
    const plan = await planned("head~1");
    expect(plan).toMatchObject({ pipeline: "numbers", refused: [], target: { sequence: 7 }, head: { sequence: 8 } });
    expect(plan.hash).toMatch(/^[\w.-]+$/u);
    expect((await planned("head~1")).hash).toBe(plan.hash);
  });

  test("names rows that others have changed", async () => {
    const database = new DatabaseSync(path.join(folder, "numbers.db"));
    database.exec("UPDATE numbers SET value = -1 WHERE id IN (55, 56)");
    const { stdout } = await memento(folder, ["plan", "4"]);
    database.exec("UPDATE numbers SET value = id WHERE id IN (55, 56)");
    database.close();
    expect(stdout).toMatch(
      /^2 rows of numbers were changed by others; they stay .* --force numbers:\n {2}\S.* {2}changed$/mu,
    );
  });

  test.each([
    ["nope", "has no memento"],
    ["stage:nope", "nope"],
    ["head~99", "has no memento head~99"],
  ])("%s is no target", async (target, message) => {
    const { stderr, exitCode } = await memento(folder, ["plan", target]);
    expect(stderr).toContain(message);
    expect(stderr).toContain("NOT_FOUND");
    expect(exitCode).toBe(1);
  });

  test("takes the pipeline by its own name, whatever it is exported as", async () => {
    const other = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-plan-")));
    const file = pipelineFile("named-apart.ts");
    for (const name of ["orders-v2", "old"])
      expect((await memento(other, ["run", file, "--name", name])).exitCode).toBe(0);
    expect((await memento(other, ["run", file, "--name", "orders"])).stderr).toContain("INVALID_ARGUMENT");
    for (const name of ["orders", "orders-v2"]) {
      const { stdout } = await memento(other, ["plan", "head", "--timeline", name, "--json"]);
      expect((JSON.parse(stdout) as { pipeline: string }).pipeline).toBe(name);
    }
    rmSync(other, { recursive: true, force: true });
  });

  test("says that a target was removed, and which is the earliest one left", async () => {
    const other = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-plan-")));
    const run = ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"];
    expect((await memento(other, run)).exitCode).toBe(0);
    await memento(other, ["policy", "pipelines", "--keep-last", "3"]);
    expect((await memento(other, ["gc"])).exitCode).toBe(0);
    for (const [target, what] of [
      ["start", "The start of the last run of pipelines/numbers"],
      ["3", "Memento 3 of pipelines/numbers"],
      ["head~4", "head~4 of pipelines/numbers"],
      ["stage:prepare", "The memento of the end of stage prepare of pipelines/numbers"],
    ] as const)
      for (const command of ["plan", "show"]) {
        const { stderr, exitCode } = await memento(other, [command, target]);
        expect(stderr).toContain(`error: ${what} was removed; the earliest one left is #6, `);
        expect(stderr).toContain("code: NOT_FOUND");
        expect(exitCode).toBe(1);
      }
    expect((await memento(other, ["plan", "99"])).stderr).toContain('pipelines/numbers has no memento "99"');
    expect((await memento(other, ["show", ""])).stderr).toContain("An empty text names no memento");
    rmSync(other, { recursive: true, force: true });
  });
});
