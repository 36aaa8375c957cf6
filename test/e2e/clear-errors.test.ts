import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, mementoCommand, pipelineFile } from "../harness/command-line.ts";
import { requireEngine } from "../harness/engines.ts";
import { shellEnvironment } from "../harness/process.ts";
import { mayMount, withSmallDisk } from "../harness/small-disk.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-errors-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Every file below the folder, with the digest of its content: what a refused command must leave as it was. */
function everything(): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => path.join(parentPath, name))
      // The log of a database that is open now and then is no trace: it holds nothing once it was closed.
      .filter((file) => !/-(?:wal|shm)$/u.test(file))
      .map((file) => [path.relative(folder, file), createHash("sha256").update(readFileSync(file)).digest("hex")]),
  );
}

interface Refusal {
  readonly code: string;
  readonly exit: number;
  /** Must stand in the message: the thing that is wrong. */
  readonly names: string | RegExp;
}

/** Runs a command twice: for people and with --json. Both must say the same clear thing, and leave no trace. */
async function expectRefusal(
  args: readonly string[],
  { code, exit, names }: Refusal,
  environment: NodeJS.ProcessEnv = {},
): Promise<void> {
  const before = everything();
  const people = await memento(folder, args, environment);
  expect(people.stderr).toMatch(names);
  expect(people.stderr).toContain(code);
  expect(people.stderr).toMatch(/hint/iu);
  expect(people.stderr).not.toMatch(/^\s+at .*:\d+:\d+/mu);
  expect(people.exitCode).toBe(exit);
  const machine = await memento(folder, [...args, "--json"], environment);
  expect(machine.exitCode).toBe(exit);
  const { error } = JSON.parse(machine.stdout) as { error: { code: string; message: string; hint: string } };
  expect(error.code).toBe(code);
  expect(error.message).toMatch(names);
  expect(error.hint.length).toBeGreaterThan(10);
  expect(everything()).toEqual(before);
}

const lines = (count: number): string =>
  Array.from({ length: count }, (_, id) => JSON.stringify({ id, text: `line ${id}` })).join("\n");
const run = (input: string, ...more: string[]): string[] => [
  "run",
  pipelineFile("lines.ts"),
  "--param",
  `input=${input}`,
  "--param",
  `into=${folder}/table.db`,
  ...more,
];

async function loaded(count = 30): Promise<void> {
  writeFileSync(path.join(folder, "in.jsonl"), lines(count));
  expect((await memento(folder, ["init"])).exitCode).toBe(0);
  const done = await memento(folder, run(path.join(folder, "in.jsonl")));
  expect(done.stderr + done.stdout).toContain("completed");
  expect(done.exitCode).toBe(0);
}

function rows(): number {
  const database = new DatabaseSync(path.join(folder, "table.db"), { readOnly: true });
  const count = Number(database.prepare("SELECT count(*) AS n FROM lines").get()?.["n"]);
  database.close();
  return count;
}

describe("a pipeline file", () => {
  test.each([
    [
      "that is not there",
      "/nowhere/pipeline.ts",
      { code: "INPUT_MISSING", exit: 1, names: /\/nowhere\/pipeline\.ts/u },
    ],
    [
      "that exports no pipeline",
      pipelineFile("no-pipeline.ts"),
      { code: "PIPELINE_MISSING", exit: 2, names: /no-pipeline\.ts/u },
    ],
    [
      "with a stage after an unknown one",
      pipelineFile("unknown-stage.ts"),
      { code: "INVALID_PIPELINE", exit: 2, names: /extrakt/u },
    ],
    [
      "whose stages go in a circle",
      pipelineFile("cycle.ts"),
      { code: "INVALID_PIPELINE", exit: 2, names: /one -> two -> one/u },
    ],
  ])("%s", async (_what, file, refusal) => {
    await expectRefusal(["run", file], refusal);
  });

  test("with parameters that do not fit", async () => {
    await expectRefusal(["run", pipelineFile("lines.ts"), "--param", "input=x"], {
      code: "PARAMS_INVALID",
      exit: 2,
      names: /into/u,
    });
  });
});

describe("a store", () => {
  test("an unknown stage as a target", async () => {
    await loaded();
    await expectRefusal(["plan", "stage:nope"], { code: "NOT_FOUND", exit: 1, names: /nope/u });
  });

  test("a wrong key, and none at all", async () => {
    await loaded();
    const key = path.join(folder, ".memento", "store.db.key");
    mkdirSync(path.join(folder, "other"));
    expect((await memento(path.join(folder, "other"), ["init"])).exitCode).toBe(0);
    const right = readFileSync(key);
    copyFileSync(path.join(folder, "other", ".memento", "store.db.key"), key);
    await expectRefusal(["ls"], { code: "KEY_WRONG", exit: 1, names: /key/u });
    rmSync(key);
    await expectRefusal(["ls"], { code: "KEY_MISSING", exit: 1, names: /store\.db\.key/u });
    writeFileSync(key, right);
    expect((await memento(folder, ["ls"])).exitCode).toBe(0);
  });

  test("an unknown format version", async () => {
    await loaded();
    const database = new DatabaseSync(path.join(folder, ".memento", "store.db"));
    database.exec("UPDATE store SET format = 2; PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
    await expectRefusal(["ls"], { code: "FORMAT_UNKNOWN", exit: 1, names: /format 2/u });
  });

  test("another program's database", async () => {
    const file = path.join(folder, "other.db");
    const database = new DatabaseSync(file);
    database.exec("CREATE TABLE mine (a)");
    database.close();
    await expectRefusal(["ls", "--store", `sqlite:${file}`], { code: "NOT_A_STORE", exit: 1, names: /other\.db/u });
  });

  test("a URL of no known kind, and a place without a store", async () => {
    await expectRefusal(["ls", "--store", "ftp://user:secret@host/x"], {
      code: "PORT_UNKNOWN",
      exit: 2,
      names: /ftp:/u,
    });
    await expectRefusal(["ls"], { code: "NOT_A_STORE", exit: 1, names: /store/u });
  });

  test("damage: verify ends 3, names the mementos and the nearest good one", async () => {
    await loaded();
    const file = path.join(folder, ".memento", "store.db");
    const database = new DatabaseSync(file);
    database.exec(
      "UPDATE commit_log SET body = zeroblob(length(body)) WHERE id = (SELECT max(id) FROM commit_log WHERE body IS NOT NULL)",
    );
    database.close();
    const { exitCode, stdout } = await memento(folder, ["verify", "--json"]);
    expect(exitCode).toBe(3);
    const report = JSON.parse(stdout) as { damages: { mementos: string[]; nearestGood: Record<string, string> }[] };
    const [damage] = report.damages;
    const [memento_] = damage?.mementos ?? [];
    expect(memento_).toMatch(/-\d+-/u);
    expect(damage?.nearestGood[memento_ ?? ""]).toMatch(/-\d+-/u);
    const table = readFileSync(path.join(folder, "table.db"));
    const again = await memento(folder, run(path.join(folder, "in.jsonl")));
    expect(again.stderr).toContain(memento_);
    expect(again.exitCode).toBe(3);
    expect(readFileSync(path.join(folder, "table.db")).equals(table)).toBe(true);
  });
});

describe("a run", () => {
  test("that a live worker holds", async () => {
    writeFileSync(path.join(folder, "in.jsonl"), lines(30));
    const [file, args] = mementoCommand(run(path.join(folder, "in.jsonl"), "--param", "waitMs=60000"));
    expect((await memento(folder, ["init"])).exitCode).toBe(0);
    const live = spawn(file, args, { cwd: folder, env: shellEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    const gone = new Promise<number | null>((resolve) => {
      live.once("exit", (code) => {
        resolve(code);
      });
    });
    try {
      await new Promise<void>((resolve) => {
        live.stderr.on("data", (data: Buffer) => {
          if (data.toString().includes("wait")) resolve();
        });
      });
      const { exitCode, stderr } = await memento(folder, run(path.join(folder, "in.jsonl")));
      expect(stderr).toMatch(/LOCKED/u);
      expect(stderr).toContain(String(live.pid));
      expect(exitCode).toBe(4);
    } finally {
      live.kill("SIGINT");
    }
    expect(await gone).toBe(130);
    expect((await memento(folder, run(path.join(folder, "in.jsonl"), "--fresh"))).exitCode).toBe(0);
    expect(rows()).toBe(30);
  });

  test("of an empty input is done, and of a cut one says where; mended, it goes on", async () => {
    const input = path.join(folder, "in.jsonl");
    writeFileSync(input, "");
    expect((await memento(folder, run(input))).exitCode).toBe(0);
    writeFileSync(input, `${lines(35)}\n{"id": 35, "te`);
    const cut = await memento(folder, run(input));
    expect(cut.stderr).toContain("INPUT_CUT");
    expect(cut.stderr).toContain("in.jsonl");
    expect(cut.exitCode).toBe(1);
    writeFileSync(input, `${lines(40)}\n`);
    expect((await memento(folder, run(input))).exitCode).toBe(0);
    expect(rows()).toBe(40);
  });

  test("of a missing input, and of records that do not fit", async () => {
    const input = path.join(folder, "in.jsonl");
    const missing = await memento(folder, run(input));
    expect(missing.stderr).toContain("INPUT_MISSING");
    expect(missing.exitCode).toBe(1);
    writeFileSync(input, [lines(25), ...Array.from({ length: 3 }, () => '{"id":"many"}'), ""].join("\n"));
    expect((await memento(folder, run(input))).exitCode).toBe(0);
    writeFileSync(input, [lines(25), ...Array.from({ length: 9 }, () => '{"id":"many"}'), ""].join("\n"));
    const many = await memento(folder, run(input));
    expect(many.stderr).toContain("TOO_MANY_INVALID");
    expect(many.stderr).toContain("validate");
    expect(many.exitCode).toBe(1);
    expect(rows()).toBe(25);
  });

  test("on a full disk says so, loses nothing that was acknowledged, and goes on when there is room", async () => {
    if (!(await requireEngine("a small tmpfs (root)", mayMount))) return;
    await withSmallDisk("size=600k", async (small, remount) => {
      const input = path.join(folder, "in.jsonl");
      writeFileSync(input, lines(20_000));
      const into = [
        "run",
        pipelineFile("lines.ts"),
        "--store",
        `sqlite:${small}/store.db`,
        "--param",
        `input=${input}`,
        "--param",
        `into=${small}/table.db`,
      ];
      const full = await memento(folder, into);
      expect(full.stderr).toContain("DISK_FULL");
      expect(full.exitCode).toBe(1);
      remount("size=64m");
      expect((await memento(folder, into)).exitCode).toBe(0);
      expect((await memento(folder, ["verify", "--store", `sqlite:${small}/store.db`])).exitCode).toBe(0);
      const database = new DatabaseSync(`${small}/table.db`, { readOnly: true });
      expect(database.prepare("SELECT count(*) AS n, count(DISTINCT id) AS d FROM lines").get()).toEqual({
        n: 20_000,
        d: 20_000,
      });
      database.close();
    });
  });

  test("in a read-only folder says so", async () => {
    if (!(await requireEngine("a read-only mount (root)", mayMount))) return;
    await withSmallDisk("ro", async (sealed) => {
      writeFileSync(path.join(folder, "in.jsonl"), lines(3));
      const { exitCode, stderr } = await memento(folder, [
        ...run(path.join(folder, "in.jsonl")),
        "--store",
        `sqlite:${sealed}/store.db`,
      ]);
      expect(stderr).toContain("IO_FAILED");
      expect(stderr).toContain(sealed);
      expect(exitCode).toBe(1);
    });
  });
});

describe("a place that is not what a command takes", () => {
  test.each([
    [["put", "box", "--caretaker", "etl"], "IO_FAILED", /box is a folder.*hint: .*file/su],
    [["put", "box", "--state", "--caretaker", "etl"], "IO_FAILED", /box is a folder/su],
    [["put", "box/gone", "--caretaker", "etl"], "INPUT_MISSING", /no file \S+box\/gone/u],
    [["put", "plain/below", "--caretaker", "etl"], "INPUT_MISSING", /no file \S+plain\/below/u],
    [["put", "plain/below", "--state", "--caretaker", "etl"], "INPUT_MISSING", /no file \S+plain\/below/u],
    [["backup", "--list", "box"], "IO_FAILED", /box is a folder.*hint: .*file/su],
    [["restore-backup", "box", "sqlite:x.db"], "IO_FAILED", /box is a folder/u],
    [["import", "box"], "IO_FAILED", /box is a folder/u],
    [["ls", "--store", "sqlite:gone/x.db"], "NOT_A_STORE", /hint: There is no folder \S+\/gone/u],
    [["ls", "--store", "file:gone/deep/x"], "NOT_A_STORE", /hint: There is no folder \S+\/gone\/deep/u],
    [
      ["copy", "--from", "sqlite:gone/x.db", "--to", "sqlite:y.db"],
      "NOT_A_STORE",
      /hint: There is no folder \S+\/gone/u,
    ],
    [["init", "--store", "sqlite:box"], "IO_FAILED", /box is a folder.*hint: .*file:/su],
    [["init", "--store", "sqlite:plain"], "NOT_A_STORE", /not an SQLite database.*hint: .*path of its own/su],
    [["run", "box"], "INPUT_MISSING", /box is a folder.*hint: .*pipeline/su],
    [["export", "head", "--timeline", "etl/plain", "--out", "box"], "IO_FAILED", /box is a folder.*hint: .*file/su],
    [["export", "head", "--timeline", "etl/plain", "--out", "box", "--force"], "IO_FAILED", /box is a folder/u],
    [["fork", "head", "--timeline", "etl/plain", "--name", "x"], "INVALID_ARGUMENT", /no timeline of a pipeline/u],
    [["rollback", "head", "--timeline", "etl/plain", "--plan", "x"], "INVALID_ARGUMENT", /no timeline of a pipeline/u],
    [["ls", "--store", "postgres://u:s3/cret@h/db"], "INVALID_ARGUMENT", /hint: .*%2F/su],
    [["ls", "--store", "mysql://u:s3cret%ZZ@h/db"], "INVALID_ARGUMENT", /hint: .*%25/su],
    [["init", "--store", "sqlite:gone/x.db"], "IO_FAILED", /There is no folder \S+\/gone.*hint: Make it/su],
    [["init", "--store", "file:gone/x"], "IO_FAILED", /There is no folder \S+\/gone.*hint: Make it/su],
  ])("%j is %s, and its message says what it is", async (args, code, names) => {
    mkdirSync(path.join(folder, "box"));
    writeFileSync(path.join(folder, "plain"), "text");
    expect((await memento(folder, ["init"])).exitCode).toBe(0);
    expect((await memento(folder, ["put", "plain", "--caretaker", "etl"])).exitCode).toBe(0);
    const { stderr } = await memento(folder, args);
    expect(stderr).toMatch(names);
    expect(stderr).toContain(`code: ${code}`);
    expect(stderr).not.toMatch(/E[A-Z]{4,}:|The message names/u);
  });
});

describe("a new store", () => {
  test.each(["4k", "8k", "16k", "40k"])("is made whole or not at all where the disk has %s left", async (size) => {
    if (!(await requireEngine("a small tmpfs (root)", mayMount))) return;
    await withSmallDisk(`size=${size}`, async (small, remount) => {
      for (const place of [small, `--store=sqlite:${small}/x.db`, `--store=file:${small}/y`, `--store=file:${small}`]) {
        const full = await memento(folder, ["init", place]);
        expect([full.exitCode, full.stderr]).toEqual([1, expect.stringContaining("DISK_FULL")]);
        expect([readdirSync(folder), readdirSync(small)]).toEqual([[], []]);
      }
      remount("size=64m");
      expect((await memento(folder, ["init", small])).stdout).toMatch(/^Made a store/u);
    });
  });
});
