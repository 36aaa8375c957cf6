import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { isMementoError } from "../../core/errors.ts";
import { StoreFixture, type TestTimeline } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

const LOCKER = fileURLToPath(new URL("../../../../../test/workers/sqlite-lock.ts", import.meta.url));

interface Locked {
  readonly store: SqliteStore;
  readonly path: string;
  readonly make: StoreFixture;
  readonly timeline: TestTimeline;
  readonly holder: ChildProcess;
}

/** Lends a store whose write lock another process holds. */
async function withLocked(lockTimeoutMs: number, run: (locked: Locked) => Promise<void>): Promise<void> {
  const place = await sqlitePlace();
  await using lent = new AsyncDisposableStack();
  lent.defer(() => place.dispose());
  const store = lent.use(await SqliteStore.open({ path: place.address, lockTimeoutMs }));
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
  const timeline = await make.timeline(store);
  const holder = spawn(process.execPath, [LOCKER, place.address], { timeout: 100_000, killSignal: "SIGKILL" });
  const ended = once(holder, "close");
  lent.defer(async () => {
    holder.kill("SIGKILL");
    await ended;
  });
  await once(holder.stdout, "data");
  await run({ store, path: place.address, make, timeline, holder });
}

describe("another process's lock", () => {
  test("ends a write with LOCKED, which may be tried again, and stops no read", async () => {
    await withLocked(60, async ({ store, make, timeline, holder }) => {
      const batch = make.batch([timeline.next()]);
      const error: unknown = await store.append(batch).catch((reason: unknown) => reason);
      expect(isMementoError(error, "LOCKED") && error.retryable).toBe(true);
      expect(await collect(store.query(mementoQuery()))).toEqual([]);
      expect((await store.timeline(timeline.key))?.head).toBeNull();
      holder.kill("SIGKILL");
      await once(holder, "close");
      expect(await store.append(batch)).toEqual([{ outcome: "appended" }]);
      expect(await collect(store.check())).toEqual([]);
    });
  });

  test("held by a stopped process, it is told as well, and given up with that process", async () => {
    await withLocked(60, async ({ store, make, timeline, holder }) => {
      holder.kill("SIGSTOP");
      await expectCode("LOCKED", () => timeline.save(store));
      await expectCode("LOCKED", () => store.acquireLease({ timeline: timeline.key, lease: make.lease(2) }));
      holder.kill("SIGKILL");
      await once(holder, "close");
      expect(await store.acquireLease({ timeline: timeline.key, lease: make.lease(2) })).toBe(true);
    });
  });

  test("is waited for while everything else goes on", async () => {
    await withLocked(60_000, async ({ store, timeline, holder }) => {
      const saving = timeline.save(store);
      for (let turn = 0; turn < 20; turn++) {
        await new Promise((resolve) => void setTimeout(resolve, 1));
        expect((await store.timeline(timeline.key))?.head ?? null).toBeNull();
      }
      holder.kill("SIGKILL");
      expect((await saving).sequence).toBe(1);
    });
  });

  test("a store that is closed while it waits says so", async () => {
    await withLocked(60_000, async ({ store, timeline, holder }) => {
      const refused = expectCode("STORE_CLOSED", () => timeline.save(store));
      await new Promise((resolve) => void setTimeout(resolve, 20));
      await store.close();
      await refused;
      holder.kill("SIGKILL");
    });
  });

  test("does not keep another opening of the store from reading", async () => {
    await withLocked(60, async ({ path, timeline }) => {
      await using second = await SqliteStore.open({ path, lockTimeoutMs: 60 });
      expect((await second.timeline(timeline.key))?.record.key).toBe(timeline.key);
    });
  });
});
