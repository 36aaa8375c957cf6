import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import type { RollbackPlan, RollbackResult } from "@mementojs/memento";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-rollback-")));
  expect((await memento(folder, run("count=40"))).exitCode).toBe(0);
  // The bad load.
  expect((await memento(folder, run("count=70", "factor=-1"))).exitCode).toBe(0);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const run = (...params: string[]): string[] => [
  "run",
  pipelineFile("numbers.ts"),
  "--param",
  "into=numbers.db",
  ...params.flatMap((param) => ["--param", param]),
];

/** The head of the first run. */
const GOOD = "7";

async function hashOf(target: string): Promise<string> {
  return (JSON.parse((await memento(folder, ["plan", target, "--json"])).stdout) as RollbackPlan).hash;
}

function query(sql: string): unknown {
  const database = new DatabaseSync(path.join(folder, "numbers.db"));
  const row = database.prepare(sql).all();
  database.close();
  return row;
}

const table = (): unknown => query("SELECT count(*) AS rows, min(value) AS least, max(id) AS last FROM numbers");

describe("memento rollback", () => {
  test("takes table, offsets and state back by a plan, and says how to undo it; undone, all is as before", async () => {
    const before = table();
    const { stdout, stderr, exitCode } = await memento(folder, [
      "rollback",
      GOOD,
      "--plan",
      await hashOf(GOOD),
      "--why",
      "bad factor",
    ]);
    expect(stdout).toMatch(
      /^Rolled back numbers to #7 \S+\n {2}numbers: 30 rows removed, 0 put back\nhead \S+\nTo undo it: memento plan \S+\n$/u,
    );
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    expect(table()).toEqual([{ rows: 40, least: 0, last: 39 }]);
    const shown = JSON.parse((await memento(folder, ["show", "head", "--json"])).stdout) as {
      fields: { evidence: unknown };
      state: unknown;
    };
    expect(shown).toMatchObject({
      state: { largest: 39 },
      fields: { evidence: { why: "bad factor", by: expect.stringContaining("@") as string } },
    });
    const undo = /memento plan (\S+)/u.exec(stdout)?.[1] ?? "";
    expect((await memento(folder, ["rollback", undo, "--plan", await hashOf(undo)])).exitCode).toBe(0);
    expect(table()).toEqual(before);
  });

  test("the mended run loads what was taken back", async () => {
    await memento(folder, ["rollback", GOOD, "--plan", await hashOf(GOOD)]);
    expect((await memento(folder, run("count=70"))).exitCode).toBe(0);
    expect(table()).toEqual([{ rows: 70, least: 0, last: 69 }]);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });

  test("is refused when the world has moved since the plan, and nothing is touched", async () => {
    const hash = await hashOf(GOOD);
    expect((await memento(folder, run("count=80", "factor=-1"))).exitCode).toBe(0);
    const before = table();
    const { stderr, exitCode } = await memento(folder, ["rollback", GOOD, "--plan", hash]);
    expect(stderr).toContain("code: PLAN_MOVED");
    expect(stderr).toContain("memento plan");
    expect(exitCode).toBe(4);
    expect(table()).toEqual(before);
    const json = await memento(folder, ["rollback", GOOD, "--plan", hash, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "PLAN_MOVED", details: { planned: hash } } });
    expect(json.exitCode).toBe(4);
  });

  test("leaves what others have changed alone, unless it is forced by name", async () => {
    query("UPDATE numbers SET value = 1000 WHERE id = 50");
    const kept = await memento(folder, ["rollback", GOOD, "--plan", await hashOf(GOOD), "--json"]);
    const result = JSON.parse(kept.stdout) as RollbackResult & { evidence: { sinks: { kept: unknown[] }[] } };
    expect(result.evidence.sinks[0]?.kept).toHaveLength(1);
    expect(query("SELECT value FROM numbers WHERE id > 39")).toEqual([{ value: 1000 }]);
  });

  test("--force takes them too", async () => {
    query("UPDATE numbers SET value = 1000 WHERE id = 50");
    const force = async (name: string): ReturnType<typeof memento> =>
      await memento(folder, ["rollback", GOOD, "--plan", await hashOf(GOOD), "--force", name]);
    const unclear = await force("numbers");
    expect(unclear.exitCode).toBe(2);
    expect(unclear.stderr).toContain(`"numbers" may be any of source:numbers, sink:numbers`);
    expect((await force("sink:numbers")).exitCode).toBe(0);
    expect(query("SELECT value FROM numbers WHERE id > 39")).toEqual([]);
  });

  test("a name that the plan does not have, and no plan at all, are wrong command lines", async () => {
    const strange = await memento(folder, ["rollback", GOOD, "--plan", await hashOf(GOOD), "--force", "nope"]);
    expect(strange.stderr).toContain("The plan has no item nope");
    expect(strange.exitCode).toBe(2);
    const without = await memento(folder, ["rollback", GOOD]);
    expect(without.stderr).toContain("--plan <hash>");
    expect(without.exitCode).toBe(2);
    expect((await memento(folder, ["rollback", GOOD, "--plan", "nonsense"])).exitCode).toBe(2);
  });
});
