import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { systemClock } from "@mementojs/memento/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { runCli } from "../cli.ts";
import type { Io } from "../io.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-reset-")));
  const into = path.join(folder, "numbers.db");
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", `into=${into}`])).exitCode).toBe(0);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A terminal at which these answers are given. */
function terminal(...answers: string[]): { io: Io; asked: string[]; written: string[] } {
  const asked: string[] = [];
  const written: string[] = [];
  const out = { isTerminal: false, columns: 100, colours: false, write: (text: string) => void written.push(text) };
  const io: Io = {
    cwd: folder,
    env: { PATH: process.env["PATH"], EDITOR: "sed -i s/59/7/" },
    clock: systemClock,
    out,
    err: out,
    ask: async (question) => {
      asked.push(question);
      return answers[asked.length - 1] ?? "";
    },
    onStop: () => () => undefined,
    reserveOutput: () => undefined,
    enter: () => undefined,
    exit: () => undefined,
  };
  return { io, asked, written };
}

describe("memento reset at a terminal", () => {
  test.each([
    [["n"], 1],
    [["y", "number"], 1],
    [["y", "numbers"], 0],
  ])("answered %j it ends with %i, having shown the plan before it asked twice", async (answers, exitCode) => {
    const { io, asked, written } = terminal(...answers);
    expect(await runCli(["reset", "numbers"], io)).toBe(exitCode);
    expect(asked[0]).toMatch(/^Reset numbers\n[^]*60[^]*Reset numbers\? \[y\/N\] $/u);
    expect(asked).toHaveLength(answers.length);
    expect(written.join("")).toContain(exitCode === 0 ? "60 rows removed" : "Nothing was reset");
  });
});

/** The same pipeline, whose process dies while its table is taken back. */
const DEADLY = `
import numbers from "./numbers.ts";
const deadly = (build) => (context) => new Proxy(build(context), {
  get: (sink, name) => {
    if (name === "revertTo" && process.env.DEADLY === "1") process.kill(process.pid, "SIGKILL");
    const value = Reflect.get(sink, name, sink);
    return typeof value === "function" ? value.bind(sink) : value;
  },
});
export default { ...numbers, sinks: { numbers: deadly(numbers.sinks.numbers) } };
`;

describe("memento reset in a script", () => {
  test("is finished by the same command where a kill has cut it in two", async () => {
    const place = path.join(folder, "killed");
    mkdirSync(place);
    symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(place, "node_modules"));
    copyFileSync(pipelineFile("numbers.ts"), path.join(place, "numbers.ts"));
    writeFileSync(path.join(place, "deadly.ts"), DEADLY);
    expect((await memento(place, ["run", "deadly.ts", "--param", "into=numbers.db"])).exitCode).toBe(0);
    const reset = ["reset", "numbers", "--yes", "--confirm", "numbers"];
    expect((await memento(place, reset, { DEADLY: "1" })).signal).toBe("SIGKILL");
    const { stdout, stderr, exitCode } = await memento(place, reset);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^Reset numbers\n {2}numbers: 60 rows removed/u);
    expect(exitCode).toBe(0);
    expect((await memento(place, ["doctor"])).exitCode).toBe(0);
  });
});

describe("memento edit at a terminal", () => {
  test("--editor takes what the editor leaves, and nothing else", async () => {
    expect(
      (await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", `into=${folder}/2.db`])).exitCode,
    ).toBe(0);
    const { io, written } = terminal();
    expect(await runCli(["edit", "head", "--editor", "--why", "by hand"], io)).toBe(0);
    expect(written.join("")).toMatch(/^Edited numbers\n {2}state\.largest: 59 -> 7\nhead /u);
  });
});
