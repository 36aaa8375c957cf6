import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import type { RollbackPlan } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

const run = (...more: string[]): string[] => ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db", ...more];

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-log-")));
  expect((await memento(folder, run("--param", "count=40"))).exitCode).toBe(0);
  const { hash } = JSON.parse((await memento(folder, ["plan", "3", "--json"])).stdout) as RollbackPlan;
  expect((await memento(folder, ["rollback", "3", "--plan", hash])).exitCode).toBe(0);
  expect((await memento(folder, ["fork", "3", "--name", "try"])).exitCode).toBe(0);
  expect((await memento(folder, run("--param", "count=40"))).exitCode).toBe(0);
  expect((await memento(folder, ["run", pipelineFile("several.ts"), "--name", "one"])).exitCode).toBe(0);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The drawing without what changes from run to run. */
const steady = (text: string): string =>
  text.replaceAll(/ {2,}(?:now|\d+ (?:s|min)) {2}\w{12}-\d+-\w{6}/gu, "").replaceAll(/ +$/gmu, "");

describe("memento log", () => {
  test("draws a rollback that points at its target, and a fork beside", async () => {
    const { stdout, exitCode } = await memento(folder, ["log"]);
    const [numbers, one] = steady(stdout).split("\n\n");
    expect(numbers).toBe(
      [
        "numbers  pipeline, 1 fork",
        "●      #13  stage           load      completed    40  head of numbers",
        "●      #12  stage           multiply  running      40",
        "●      #11  stage           read      running      40",
        "●      #10  interval        read      running      40",
        "│ ●     #1  fork try of #3  read      interrupted   head of numbers#try",
        "◆ │     #9  rollback to #3  read      interrupted",
        "├─┼─╮",
        "│ │ ○   #8  rollback-begin  load      reverting",
        "│ │ ○   #7  stage           load      completed    40",
        "│ │ ○   #6  stage           multiply  running      40",
        "│ │ ○   #5  stage           read      running      40",
        "│ │ ○   #4  interval        read      running      40",
        "├─┴─╯",
        "●       #3  interval        read      running      20",
        "●       #2  stage           prepare   running",
        "●       #1  start                     running",
      ].join("\n"),
    );
    expect(one).toMatch(/^one {2}pipeline\n● {2}#2 .* head\n● {2}#1 /u);
    expect(exitCode).toBe(0);
  });

  test("draws one timeline of several, and not more than asked for", async () => {
    const { stdout } = await memento(folder, ["log", "--timeline", "numbers", "--limit", "2"]);
    expect(stdout.trimEnd().split("\n")).toHaveLength(4);
    expect(stdout).toContain("… 11 older; --limit shows more");
    expect(stdout).not.toContain("try");
  });

  test("a program gets each memento with what it stands on", async () => {
    const { lineages } = JSON.parse((await memento(folder, ["log", "--json"])).stdout) as {
      lineages: {
        name: string;
        timelines: { name: string }[];
        mementos: { reason: string; ground: string; parent: string; current: boolean }[];
      }[];
    };
    expect(lineages.map(({ name }) => name)).toEqual(["numbers", "one"]);
    expect(lineages[0]?.timelines.map(({ name }) => name)).toEqual(["numbers", "numbers#try"]);
    const rollback = lineages[0]?.mementos.find(({ reason }) => reason === "rollback");
    expect(rollback?.ground).toMatch(/-3-/u);
    expect(rollback?.parent).toMatch(/-8-/u);
    expect(lineages[0]?.mementos.filter(({ current }) => !current)).toHaveLength(5);
  });

  test("an empty store has nothing to draw", async () => {
    expect((await memento(folder, ["init", "--store", "sqlite:empty.db"])).exitCode).toBe(0);
    expect((await memento(folder, ["log", "--store", "sqlite:empty.db"])).stdout).toBe(
      "The store holds no memento yet.\n",
    );
  });
});
