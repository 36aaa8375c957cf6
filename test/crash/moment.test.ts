import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { runProcess } from "../harness/process.ts";
import { momentPlaces } from "./moment-pipeline.ts";
import type { MomentReport, MomentTask } from "./moment-worker.ts";

const worker = fileURLToPath(new URL("moment-worker.ts", import.meta.url));
let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-moment-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function start(task: MomentTask): Promise<{ signal: NodeJS.Signals | null; report: MomentReport | null }> {
  const { signal, exitCode, stdout, stderr } = await runProcess(process.execPath, [worker, JSON.stringify(task)], {
    timeoutMs: 60_000,
  });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  const report = line.startsWith("{") ? (JSON.parse(line) as MomentReport) : null;
  if (signal === null && report === null)
    throw new Error(`The worker ended with ${exitCode} and said:\n${stdout}${stderr}`);
  return { signal, report };
}

function rows(file: string, sql: string): unknown[] {
  if (!existsSync(file)) return [];
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const [, table = ""] = /FROM (\w+)/u.exec(sql) ?? [];
    if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) === undefined) return [];
    return database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));
  } finally {
    database.close();
  }
}

interface Moment {
  /** Everything as it stands, rowids too, by which two moments are compared. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly offsets: Readonly<Record<string, unknown>>;
  readonly state: Readonly<Record<string, unknown>>;
  readonly head: { readonly id: string; readonly status: string };
}

async function moment(folder: string): Promise<Moment> {
  const places = momentPlaces(folder);
  const page = rows(places.ledger, "SELECT entries FROM page ORDER BY position DESC LIMIT 1") as { entries: string }[];
  const data = {
    left: rows(places.tables, "SELECT rowid, id FROM left ORDER BY rowid"),
    right: rows(places.tables, "SELECT rowid, id FROM right ORDER BY rowid"),
    sums: rows(places.sums, "SELECT rowid, side, last FROM sums ORDER BY rowid"),
    ledger: JSON.parse(page[0]?.entries ?? "[]") as string[],
  };
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  for await (const { id, status } of memento.history({ name: "moment" })) {
    const head = await memento.vault.load(id);
    const offsets = Object.fromEntries(await head.values("offsets/"));
    return { data, offsets, state: Object.fromEntries(await head.values("state/")), head: { id, status } };
  }
  throw new Error("There is no memento");
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Offsets, state, every sink and the ledger say the same of both sources. Returns how far they are. */
function expectOneMoment({ data, offsets, state }: Moment, where: string): readonly [left: number, right: number] {
  const at = (side: "left" | "right"): number =>
    Number((offsets[side] as Record<string, unknown> | undefined)?.["0"] ?? 0);
  for (const side of ["left", "right"] as const) {
    expect(
      (data[side] as { id: number }[]).map(({ id }) => id),
      `${where}: ${side}`,
    ).toEqual(upTo(at(side)));
    expect(state[side] ?? 0, `${where}: state ${side}`).toBe(at(side));
  }
  const sums = (data["sums"] as { side: string; last: number }[]).map(({ side, last }) => [side, last]);
  const expected = (["left", "right"] as const).filter((side) => at(side) > 0).map((side) => [side, at(side)]);
  expect(Object.fromEntries(sums), `${where}: sums`).toEqual(Object.fromEntries(expected));
  const entries = [...upTo(at("left")).map((id) => `left ${id}`), ...upTo(at("right")).map((id) => `right ${id}`)];
  expect([...(data["ledger"] as string[])].toSorted(), `${where}: ledger`).toEqual(entries.toSorted());
  return [at("left"), at("right")];
}

/** Each eleventh call by default, before and after by turns; `MEMENTO_EVERY_CALL=1` takes each of them. */
const stride = Number(process.env["MEMENTO_EVERY_CALL"] ?? 11);

/** Does a thing again and again, with a kill before, then after, each of its calls, until it runs through unharmed. */
async function killAtEveryCall(
  name: string,
  base: string,
  task: Omit<MomentTask, "folder" | "kill">,
  check: (folder: string, where: string) => Promise<void>,
): Promise<readonly string[]> {
  for (const phase of ["before", "after"] as const) {
    for (let call = phase === "before" ? 1 : Math.ceil(stride / 2); ; call += stride) {
      const folder = path.join(root, `${name}-${phase}-${call}`);
      cpSync(base, folder, { recursive: true });
      const { signal, report } = await start({ ...task, folder, kill: { call, phase } });
      if (signal === "SIGKILL") {
        await check(folder, `${name}: killed ${phase} call ${call}`);
        rmSync(folder, { recursive: true });
        continue;
      }
      expect(report?.error, name).toBeUndefined();
      rmSync(folder, { recursive: true });
      if (phase === "after") return report?.calls ?? [];
      break;
    }
  }
  return [];
}

/** A folder in which runs to these counts have ended. */
async function ended(name: string, ...counts: number[]): Promise<string> {
  const folder = path.join(root, name);
  mkdirSync(folder);
  await (await Memento.open(`sqlite:${folder}/store.db`)).close();
  for (const count of counts)
    expect((await start({ folder, action: "run", count })).report, name).toMatchObject({ status: "completed" });
  return folder;
}

/** What every command does first, then a run to the end: one moment after each. Returns how far the first was. */
async function settleThenRun(folder: string, where: string): Promise<readonly [left: number, right: number]> {
  await start({ folder, action: "settle", count: 12 });
  const found = await moment(folder);
  expect(found.head.status, where).not.toBe("reverting");
  const at = expectOneMoment(found, where);
  expect((await start({ folder, action: "run", count: 12 })).report, where).toMatchObject({ status: "completed" });
  expect(expectOneMoment(await moment(folder), where), where).toEqual([12, 12]);
  return at;
}

describe("P5 one restore, P10 exactly once: offsets, state, three sinks and a ledger describe one moment, wherever it was killed", () => {
  test("a run, and its resumption", async () => {
    const base = await ended("run", 0);
    const calls = await killAtEveryCall("run", base, { action: "run", count: 12 }, async (folder, where) => {
      await settleThenRun(folder, where);
    });
    expect(calls).toContain("ledger.enter");
    const half = path.join(root, "half");
    cpSync(base, half, { recursive: true });
    const middle = calls.indexOf("sums.write", calls.length / 2) + 1;
    expect(
      (await start({ folder: half, action: "run", count: 12, kill: { call: middle, phase: "after" } })).signal,
    ).toBe("SIGKILL");
    await killAtEveryCall("resume", half, { action: "run", count: 12 }, async (folder, where) => {
      await settleThenRun(folder, where);
    });
  });

  test("a rollback: it is finished by the next command, or has not begun", async () => {
    const base = await ended("rollback", 7, 12);
    const target = await completedAt(base, 7);
    const seen = new Set<string>();
    const task = { action: "rollback", count: 12, target } as const;
    const calls = await killAtEveryCall("rollback", base, task, async (folder, where) => {
      seen.add(String(await settleThenRun(folder, where)));
    });
    expect(calls).toContain("ledger.revertTo");
    // Early kills leave the state of before, late ones the restored one: both must have been met.
    expect(seen).toEqual(new Set(["12,12", "7,7"]));
  });

  test("an edit: it is there whole, or not at all", async () => {
    const base = await ended("edit", 7);
    const seen = new Set<unknown>();
    await killAtEveryCall("edit", base, { action: "edit", count: 7 }, async (folder, where) => {
      seen.add((await moment(folder)).state["note"]);
      await settleThenRun(folder, where);
    });
    expect(seen).toContain(undefined);
  });

  test("a reset: back to nothing, or as it was", async () => {
    const base = await ended("reset", 12);
    const seen = new Set<string>();
    await killAtEveryCall("reset", base, { action: "reset", count: 12 }, async (folder, where) => {
      seen.add(String(await settleThenRun(folder, where)));
    });
    expect(seen).toEqual(new Set(["12,12", "0,0"]));
  });
});

describe("P7 nothing lost", () => {
  test("a rollback that is rolled back gives the state of before, to the byte", async () => {
    const folder = await ended("forth", 7, 12);
    const before = await moment(folder);
    const back = await start({ folder, action: "rollback", count: 12, target: await completedAt(folder, 7) });
    expect(expectOneMoment(await moment(folder), "back")).toEqual([7, 7]);
    await start({ folder, action: "rollback", count: 12, target: back.report?.undo ?? "" });
    const after = await moment(folder);
    expect({ ...after, head: null }).toEqual({ ...before, head: null });
    const reset = await start({ folder, action: "reset", count: 12 });
    expect(expectOneMoment(await moment(folder), "reset")).toEqual([0, 0]);
    await start({ folder, action: "rollback", count: 12, target: reset.report?.undo ?? "" });
    expect({ ...(await moment(folder)), head: null }).toEqual({ ...before, head: null });
  });
});

async function completedAt(folder: string, count: number): Promise<string> {
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  for await (const { id, status } of memento.history({ name: "moment" }))
    if (status === "completed" && (await (await memento.vault.load(id)).value("state/right")) === count) return id;
  throw new Error(`No run ended at ${count}`);
}
