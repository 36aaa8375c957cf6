import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { systemClock } from "@mementojs/memento/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { runCli } from "../cli.ts";
import type { Io } from "../io.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-rm-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
  await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
  for (const id of ["one", "two"]) await store.caretaker("etl").save({ id }, { id });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento rm", () => {
  test("removes mementos of several timelines; the rest stays sound, and the drawing whole", async () => {
    const removed = await memento(folder, ["rm", "3", "4", "--timeline", "numbers", "--yes", "--json"]);
    expect((JSON.parse(removed.stdout) as { removed: string[] }).removed).toHaveLength(2);
    expect((await memento(folder, ["rm", "one", "stage:prepare", "--yes"])).stdout).toBe("Removed 2 mementos.\n");
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
    const drawn = (await memento(folder, ["log", "--timeline", "numbers"])).stdout;
    expect(drawn.match(/●/gu)).toHaveLength(5);
    expect(drawn).not.toMatch(/#[234] /u);
    expect((await memento(folder, ["show", "head", "--timeline", "numbers"])).exitCode).toBe(0);
  });

  test("refuses the head of a pipeline, and removes nothing of such a call", async () => {
    const { stderr, exitCode } = await memento(folder, ["rm", "head~1", "head", "--timeline", "numbers", "--yes"]);
    expect(stderr).toMatch(/Memento \S+ is the head of numbers/u);
    expect(stderr).toContain("CONFLICT");
    expect(exitCode).toBe(4);
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--timeline", "numbers", "--json"])).stdout) as {
      mementos: unknown[];
    };
    expect(mementos.length).toBeGreaterThan(3);
  });

  test("the newest of a caretaker that is no pipeline may go", async () => {
    expect((await memento(folder, ["rm", "two", "--yes"])).exitCode).toBe(0);
    expect((await memento(folder, ["show", "two"])).exitCode).toBe(1);
  });

  test.each([
    ["--reason", "request of 3 May"],
    ["--by", "me"],
  ])("%s is kept with --secure alone, and refused without it", async (...option) => {
    const { stderr, exitCode } = await memento(folder, ["rm", "head~1", "--timeline", "numbers", "--yes", ...option]);
    expect(stderr).toContain("--reason and --by are kept as evidence of --secure");
    expect(exitCode).toBe(2);
  });

  test("asks, and where it cannot ask wants --yes", async () => {
    const { stderr, exitCode } = await memento(folder, ["rm", "head~1", "--timeline", "numbers"]);
    expect(stderr).toContain("--yes");
    expect(exitCode).toBe(2);
  });

  test.each([
    ["y", 0],
    ["n", 1],
    ["", 1],
  ])("asks on a terminal; %j there ends %i", async (answer, exitCode) => {
    const world = terminal(answer);
    expect(await runCli(["rm", "head~1", "--timeline", "numbers"], world.io)).toBe(exitCode);
    expect(world.asked).toEqual([expect.stringMatching(/numbers #\d+, .*\nRemove this memento\? \[y\/N\] $/u)]);
    expect(world.written.join("")).toContain(exitCode === 0 ? "Removed 1 memento." : "Nothing was removed");
  });

  test("a fork's mementos are named as the fork's, as by gc", async () => {
    const fork = ["fork", "stage:load", "--timeline", "numbers", "--name", "trial", "--json"];
    expect((await memento(folder, fork)).exitCode).toBe(0);
    const again = ["run", pipelineFile("numbers.ts"), "--param", "into=trial.db", "--fork", "trial"];
    expect((await memento(folder, again)).exitCode).toBe(0);
    const world = terminal("n");
    expect(await runCli(["rm", "head~1", "--timeline", "numbers#trial"], world.io)).toBe(1);
    expect(world.asked).toEqual([expect.stringMatching(/ {2}numbers#trial #\d+, /u)]);
    expect((await memento(folder, ["policy", "pipelines", "--keep-last", "1"])).exitCode).toBe(0);
    const { stdout } = await memento(folder, ["gc", "--dry-run"]);
    expect(stdout).toMatch(/ {2}numbers#trial #\d+, /u);
    expect(stdout).toMatch(/ {2}numbers #\d+, /u);
  });

  test("what is pinned while it asks stays", async () => {
    const open = async (): Promise<Memento> => await Memento.open(`sqlite:${folder}/.memento/store.db`);
    {
      await using store = await open();
      await store.caretaker("etl").save({ n: 3 }, { id: "three" });
    }
    const world = terminal("y");
    const ask = async (): Promise<string> => {
      await using store = await open();
      await store.caretaker("etl").pin("three", { reason: "audit" });
      return "y";
    };
    expect(await runCli(["rm", "three"], { ...world.io, ask })).toBe(4);
    expect(world.written.join("")).toContain("is pinned: audit");
    expect((await memento(folder, ["show", "three"])).exitCode).toBe(0);
  });

  test("what is not there, or not any more, is an error", async () => {
    expect((await memento(folder, ["rm", "nope", "--yes"])).stderr).toContain("NOT_FOUND");
  });
});

interface Terminal {
  readonly io: Io;
  readonly asked: string[];
  readonly written: string[];
}

/** A terminal at which somebody gives this answer. */
function terminal(answer: string): Terminal {
  const [asked, written]: [string[], string[]] = [[], []];
  const output = { isTerminal: true, columns: 80, colours: false, write: (text: string) => void written.push(text) };
  const io: Io = {
    cwd: folder,
    env: {},
    clock: systemClock,
    out: output,
    err: output,
    ask: async (question) => {
      asked.push(question);
      return await Promise.resolve(answer);
    },
    onStop: () => () => undefined,
    reserveOutput: () => undefined,
    enter: () => undefined,
    exit: () => undefined,
  };
  return { io, asked, written };
}
