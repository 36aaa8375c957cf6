import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { findExecutables } from "../../../../../test/harness/executables.ts";
import type { StepNews } from "../../../../../test/workers/sqlite-steps.ts";
import { allAnswers } from "../../testing/store/answers.ts";
import { collect } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

const hasStrace = await requireEngine(
  "strace",
  () => findExecutables("strace").length > 0 || "there is no strace on PATH",
);

const STEPS = fileURLToPath(new URL("../../../../../test/workers/sqlite-steps.ts", import.meta.url));
/** Every system call by which SQLite changes a file, or makes it last. */
const CALLS = ["pwrite64", "fsync", "fdatasync", "ftruncate", "unlink"];

interface Traced {
  readonly news: readonly StepNews[];
  readonly signal: string | null;
  readonly code: number | null;
  readonly errors: string;
}

/** Runs the steps with a fault at some of the calls of this name that touch the store's files. */
async function runSteps(path: string, call: string, fault: string): Promise<Traced> {
  const files = ["", "-wal", "-shm", "-journal"].flatMap((suffix) => ["-P", `${path}${suffix}`]);
  const trace = ["-f", "-qq", "-o", `${path}.trace`, ...files, "-e", `trace=${call}`, "-e", `inject=${call}:${fault}`];
  const child = spawn("strace", [...trace, process.execPath, STEPS, path], { timeout: 60_000 });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  const lines = output.split("\n").filter((line) => line !== "");
  return { news: lines.map((line) => JSON.parse(line) as StepNews), signal, code, errors };
}

/** The store is sound, and holds what the steps said that it took. */
async function expectWhole(path: string, news: readonly StepNews[]): Promise<void> {
  const told = news.filter(({ failed }) => failed === undefined);
  await using store = await SqliteStore.open({ path });
  if ((await store.meta()) === null) {
    expect(told).toEqual([]);
    return;
  }
  expect(await collect(store.check())).toEqual([]);
  await allAnswers(store);
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  const stored = new Map(rows.map((row) => [row.entry.id, row]));
  for (const id of told.flatMap(({ saved = [] }) => saved)) expect(stored.get(id), id).toBeDefined();
  for (const id of told.flatMap(({ removed = [] }) => removed)) expect(stored.get(id)?.removed, id).toBe(true);
  expect([0, 1, 4]).toContain(rows.length);
  const live = rows.filter(({ removed }) => !removed).length;
  expect(live === rows.length || live === rows.length - 3).toBe(true);
}

/** Runs the steps once for the 1st, 2nd, 3rd... call of every name, each in a place of its own. Returns how often a fault struck. */
async function atEachCall(
  fault: string,
  calls: readonly string[],
  look: (path: string, traced: Traced) => Promise<void>,
): Promise<number> {
  let struck = 0;
  for (const call of calls) {
    for (let number = 1; ; number++) {
      const folder = await mkdtemp(join(tmpdir(), "memento-faults-"));
      try {
        const path = join(folder, "store.db");
        const traced = await runSteps(path, call, `${fault}:when=${number}`);
        const trace = await readFile(`${path}.trace`, "utf8");
        if (!/INJECTED|killed by SIGKILL/.test(trace)) {
          expect([traced.code, traced.news.length]).toEqual([0, 7]);
          break;
        }
        struck += 1;
        expect(traced.errors, `${call} ${number}`).toBe("");
        await look(path, traced);
      } finally {
        await rm(folder, { recursive: true });
      }
    }
  }
  return struck;
}

describe.skipIf(!hasStrace)("a fault at every call that writes", () => {
  test("SIGKILL leaves the state of before or of after", { timeout: 900_000 }, async () => {
    const stepsDone = new Set<number>();
    const struck = await atEachCall("signal=KILL", CALLS, async (path, { news }) => {
      stepsDone.add(news.length);
      await expectWhole(path, news);
    });
    expect(struck).toBeGreaterThan(40);
    // Something died inside each of the steps.
    expect(stepsDone).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });

  const errors = [
    ["EIO", "IO_FAILED", CALLS],
    ["ENOSPC", "DISK_FULL", ["pwrite64"]],
  ] as const;
  test.each(errors)(
    "%s is told as %s, and the next try succeeds",
    { timeout: 900_000 },
    async (name, wanted, calls) => {
      const told: (string | undefined)[] = [];
      await atEachCall(`error=${name}`, calls, async (path, { news, code }) => {
        expect(code).toBe(0);
        told.push(...news.map(({ failed }) => failed));
        await expectWhole(path, news);
      });
      const codes = new Set(told.filter((failed) => failed !== undefined));
      expect(codes).toContain(wanted);
      expect(codes.difference(new Set(["IO_FAILED", wanted]))).toEqual(new Set());
    },
  );
});
