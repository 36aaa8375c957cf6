import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import nodePath from "node:path";

import { describe, expect, test } from "vitest";

import { isMementoError } from "../../core/errors.ts";
import { StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { healthOf } from "../health.ts";
import { mementoQuery } from "../query.ts";
import { FileStore } from "./store.ts";

interface Made {
  readonly store: FileStore;
  readonly path: string;
  readonly make: StoreFixture;
  readonly line: TestTimeline;
}

/** A store of two mementos, open here and used before. */
async function withStore(work: (made: Made) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(nodePath.join(tmpdir(), "memento-moved-"));
  const path = nodePath.join(folder, "store");
  const make = new StoreFixture(1);
  const store = await FileStore.open({ path });
  try {
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    await line.save(store);
    await line.save(store);
    await work({ store, path, make, line });
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
}

/** Every call that would say of a store without its files that there is nothing in it. */
const CALLS: readonly (readonly [string, (made: Made) => Promise<unknown>])[] = [
  ["query()", async ({ store }) => await collect(store.query(mementoQuery()))],
  ["query() of a caretaker", async ({ store }) => await collect(store.query(mementoQuery({ caretaker: "lab" })))],
  ["commits()", async ({ store }) => await collect(store.commits(null))],
  ["timelines()", async ({ store }) => await collect(store.timelines(null))],
  ["caretakers()", async ({ store }) => await store.caretakers()],
  ["timeline()", async ({ store }) => await store.timeline("000000000000")],
  ["findTimeline()", async ({ store, make }) => await store.findTimeline(make.timelineRecord({ caretaker: "lab" }))],
  ["read()", async ({ store }) => await store.read("000000000000-1-000000")],
  [
    "acquireLease()",
    async ({ store, make }) => await store.acquireLease({ timeline: "000000000000", lease: make.lease(1) }),
  ],
  ["check()", async ({ store }) => await collect(store.check())],
];

async function expectGone(call: Promise<unknown>): Promise<void> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  if (!isMementoError(outcome)) expect.fail(`answered ${JSON.stringify(outcome)}`);
  expect(outcome).toMatchObject({ code: "NOT_A_STORE" });
}

describe("a store whose folder goes while it is open", () => {
  test.each(CALLS)("%s says so, instead of finding nothing", async (_, call) => {
    await withStore(async (made) => {
      const before = JSON.stringify(await call(made));
      renameSync(made.path, `${made.path}-moved`);
      await expectGone(call(made));
      // As a disk that is no longer mounted.
      mkdirSync(made.path);
      await expectGone(call(made));
      rmSync(made.path, { recursive: true });
      renameSync(`${made.path}-moved`, made.path);
      expect(JSON.stringify(await call(made))).toBe(before);
    });
  });

  test("is not healthy, and is again once it is back", async () => {
    await withStore(async ({ store, path }) => {
      renameSync(path, `${path}-moved`);
      expect(await healthOf(store)).toMatchObject({ isHealthy: false, problem: { code: "NOT_A_STORE" } });
      renameSync(`${path}-moved`, path);
      expect(await healthOf(store)).toMatchObject({ isHealthy: true });
    });
  });
});
