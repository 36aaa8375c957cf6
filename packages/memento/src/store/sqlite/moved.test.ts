import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import nodePath from "node:path";

import { describe, expect, test } from "vitest";

import { isMementoError } from "../../core/errors.ts";
import { StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { healthOf } from "../health.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

interface Made {
  readonly store: SqliteStore;
  readonly path: string;
  readonly make: StoreFixture;
  readonly lines: readonly TestTimeline[];
}

const LINES = 8;
/** A store of some mementos, open here and used before, in a folder of its own. */
async function withStore(work: (made: Made) => Promise<void>): Promise<void> {
  const root = mkdtempSync(nodePath.join(tmpdir(), "memento-moved-"));
  const folder = nodePath.join(root, "folder");
  mkdirSync(folder);
  const path = nodePath.join(folder, "store.db");
  const make = new StoreFixture(1);
  const store = await SqliteStore.open({ path });
  try {
    await store.create(make.meta(), make.key("integrity"));
    const lines: TestTimeline[] = [];
    for (let index = 0; index < LINES; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
    await lines[0]?.save(store);
    await work({ store, path, make, lines });
  } finally {
    await store.close().catch(() => undefined);
    rmSync(root, { recursive: true });
  }
}

/** The file as a backup has it: whole, without the log beside it. */
async function backUp(path: string): Promise<string> {
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const backup = `${path}.backup`;
  const database = new DatabaseSync(path);
  database.exec(`VACUUM INTO '${backup}'`);
  database.close();
  return backup;
}

async function idsAt(path: string): Promise<readonly string[]> {
  await using store = await SqliteStore.open({ path });
  return (await collect(store.query(mementoQuery()))).map(({ entry }) => entry.id);
}

async function expectRefused(call: Promise<unknown>, words: RegExp): Promise<void> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  if (!isMementoError(outcome)) expect.fail(`answered ${JSON.stringify(outcome)}`);
  expect(outcome).toMatchObject({ code: "NOT_A_STORE", message: expect.stringMatching(words) as unknown });
}

const GONE = /store\.db is gone/;
const ANOTHER = /another file .*store\.db/;

const CALLS: readonly (readonly [string, (made: Made) => Promise<unknown>])[] = [
  [
    "append()",
    async ({ store, make, lines }) => await store.append(make.batch(lines.slice(1, 2).map((line) => line.record()))),
  ],
  [
    "append() of many",
    async ({ store, make, lines }) => await store.append(make.batch(lines.map((line) => line.record()))),
  ],
  ["acquireLease()", async ({ store, make }) => await store.acquireLease({ timeline: "none", lease: make.lease(1) })],
  ["timeline()", async ({ store, lines }) => await store.timeline(lines[0]?.key ?? "")],
  ["query()", async ({ store }) => await collect(store.query(mementoQuery()))],
  ["commits()", async ({ store }) => await collect(store.commits(null))],
  ["caretakers()", async ({ store }) => await store.caretakers()],
  ["check()", async ({ store }) => await collect(store.check())],
  ["compact()", async ({ store }) => await store.compact()],
];

describe("a database whose file goes while it is open", () => {
  test.each(CALLS)("%s says so, and goes on once it is back", async (_, call) => {
    await withStore(async (made) => {
      const folder = nodePath.dirname(made.path);
      await call(made);
      renameSync(made.path, `${made.path}.old`);
      await expectRefused(call(made), GONE);
      renameSync(`${made.path}.old`, made.path);
      await call(made);
      renameSync(folder, `${folder}-moved`);
      await expectRefused(call(made), GONE);
      renameSync(`${folder}-moved`, folder);
      await call(made);
    });
  });

  test.each(CALLS)("%s says that another one is in its place, as a backup that was put back", async (_, call) => {
    await withStore(async (made) => {
      renameSync(await backUp(made.path), made.path);
      await expectRefused(call(made), ANOTHER);
    });
  });

  test("P1: no save is acknowledged that is not in the file at the path, and its log harms no other one", async () => {
    await withStore(async ({ store, path, make, lines }) => {
      await store.append(make.batch(lines.map((line) => line.next())));
      const before = await idsAt(path);
      renameSync(await backUp(path), path);
      const saves = await Promise.allSettled([
        store.append(make.batch(lines.map((line) => line.next()))),
        ...lines.map(async (line) => await line.save(store)),
      ]);
      expect(saves.map(({ status }) => status)).toEqual(saves.map(() => "rejected"));
      await expectRefused(store.close(), ANOTHER);
      expect(await idsAt(path)).toEqual(before);
    });
  });

  test("has all that was saved, where it was moved to, once the store is closed", async () => {
    await withStore(async ({ store, path, lines }) => {
      const saved = await lines[1]?.save(store);
      renameSync(path, `${path}.old`);
      await store.close();
      expect(await idsAt(`${path}.old`)).toContain(saved?.id);
    });
  });

  test("is nothing to a store that was closed without a write", async () => {
    await withStore(async ({ path }) => {
      const copy = `${path}.copy`;
      copyFileSync(await backUp(path), copy);
      const reader = await SqliteStore.open({ path: copy });
      await collect(reader.query(mementoQuery()));
      rmSync(copy);
      await expect(reader.close()).resolves.toBeUndefined();
    });
  });

  test("is not healthy, and is again once it is back", async () => {
    await withStore(async ({ store, path }) => {
      renameSync(path, `${path}.old`);
      expect(await healthOf(store)).toMatchObject({ isHealthy: false, problem: { code: "NOT_A_STORE" } });
      renameSync(`${path}.old`, path);
      expect(await healthOf(store)).toMatchObject({ isHealthy: true });
    });
  });
});
