import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

import { isMementoError, Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { extent } from "../harness/extent.ts";
import type { GcReport, GcTask } from "./gc-worker.ts";
import type { KillPoint } from "./killing.ts";

const worker = fileURLToPath(new URL("gc-worker.ts", import.meta.url));
const SECONDS = extent({ plain: 3, all: 10, variable: "MEMENTO_GC_SECONDS" });
/** A kill at every how many-th call, before and after by turns. */
const STRIDE = extent({ plain: 15, all: 1 });
let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-gc-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const placeOf = (kind: "sqlite" | "file", folder: string): string =>
  kind === "sqlite" ? `sqlite:${path.join(folder, "store.db")}` : pathToFileURL(path.join(folder, "store")).href;

interface Ended {
  readonly signal: NodeJS.Signals | null;
  readonly report: GcReport | null;
}

/** Starts a process and waits for its end; bounded. */
async function start(task: GcTask): Promise<Ended> {
  const child = spawn(process.execPath, [worker, JSON.stringify(task)], { stdio: ["ignore", "pipe", "pipe"] });
  const limit = setTimeout(() => child.kill("SIGKILL"), SECONDS * 1_000 + 240_000);
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => void (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => void (err += data.toString()));
  const signal = await new Promise<NodeJS.Signals | null>(
    (resolve) => void child.once("close", (_code, by: NodeJS.Signals | null) => resolve(by)),
  );
  clearTimeout(limit);
  const line = out.trim().split("\n").at(-1) ?? "";
  const report = line.startsWith("{") ? (JSON.parse(line) as GcReport) : null;
  if (signal === null && report === null) throw new Error(`A worker said nothing of use:\n${out}${err}`);
  return { signal, report };
}

async function open(kind: "sqlite" | "file", folder: string): Promise<Memento> {
  return await Memento.open(placeOf(kind, folder), { keys: { file: path.join(folder, "key") } });
}

async function make(kind: "sqlite" | "file", folder: string): Promise<void> {
  const { createKeyFile } = await import("@mementojs/memento/vault");
  await createKeyFile(path.join(folder, "key"));
  await using memento = await open(kind, folder);
  await memento.caretaker("states").setPolicy({ keep: { last: 3 }, keepLabels: ["keep"] });
  await memento.caretaker("pipelines").setPolicy({ keep: { last: 4 } });
}

async function bodyBytes(memento: Memento): Promise<number> {
  let bytes = 0;
  for await (const { body } of memento.vault.store.commits(null)) bytes += body?.length ?? 0;
  return bytes;
}

const sumOf = (reports: readonly GcReport[], what: string): number =>
  reports.reduce((sum, { done }) => sum + (done[what] ?? 0), 0);

describe.each(["sqlite", "file"] as const)("P8 safe removal, %s store", (kind) => {
  test(`gc looping beside 8 savers and 8 restorers for ${SECONDS} s: nothing kept is lost, nothing needed is gone, space is freed`, async () => {
    const folder = mkdtempSync(path.join(root, `${kind}-`));
    await make(kind, folder);
    const untilMs = Date.now() + SECONDS * 1_000;
    const task = { store: placeOf(kind, folder), keyFile: path.join(folder, "key"), untilMs };
    const actions = [
      ...Array.from({ length: 8 }, () => "save" as const),
      ...Array.from({ length: 8 }, () => "restore" as const),
      ...Array.from({ length: 2 }, () => "collect" as const),
    ];
    const ended = await Promise.all(
      actions.map(async (action, index) => await start({ ...task, action, name: `${action}-${index}` })),
    );
    const reports = ended.map(({ report }) => report).filter((report) => report !== null);
    expect(reports.flatMap(({ error }) => error ?? [])).toEqual([]);
    expect(ended.map(({ signal }) => signal)).toEqual(actions.map(() => null));

    await using memento = await open(kind, folder);
    const before = await bodyBytes(memento);
    const last = await memento.collect();
    const after = await bodyBytes(memento);
    const kept = reports.flatMap((report) => report.kept);
    for (const [id, state] of kept) expect(await memento.caretaker("states").load(id)).toEqual(state);
    for await (const { head } of memento.timelines())
      if (head !== null) expect(await (await memento.vault.load(head.id)).values("")).toBeDefined();
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
    // No pin of a restore outlives it.
    for (const name of ["states", "pipelines"]) expect(await memento.caretaker(name).pins()).toEqual([]);

    const freed = sumOf(reports, "bytes") + last.bytes + last.repacked.bytes;
    const said = Object.fromEntries(
      [
        "saved",
        "loaded",
        "removed meanwhile",
        "run",
        "rolled back",
        "forked",
        "too late",
        "collected",
        "locked",
        "removed",
        "packs",
      ].map((what) => [what, sumOf(reports, what)]),
    );
    process.stdout.write(
      `gc beside 16 processes (${kind}): ${JSON.stringify(said)}; ${kept.length} kept and exact; ${freed} bytes freed, ${before} before the last collection, ${after} after it\n`,
    );
    for (const what of ["saved", "loaded", "run", "collected"]) expect(sumOf(reports, what), what).toBeGreaterThan(0);
    expect(sumOf(reports, "removed") + last.removed.length).toBeGreaterThan(0);
    expect(sumOf(reports, "packs") + last.packs).toBeGreaterThan(0);
    expect(sumOf(reports, "rolled back") + sumOf(reports, "forked")).toBeGreaterThan(0);
    expect(freed).toBeGreaterThan(0);
  });

  test("secure deletion beside 4 savers: they go on with fresh keys, nothing kept is lost", async () => {
    const folder = mkdtempSync(path.join(root, `${kind}-erase-`));
    await make(kind, folder);
    const untilMs = Date.now() + Math.min(SECONDS, 20) * 1_000;
    const task = { store: placeOf(kind, folder), keyFile: path.join(folder, "key"), untilMs };
    const savers = Array.from(
      { length: 4 },
      async (_, index) => await start({ ...task, action: "save", name: `s${index}` }),
    );
    await using memento = await open(kind, folder);
    const erased: string[] = [];
    const destroyed = new Set<string>();
    while (Date.now() < untilMs || erased.length === 0) {
      const entries = [];
      for await (const info of memento.caretaker("states").list({ limit: 40 })) entries.push(info);
      const doomed = entries
        .slice(12)
        .filter(({ labels }) => labels["keep"] === undefined)
        .slice(0, 3);
      if (doomed.length === 0) continue;
      const report = await memento.secureDelete(
        doomed.map(({ id }) => id),
        { reason: "a test" },
      );
      erased.push(...report.mementos);
      for (const key of report.dataKeys) destroyed.add(key);
    }
    const reports = (await Promise.all(savers)).map(({ report }) => report).filter((report) => report !== null);
    expect(reports.flatMap(({ error }) => error ?? [])).toEqual([]);
    const kept = reports.flatMap((report) => report.kept);
    process.stdout.write(
      `secure deletion beside 4 savers (${kind}): ${sumOf(reports, "saved")} saved, ${erased.length} erased, ${destroyed.size} keys destroyed\n`,
    );
    expect(erased.length).toBeGreaterThan(0);
    const left = await memento.vault.store.keys();
    expect(left.filter(({ id, retired }) => destroyed.has(id) || retired === true)).toEqual([]);
    for (const [id, state] of kept) expect(await memento.caretaker("states").load(id)).toEqual(state);
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  });

  test.each(["collect", "erase"] as const)(
    "SIGKILL before and after every call of the store during %s: what is kept stays, and the next one finishes",
    async (action) => {
      const base = mkdtempSync(path.join(root, `${kind}-${action}-base-`));
      await make(kind, base);
      const task = { keyFile: "", store: "", untilMs: 0, name: "one" };
      const live = new Map<string, unknown>();
      const doomed: string[] = [];
      {
        await using memento = await open(kind, base);
        const caretaker = memento.caretaker("states");
        for (let n = 0; n < 14; n++) {
          const state = {
            rows: Array.from({ length: 300 }, (_, id) => `row ${id} ${id % 20 === n ? `of ${n}` : "as it was"}`),
            n,
          };
          const { id } = await caretaker.save(state, n % 4 === 0 ? { labels: { keep: "yes" } } : {});
          if (n % 4 === 0 || n >= 11) live.set(id, state);
          else if (action === "erase") doomed.push(id);
        }
      }
      let calls = 0;
      for (const phase of ["before", "after"] as const) {
        for (let call = phase === "before" ? 1 : Math.ceil(STRIDE / 2); ; call += STRIDE) {
          const folder = path.join(root, `${kind}-${action}-${phase}-${call}`);
          cpSync(base, folder, { recursive: true });
          const place = {
            ...task,
            store: placeOf(kind, folder),
            keyFile: path.join(folder, "key"),
            action,
            mementos: doomed,
          };
          const kill: KillPoint = { call, phase };
          const { signal, report } = await start({ ...place, kill });
          const where = `${action}: killed ${phase} call ${call}`;
          if (signal !== "SIGKILL") {
            expect(report?.error, where).toBeUndefined();
            calls = report?.calls ?? 0;
            rmSync(folder, { recursive: true });
            break;
          }
          await using memento = await open(kind, folder);
          for (const [id, state] of live) expect(await memento.caretaker("states").load(id), where).toEqual(state);
          if (action === "erase") {
            await memento.secureDelete(doomed, { reason: "again" });
            expect(
              (await memento.vault.store.keys()).filter(({ retired }) => retired === true),
              where,
            ).toEqual([]);
          } else await memento.collect();
          for (const [id, state] of live) expect(await memento.caretaker("states").load(id), where).toEqual(state);
          for (const id of doomed) expect(await goneWith(memento, id), where).toBe("NOT_FOUND");
          expect(await memento.verify(), where).toMatchObject({ sound: true, damages: [] });
          rmSync(folder, { recursive: true });
        }
      }
      expect(calls).toBeGreaterThan(15);
    },
  );
});

async function goneWith(memento: Memento, id: string): Promise<string> {
  try {
    await memento.caretaker("states").load(id);
    return "there";
  } catch (error) {
    if (isMementoError(error)) return error.code;
    throw error;
  }
}
