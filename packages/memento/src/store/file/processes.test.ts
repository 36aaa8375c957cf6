import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { NameNews } from "../../../../../test/workers/file-namer.ts";
import type { FileStepNews } from "../../../../../test/workers/file-steps.ts";
import { expectSoundPack } from "../../testing/store/answers.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { FileStore } from "./store.ts";

const worker = (name: string): string => fileURLToPath(new URL(`../../../../../test/workers/${name}`, import.meta.url));

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "memento-file-"));
  path = join(folder, "store");
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

interface Ended<T> {
  readonly news: readonly T[];
  readonly signal: string | null;
  readonly code: number | null;
}

/** Runs a worker to its end. It begins once `begin`, which is told when the worker has printed its first line, resolves. */
async function run<T>(
  program: string,
  args: readonly string[],
  begin: (isReady: Promise<void>) => Promise<void> = async () => undefined,
): Promise<Ended<T>> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"], timeout: 60_000 });
  const ready = Promise.withResolvers<void>();
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    output += part;
    ready.resolve();
  });
  const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      ready.resolve();
      resolve({ code, signal });
    });
  });
  await begin(ready.promise);
  child.stdin.end();
  const { code, signal } = await ended;
  const lines = output.split("\n").filter((line) => line !== "");
  return { code, signal, news: lines.map((line) => JSON.parse(line) as T) };
}

async function makeStore(timelines: number): Promise<readonly string[]> {
  await using store = await FileStore.open({ path });
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  const keys: string[] = [];
  for (let index = 0; index < timelines; index++) keys.push((await make.timeline(store)).key);
  return keys;
}

describe("SIGKILL before every call to the file system", { timeout: 400_000 }, () => {
  test("leaves all that was acknowledged, and nothing half done", async () => {
    const [key = ""] = await makeStore(1);
    const whole = await run<FileStepNews>(worker("file-steps.ts"), [path, key, "0"]);
    const calls = whole.news.at(-1)?.calls ?? 0;
    expect(calls).toBeGreaterThan(100);
    const saved = new Map<string, boolean>();
    note(saved, whole.news);
    let epoch = 2;
    for (let killAt = 1; killAt <= calls; killAt++) {
      const { news, signal } = await run<FileStepNews>(worker("file-steps.ts"), [path, key, String(killAt)]);
      // A store that has grown a little may take a few calls more or fewer.
      if (news.at(-1)?.calls === undefined) expect(signal).toBe("SIGKILL");
      note(saved, news);
      epoch = Math.max(epoch, ...news.map((told) => told.epoch ?? 0));
      if (killAt % 8 === 0 || killAt === calls) await expectAll(saved, epoch, key);
    }
  });
});

function note(saved: Map<string, boolean>, news: readonly FileStepNews[]): void {
  for (const told of news) {
    if (told.saved !== undefined) saved.set(told.saved, false);
    if (told.removed !== undefined) saved.set(told.removed, true);
  }
}

async function expectAll(saved: ReadonlyMap<string, boolean>, epoch: number, key: string): Promise<void> {
  await using store = await FileStore.open({ path });
  expect(await collect(store.check())).toEqual([]);
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  expect(rows.map(({ entry }) => entry.sequence)).toEqual(rows.map((_, index) => index + 1));
  const stored = new Map(rows.map((row) => [row.entry.id, row]));
  for (const [id, isRemoved] of saved) {
    expect(stored.has(id), `${id} was acknowledged`).toBe(true);
    if (isRemoved) expect(stored.get(id)?.removed, `the removal of ${id} was acknowledged`).toBe(true);
  }
  for (const { entry, removed } of rows) {
    const pack = await store.read(entry.id);
    if (pack?.body) expectSoundPack(pack.header, pack.body);
    else expect(removed, `${entry.id} has no body`).toBe(true);
  }
  expect((await store.timeline(key))?.lease.epoch).toBeGreaterThanOrEqual(epoch);
}

describe("processes that race for names", { timeout: 120_000 }, () => {
  test("each name has one winner, and the others are told who it is", async () => {
    const keys = await makeStore(4);
    const ready: Promise<void>[] = [];
    const begin = async (isReady: Promise<void>): Promise<void> => {
      ready.push(isReady);
      // All of them have been started when the first one goes on from here.
      await Promise.resolve();
      await Promise.all(ready);
    };
    const ended = await Promise.all(
      keys.map((key) => run<NameNews>(worker("file-namer.ts"), [path, key, "25"], begin)),
    );
    for (const { code } of ended) expect(code).toBe(0);
    const byName = Map.groupBy(
      ended.flatMap(({ news }) => news.slice(1)),
      ({ name }) => name,
    );
    expect(byName.size).toBe(25);
    await using store = await FileStore.open({ path });
    for (const [name, wishes] of byName) {
      const winners = wishes.filter(({ outcome }) => outcome === "appended");
      expect(winners, name).toHaveLength(1);
      for (const { outcome, holder } of wishes) if (outcome !== "appended") expect(holder).toBe(winners[0]?.id);
      expect(await store.findByName("etl", name)).toBe(winners[0]?.id);
    }
    expect(await collect(store.check())).toEqual([]);
  });
});
