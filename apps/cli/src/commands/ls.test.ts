import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento, type MementoEntry } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-ls-")));
  const run = ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"];
  expect((await memento(folder, run)).exitCode).toBe(0);
  await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
  const etl = store.caretaker("etl");
  await etl.save({ rows: 1 }, { id: "small", labels: { quarter: "2013-Q1" } });
  await etl.save(
    { rows: "x".repeat(9_000) },
    { id: "large", labels: { quarter: "2013-Q2", note: "two\nlines\u001b[2J" } },
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function listed(...args: string[]): Promise<readonly MementoEntry[]> {
  const { exitCode, stdout } = await memento(folder, ["ls", "--json", ...args]);
  expect(exitCode).toBe(0);
  return (JSON.parse(stdout) as { mementos: MementoEntry[] }).mementos;
}

describe("memento ls", () => {
  test("is a table with a row for each memento, newest first", async () => {
    const { stdout } = await memento(folder, ["ls"]);
    const [head, first, second, ...rest] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^MEMENTO +TIMELINE +REASON +STAGE +RUN +STATUS +SIZE +AGE +NAME, LABELS$/u);
    expect(first).toMatch(/^\w+-2-\w+ +etl\/default +save +saved +9\.0 kB +\S+( \S+)? +large quarter=2013-Q2/u);
    expect(second).toMatch(/small quarter=2013-Q1$/u);
    expect(rest.length).toBe(8);
  });

  test("shows control characters instead of obeying them, each memento in its row", async () => {
    const { stdout } = await memento(folder, ["ls", "--label", "quarter=2013-Q2"]);
    expect(stdout).toContain(String.raw`note=two\nlines\x1b[2J`);
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
  });

  test.each([
    ["caretaker", ["--caretaker", "etl"], 2],
    ["label", ["--label", "quarter=2013-Q1"], 1],
    ["status", ["--status", "completed"], 1],
    ["reason", ["--reason", "interval"], 3],
    ["stage", ["--stage", "load"], 1],
    ["limit", ["--limit", "4"], 4],
    ["timeline", ["--timeline", "numbers"], 8],
    ["several at once", ["--timeline", "numbers", "--reason", "stage", "--stage", "read"], 1],
    ["what nothing has", ["--label", "quarter=none"], 0],
  ])("filters by %s", async (_what, args, count) => {
    expect(await listed(...args)).toHaveLength(count);
  });

  test("filters by run, whose id it shows", async () => {
    const [first] = await listed("--timeline", "numbers");
    expect((await memento(folder, ["ls", "--stage", "load"])).stdout).toContain(
      ` load   ${first?.run ?? ""}  completed`,
    );
    expect((await memento(folder, ["ls", "--caretaker", "etl"])).stdout).not.toContain("RUN");
    expect(await listed("--run", first?.run ?? "")).toHaveLength(8);
  });

  test("sorts", async () => {
    expect((await listed("--sort", "largest"))[0]?.name).toBe("large");
    expect((await listed("--sort", "oldest"))[0]?.reason).toBe("start");
    expect((await listed("--caretaker", "etl", "--sort", "name")).map(({ name }) => name)).toEqual(["large", "small"]);
  });

  test("says that nothing fits", async () => {
    expect((await memento(folder, ["ls", "--stage", "nope"])).stdout).toBe("No memento fits.\n");
  });

  test.each([
    [["--status", "dead"], "Allowed choices are saved, running"],
    [["--timeline", "nope"], "There is no timeline nope"],
    [["--label", "quarter"], "NAME=VALUE"],
  ])("refuses %j", async (args, message) => {
    const { stderr, exitCode } = await memento(folder, ["ls", ...args]);
    expect(stderr).toContain(message);
    expect(exitCode).toBeGreaterThan(0);
  });
});
