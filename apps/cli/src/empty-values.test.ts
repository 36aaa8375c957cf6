import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Command, Option } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../test/harness/command-line.ts";
import { refuseEmptyValues } from "./empty-values.ts";
import { collect } from "./option-values.ts";

let folder: string;
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-empty-")));
  expect((await memento(folder, ["run", pipelineFile("several.ts"), "--name", "one"])).exitCode).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("an empty text", () => {
  const run = ["run", pipelineFile("several.ts"), "--name", "one"];
  test.each([
    [[...run, "--fork", ""], "--fork"],
    [[...run, "--fork="], "--fork"],
    [[...run, "--key", ""], "--key"],
    [[...run, "--partition", ""], "--partition"],
    [["run", pipelineFile("several.ts"), "--name", ""], "--name"],
    [["ls", "--store", ""], "--store"],
    [["--store=", "ls"], "--store"],
    [["ls", "--stage", ""], "--stage"],
    [["gc", "--dry-run", "--caretaker", ""], "--caretaker"],
    [["verify", "head", "--timeline", ""], "--timeline"],
    [["keys", "rotate", "--to", ""], "--to"],
    [["copy", "file:a", "file:b", "--id", "x", "--id", ""], "--id"],
    [["init", ""], "folder"],
    [["policy", ""], "caretaker"],
    [["rm", "head", "", "--yes"], "memento"],
  ])("%j is a wrong command line that names %s", async (args, what) => {
    const before = (await memento(folder, ["ls", "--json"])).stdout;
    const { stdout, stderr, exitCode } = await memento(folder, args);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
    expect(stderr).toMatch(/^error: .*\n {2}hint: .*\n {2}code: INVALID_ARGUMENT\n$/u);
    expect(stderr).toContain(what);
    expect((await memento(folder, ["ls", "--json"])).stdout).toBe(before);
    expect(readdirSync(folder).filter((name) => name !== ".memento")).toEqual([]);
  });

  test("may be a reason, and the value of a parameter", async () => {
    expect((await memento(folder, ["pin", "head", "--reason", ""])).exitCode).toBe(0);
    expect((await memento(folder, [...run, "--param", "x="])).exitCode).toBe(0);
  });
});

describe("refuseEmptyValues()", () => {
  async function parsed(args: readonly string[]): Promise<unknown> {
    let seen: unknown;
    const program = new Command().exitOverride().configureOutput({ outputError: () => undefined });
    program
      .command("do")
      .argument("<one>")
      .argument("[more...]")
      .option("--plain <x>")
      .option("--list <x>", "", collect)
      .option("--from <x>", "", "-")
      .option("--flag")
      .option("--no-check")
      .option("--why <text>")
      .addOption(new Option("--by <x>").choices(["a", "b"]).default("a"))
      .action((one: string, more: readonly string[], options: object) => {
        seen = { one, more, ...options };
      });
    refuseEmptyValues(program);
    await program.parseAsync([...args], { from: "user" });
    return seen;
  }

  test("leaves all else as it was", async () => {
    const defaults = { more: [], from: "-", by: "a", check: true };
    expect(await parsed(["do", "1"])).toEqual({ one: "1", ...defaults });
    const args = ["--list", "x", "--list", "y", "--flag", "--no-check", "--why", "", "--by", "b", "--from", "f"];
    const values = { list: ["x", "y"], flag: true, check: false, why: "", by: "b", from: "f" };
    expect(await parsed(["do", "1", "2", "3", ...args])).toEqual({ one: "1", more: ["2", "3"], ...values });
    await expect(parsed(["do", "1", "--by", "c"])).rejects.toThrow("Allowed choices are a, b");
    await expect(parsed(["do", "1", "--plain", ""])).rejects.toThrow("'--plain <x>' argument '' is invalid");
    await expect(parsed(["do", "1", "2", ""])).rejects.toThrow("An empty text names no more");
  });
});
