import { readdirSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../test/harness/small-disk.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

const hasDisks = await requireEngine("a small tmpfs (root)", mayMount);

describe.skipIf(!hasDisks)("a disk", () => {
  test("that is full is told as DISK_FULL; nothing is lost, all can be read, and the store goes on with room", async () => {
    await withSmallDisk("size=300k", async (mount, remount) => {
      const path = join(mount, "store.db");
      const make = new StoreFixture(1);
      const store = await SqliteStore.open({ path });
      await store.create(make.meta(), make.key("integrity"));
      const line = await make.timeline(store);
      let saved = 0;
      const record = () => line.record({ expectedSequence: saved });
      await expectCode("DISK_FULL", async () => {
        for (; ; saved++) await store.append(make.batch([record()]));
      });
      expect(saved).toBeGreaterThan(0);
      await expectCode("DISK_FULL", () => store.append(make.batch([record()])));
      expect(await collect(store.check())).toEqual([]);
      expect((await collect(store.query(mementoQuery()))).length).toBe(saved);
      // Closed on the full disk, it may have to leave its log behind; the next opening takes that up.
      await store.close();
      remount("size=4m");
      await using reopened = await SqliteStore.open({ path });
      expect(await collect(reopened.check())).toEqual([]);
      expect((await reopened.timeline(line.key))?.head?.sequence).toBe(saved);
      expect(await reopened.append(make.batch([record()]))).toEqual([{ outcome: "appended" }]);
    });
  });

  test("on which one save of several at once does not fit keeps the others", async () => {
    await withSmallDisk("size=300k", async (mount) => {
      const make = new StoreFixture(1);
      await using store = await SqliteStore.open({ path: join(mount, "store.db") });
      await store.create(make.meta(), make.key("integrity"));
      const lines = [await make.timeline(store), await make.timeline(store), await make.timeline(store)];
      const bodies = [50, 400_000, 50].map((bytes) => make.random.bytes(bytes));
      const saves = lines.map((line, index) =>
        make.batch([line.record()], { body: bodies[index] ?? new Uint8Array() }),
      );
      const [first, large, last] = await Promise.allSettled(saves.map((batch) => store.append(batch)));
      expect([first?.status, last?.status]).toEqual(["fulfilled", "fulfilled"]);
      expect(large).toMatchObject({ status: "rejected", reason: { code: "DISK_FULL" } });
      expect(await collect(store.check())).toEqual([]);
      expect(await collect(store.query(mementoQuery()))).toHaveLength(2);
    });
  });

  test("that is read-only is told as IO_FAILED with its path, and no store is made on it", async () => {
    await withSmallDisk("size=300k", async (mount, remount) => {
      const path = join(mount, "store.db");
      const make = new StoreFixture(1);
      remount("ro");
      await using store = await SqliteStore.open({ path });
      const refused = store.create(make.meta(), make.key("integrity"));
      await expect(refused).rejects.toMatchObject({ code: "IO_FAILED", message: expect.stringContaining(path) });
      expect(readdirSync(mount)).toEqual([]);
    });
  });
});
