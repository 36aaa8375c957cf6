import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { readDataset } from "@mementojs/memento/sinks";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { extent } from "../harness/extent.ts";
import { runProcess } from "../harness/process.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../harness/servers/postgres.ts";
import { momentPlaces } from "./moment-pipeline.ts";
import type { MomentReport, MomentTask } from "./moment-worker.ts";

const worker = fileURLToPath(new URL("moment-worker.ts", import.meta.url));
const hasPostgres = await requireEngine("PostgreSQL", probePostgres);
let root: string;
let server: PostgresServer | null = null;
let worlds = 0;

/** Everything that a moment is of: a folder, and the database that belongs to it. */
interface World {
  readonly folder: string;
  /** Null where there is no PostgreSQL: all is in the folder then. */
  readonly postgres: string | null;
}

async function makeWorld(like: World | null): Promise<World> {
  worlds += 1;
  const folder = path.join(root, `world-${worlds}`);
  // The link of a dataset to its newest version stays one.
  if (like === null) mkdirSync(folder);
  else cpSync(like.folder, folder, { recursive: true, verbatimSymlinks: true });
  if (server === null) return { folder, postgres: null };
  const template = like === null ? "template1" : nameOf(like.postgres ?? "");
  await untilUnused(async () => void (await server?.query(`CREATE DATABASE world_${worlds} TEMPLATE ${template}`)));
  return { folder, postgres: `postgres://postgres@127.0.0.1:${server.port}/world_${worlds}` };
}

async function removeWorld({ folder, postgres }: World): Promise<void> {
  rmSync(folder, { recursive: true });
  if (postgres !== null)
    await untilUnused(async () => void (await server?.query(`DROP DATABASE ${nameOf(postgres)} WITH (FORCE)`)));
}

/** The server waits some seconds for the connections of a process that was just killed; on a busy machine they may take longer. */
async function untilUnused(work: () => Promise<void>): Promise<void> {
  for (const end = performance.now() + 60_000; ;) {
    try {
      await work();
      return;
    } catch (error) {
      if ((error as { readonly code?: string }).code !== "55006" || performance.now() > end) throw error;
    }
  }
}

const nameOf = (url: string): string => new URL(url).pathname.slice(1);

beforeAll(async () => {
  if (hasPostgres) server = await startPostgres();
  root = mkdtempSync(path.join(tmpdir(), "memento-moment-"));
});
afterAll(async () => {
  rmSync(root, { recursive: true, force: true });
  await server?.stop();
});

async function start(task: MomentTask): Promise<{ signal: NodeJS.Signals | null; report: MomentReport | null }> {
  const { signal, exitCode, stdout, stderr } = await runProcess(process.execPath, [worker, JSON.stringify(task)], {
    timeoutMs: 180_000,
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

/** The rows of the newest version of the dataset. */
async function datasetRows(folder: string): Promise<unknown[]> {
  if (!existsSync(path.join(folder, "_memento"))) return [];
  const { files } = await readDataset(folder);
  const ids: { id: number }[] = [];
  for (const file of files) {
    const bytes = readFileSync(file.path);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    for (const { id } of await parquetReadObjects({ file: buffer, compressors })) ids.push({ id: Number(id) });
  }
  return ids.toSorted((one, other) => one.id - other.id);
}

async function sumRows({ folder, postgres }: World): Promise<unknown[]> {
  const sql = "SELECT side, last FROM sums ORDER BY side";
  if (postgres === null) return rows(momentPlaces(folder).sums, sql);
  const client = new Client({ connectionString: postgres });
  await client.connect();
  try {
    const found = await client.query<{ there: boolean }>("SELECT to_regclass('sums') IS NOT NULL AS there");
    return found.rows[0]?.there === true ? (await client.query<Record<string, unknown>>(sql)).rows : [];
  } finally {
    await client.end();
  }
}

async function moment(world: World): Promise<Moment> {
  const places = momentPlaces(world.folder);
  const page = rows(places.ledger, "SELECT entries FROM page ORDER BY position DESC LIMIT 1") as { entries: string }[];
  const data = {
    left: rows(places.left, "SELECT rowid, id FROM left ORDER BY rowid"),
    right: await datasetRows(places.right),
    sums: await sumRows(world),
    ledger: JSON.parse(page[0]?.entries ?? "[]") as string[],
  };
  await using memento = await Memento.open(`sqlite:${world.folder}/store.db`);
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

/** A kill at every how many-th call, before and after by turns; `MEMENTO_EVERY_CALL=1` takes each of them. */
const stride = extent({ plain: 47, all: 11, variable: "MEMENTO_EVERY_CALL" });

/** Does a thing again and again, with a kill before, then after, each of its calls, until it runs through unharmed. */
async function killAtEveryCall(
  name: string,
  base: World,
  task: Omit<MomentTask, keyof World | "kill">,
  check: (world: World, where: string) => Promise<void>,
): Promise<readonly string[]> {
  for (const phase of ["before", "after"] as const) {
    for (let call = phase === "before" ? 1 : Math.ceil(stride / 2); ; call += stride) {
      const world = await makeWorld(base);
      const { signal, report } = await start({ ...task, ...world, kill: { call, phase } });
      if (signal === "SIGKILL") {
        await check(world, `${name}: killed ${phase} call ${call}`);
        await removeWorld(world);
        continue;
      }
      expect(report?.error, name).toBeUndefined();
      await removeWorld(world);
      if (phase === "after") return report?.calls ?? [];
      break;
    }
  }
  return [];
}

/** A world in which runs to these counts have ended. */
async function ended(...counts: number[]): Promise<World> {
  const world = await makeWorld(null);
  await (await Memento.open(`sqlite:${world.folder}/store.db`)).close();
  for (const count of counts)
    expect((await start({ ...world, action: "run", count })).report).toMatchObject({ status: "completed" });
  return world;
}

/** What every command does first, then a run to the end: one moment after each. Returns how far the first was. */
async function settleThenRun(world: World, where: string): Promise<readonly [left: number, right: number]> {
  await start({ ...world, action: "settle", count: 12 });
  const found = await moment(world);
  expect(found.head.status, where).not.toBe("reverting");
  const at = expectOneMoment(found, where);
  expect((await start({ ...world, action: "run", count: 12 })).report, where).toMatchObject({ status: "completed" });
  expect(expectOneMoment(await moment(world), where), where).toEqual([12, 12]);
  return at;
}

describe("P5 one restore, P10 exactly once: offsets, state, three sinks and a ledger describe one moment, wherever it was killed", () => {
  test("a run, and its resumption", async () => {
    const base = await ended(0);
    const calls = await killAtEveryCall("run", base, { action: "run", count: 12 }, async (world, where) => {
      await settleThenRun(world, where);
    });
    expect(calls).toContain("ledger.enter");
    const half = await makeWorld(base);
    const middle = calls.indexOf("sums.write", calls.length / 2) + 1;
    expect((await start({ ...half, action: "run", count: 12, kill: { call: middle, phase: "after" } })).signal).toBe(
      "SIGKILL",
    );
    await killAtEveryCall("resume", half, { action: "run", count: 12 }, async (world, where) => {
      await settleThenRun(world, where);
    });
  });

  test("a rollback: it is finished by the next command, or has not begun", async () => {
    const base = await ended(7, 12);
    const target = await completedAt(base, 7);
    const seen = new Set<string>();
    const task = { action: "rollback", count: 12, target } as const;
    const calls = await killAtEveryCall("rollback", base, task, async (world, where) => {
      seen.add(String(await settleThenRun(world, where)));
    });
    expect(calls).toContain("ledger.revertTo");
    // Early kills leave the state of before, late ones the restored one: both must have been met.
    expect(seen).toEqual(new Set(["12,12", "7,7"]));
  });

  test("an edit: it is there whole, or not at all", async () => {
    const base = await ended(7);
    const seen = new Set<unknown>();
    await killAtEveryCall("edit", base, { action: "edit", count: 7 }, async (world, where) => {
      seen.add((await moment(world)).state["note"]);
      await settleThenRun(world, where);
    });
    expect(seen).toContain(undefined);
  });

  test("a reset: back to nothing, or as it was", async () => {
    const base = await ended(12);
    const seen = new Set<string>();
    await killAtEveryCall("reset", base, { action: "reset", count: 12 }, async (world, where) => {
      seen.add(String(await settleThenRun(world, where)));
    });
    expect(seen).toEqual(new Set(["12,12", "0,0"]));
  });
});

describe("P7 nothing lost", () => {
  test("a rollback that is rolled back gives the state of before, to the byte", async () => {
    const world = await ended(7, 12);
    const before = await moment(world);
    const back = await start({ ...world, action: "rollback", count: 12, target: await completedAt(world, 7) });
    expect(expectOneMoment(await moment(world), "back")).toEqual([7, 7]);
    await start({ ...world, action: "rollback", count: 12, target: back.report?.undo ?? "" });
    const after = await moment(world);
    expect({ ...after, head: null }).toEqual({ ...before, head: null });
    const reset = await start({ ...world, action: "reset", count: 12 });
    expect(expectOneMoment(await moment(world), "reset")).toEqual([0, 0]);
    await start({ ...world, action: "rollback", count: 12, target: reset.report?.undo ?? "" });
    expect({ ...(await moment(world)), head: null }).toEqual({ ...before, head: null });
  });
});

async function completedAt({ folder }: World, count: number): Promise<string> {
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  for await (const { id, status } of memento.history({ name: "moment" }))
    if (status === "completed" && (await (await memento.vault.load(id)).value("state/right")) === count) return id;
  throw new Error(`No run ended at ${count}`);
}
