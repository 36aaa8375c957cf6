import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import type { AdoptPlan, EditResult, ResetPlan } from "@mementojs/memento";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { requireEngine } from "../../../../test/harness/engines.ts";
import { mementoOnTerminal, probeScript } from "../../../../test/harness/terminal.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-edit-")));
  expect((await memento(folder, run("count=40"))).exitCode).toBe(0);
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

function rows(): number {
  const database = new DatabaseSync(path.join(folder, "numbers.db"));
  const row = database.prepare("SELECT count(*) AS rows FROM numbers").get();
  database.close();
  return Number(row?.["rows"]);
}

interface Shown {
  readonly memento: { readonly id: string; readonly reason: string; readonly status: string };
  readonly state: Readonly<Record<string, unknown>>;
  readonly offsets: Readonly<Record<string, unknown>>;
  readonly fields: { readonly evidence?: Readonly<Record<string, unknown>> };
}

async function head(): Promise<Shown> {
  return JSON.parse((await memento(folder, ["show", "head", "--json"])).stdout) as Shown;
}

describe("memento edit", () => {
  test("changes what a run keeps, says what, keeps who and why, and can be undone", async () => {
    const before = await head();
    const args = [
      "edit",
      "head",
      "--set",
      'state.note={"by":"hand"}',
      "--set",
      "offsets.numbers.0=38",
      "--unset",
      "state.largest",
    ];
    const { stdout, exitCode } = await memento(folder, [...args, "--why", "two were lost"]);
    expect(stdout).toMatch(
      /^Edited numbers\n {2}state\.largest: 39 -> nothing\n {2}state\.note: nothing -> \{ by: 'hand' \}\n {2}offsets\.numbers\.0: 40 -> 38\nhead \S+\nTo undo it: memento plan \S+\n$/u,
    );
    expect(exitCode).toBe(0);
    const edited = await head();
    expect(edited).toMatchObject({
      state: { note: { by: "hand" } },
      offsets: { numbers: { "0": 38 } },
      memento: { reason: "edit" },
    });
    expect(edited.fields.evidence).toMatchObject({ why: "two were lost", before: before.memento.id });
    const text = (await memento(folder, ["show", "head"])).stdout;
    expect(text).toContain("edit by hand");
    expect(text).toContain("two were lost");
    const undo = /memento plan (\S+)/u.exec(stdout)?.[1] ?? "";
    const { hash } = JSON.parse((await memento(folder, ["plan", undo, "--json"])).stdout) as { hash: string };
    expect((await memento(folder, ["rollback", undo, "--plan", hash])).exitCode).toBe(0);
    expect((await head()).state).toEqual(before.state);
  });

  test("takes a patch from a file, and changes nothing in a dry run", async () => {
    writeFileSync(path.join(folder, "patch.json"), '[{"op":"replace","path":"/state/largest","value":7}]');
    const before = await head();
    const dry = await memento(folder, ["edit", "head", "--patch", "patch.json", "--dry-run", "--json"]);
    expect(JSON.parse(dry.stdout) as EditResult).toMatchObject({
      changes: [{ path: "state.largest", before: 39, after: 7 }],
    });
    expect((await head()).memento.id).toBe(before.memento.id);
    expect((await memento(folder, ["edit", before.memento.id, "--patch", "patch.json"])).exitCode).toBe(0);
    expect((await head()).state).toEqual({ largest: 7 });
    // That id is no longer the head.
    const late = await memento(folder, ["edit", before.memento.id, "--patch", "patch.json"]);
    expect(late.stderr).toContain("code: CONFLICT");
    expect(late.exitCode).toBe(4);
  });

  test("refuses what it is not told, and what does not fit", async () => {
    expect((await memento(folder, ["edit", "head"])).exitCode).toBe(2);
    const strange = await memento(folder, ["edit", "head", "--set", "sinks.numbers=1"]);
    expect(strange.stderr).toContain("sinks cannot be edited");
    const params = await memento(folder, ["edit", "head", "--set", "params.count=many"]);
    expect(params.stderr).toContain("code: PARAMS_INVALID");
    expect(params.exitCode).toBe(2);
  });
});

const script = await requireEngine("script (util-linux)", probeScript);

describe.skipIf(!script)("memento edit --editor", () => {
  test("an empty VISUAL names no editor, so that EDITOR does", async () => {
    const { sent, exitCode } = await mementoOnTerminal(folder, ["edit", "head", "--editor"], {
      env: { VISUAL: "", EDITOR: "sed -i s/39/7/", NO_COLOR: "1" },
    });
    expect(sent).toContain("state.largest: 39 -> 7");
    expect(exitCode).toBe(0);
  });

  test("Ctrl-C is the editor's: nothing is changed, and no state is left in the clear", async () => {
    const temporary = path.join(folder, "tmp");
    mkdirSync(temporary);
    const { sent, exitCode } = await mementoOnTerminal(folder, ["edit", "head", "--editor"], {
      env: { EDITOR: "sh -c 'echo opened; exec sleep 60' sh", TMPDIR: temporary, NO_COLOR: "1" },
      typed: [["opened", "\u0003"]],
    });
    expect(sent).toContain("nothing was changed");
    expect(exitCode).toBe(2);
    expect(readdirSync(temporary).filter((name) => name.startsWith("memento-edit-"))).toEqual([]);
  });
});

describe("memento reset", () => {
  test("shows what would happen, asks for the name in scripts, and begins anew", async () => {
    const plan = await memento(folder, ["reset", "numbers", "--dry-run"]);
    expect(plan.stdout).toMatch(/^Reset numbers\nfrom {2}#\d+ .*\nto {4}nothing\n/u);
    expect(plan.stdout).toMatch(/numbers {2}revert +40 /u);
    const json = await memento(folder, ["reset", "numbers", "--dry-run", "--json"]);
    expect(JSON.parse(json.stdout) as ResetPlan).toMatchObject({ target: null, sinks: [{ remove: 40 }] });
    for (const args of [[], ["--yes"], ["--yes", "--confirm", "number"]]) {
      const refused = await memento(folder, ["reset", "numbers", ...args]);
      expect(refused.exitCode).toBe(2);
      expect(rows()).toBe(40);
    }
    const done = await memento(folder, ["reset", "numbers", "--yes", "--confirm", "numbers", "--why", "anew"]);
    expect(done.stdout).toMatch(
      /^Reset numbers\n {2}numbers: 40 rows removed, 0 put back\nhead \S+\nTo undo it: memento plan \S+\n$/u,
    );
    expect(rows()).toBe(0);
    expect(await head()).toMatchObject({ memento: { reason: "reset", status: "saved" }, state: {}, offsets: {} });
    const undo = /memento plan (\S+)/u.exec(done.stdout)?.[1] ?? "";
    const { hash } = JSON.parse((await memento(folder, ["plan", undo, "--json"])).stdout) as { hash: string };
    expect((await memento(folder, ["rollback", undo, "--plan", hash])).exitCode).toBe(0);
    expect(rows()).toBe(40);
  });

  test("a purge leaves no way back, and the next run begins as the first did", async () => {
    const { stdout } = await memento(folder, ["reset", "numbers", "--yes", "--confirm", "numbers", "--purge"]);
    expect(stdout).toMatch(/\d+ mementos removed\n$/u);
    expect((await memento(folder, ["ls", "--json"])).stdout).not.toContain('"stage"');
    expect((await memento(folder, run("count=5"))).exitCode).toBe(0);
    expect(rows()).toBe(5);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });
});

describe("memento adopt", () => {
  test("refuses a fork that has written; with --rerun its rows go, and the next run writes them anew", async () => {
    expect((await memento(folder, ["fork", "head", "--name", "try"])).exitCode).toBe(0);
    expect((await memento(folder, run("count=50", "factor=-1"))).exitCode).toBe(0);
    const elsewhere = ["run", pipelineFile("numbers.ts"), "--param", "into=try.db", "--param", "count=50"];
    expect((await memento(folder, [...elsewhere, "--fork", "try"])).exitCode).toBe(0);
    const shown = await memento(folder, ["adopt", "try"]);
    expect(shown.stdout).toContain("Refused as it is: the fork has written data");
    expect(shown.stdout).toContain("sink numbers: 10 rows of sqlite table numbers in try.db");
    expect(shown.stdout).not.toContain("Apply it");
    expect(shown.stdout).not.toContain("--plan");
    expect(shown.stdout).toMatch(/Nothing was changed\. See what .* would do:\n {2}memento adopt try --rerun\n$/u);
    const offered = await memento(folder, ["adopt", "try", "--rerun"]);
    expect(offered.stdout).toMatch(/Apply it:\n {2}memento adopt try --rerun --plan \S+\n$/u);
    const { hash } = JSON.parse((await memento(folder, ["adopt", "try", "--json"])).stdout) as AdoptPlan;
    const refused = await memento(folder, ["adopt", "try", "--plan", hash]);
    expect(refused.stderr).toContain("code: NOT_REVERTIBLE");
    expect(refused.exitCode).toBe(4);
    const rerun = JSON.parse((await memento(folder, ["adopt", "try", "--rerun", "--json"])).stdout) as AdoptPlan;
    const done = await memento(folder, ["adopt", "try", "--rerun", "--plan", rerun.hash, "--why", "right"]);
    expect(done.stdout).toMatch(/^Adopted numbers#try as the head of numbers\n/u);
    expect(rows()).toBe(40);
    expect((await memento(folder, run("count=50"))).exitCode).toBe(0);
    expect(rows()).toBe(50);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });

  test("what is no fork is a wrong command line", async () => {
    const { stderr, exitCode } = await memento(folder, ["adopt", "numbers"]);
    expect(stderr).toContain("is no fork");
    expect(exitCode).toBe(2);
  });
});

describe("memento rollback of chosen items", () => {
  test("--only and --paused: the rest stays, and nothing runs until it is resumed", async () => {
    expect((await memento(folder, run("count=50"))).exitCode).toBe(0);
    const items = ["--only", "sink:numbers", "--only", "source:numbers"];
    const plan = await memento(folder, ["plan", "7", ...items]);
    expect(plan.stdout).toContain("only  sink:numbers, source:numbers");
    expect(plan.stdout).toContain("--only sink:numbers --only source:numbers --plan");
    const { hash } = JSON.parse((await memento(folder, ["plan", "7", ...items, "--json"])).stdout) as { hash: string };
    expect((await memento(folder, ["rollback", "7", ...items, "--plan", hash, "--paused"])).exitCode).toBe(0);
    expect(rows()).toBe(40);
    expect(await head()).toMatchObject({ memento: { status: "paused" }, state: { largest: 49 } });
    const waiting = await memento(folder, run("count=50"));
    expect(waiting.stderr).toContain("code: RUN_PENDING");
    expect((await memento(folder, ["resume"])).exitCode).toBe(0);
    expect((await memento(folder, run("count=50"))).exitCode).toBe(0);
    expect(rows()).toBe(50);
  });
});
