import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";

const mayMount = await requireEngine("a small tmpfs (root)", () => {
  if (process.getuid?.() !== 0) return "only root may mount";
  const probe = mkdtempSync(join(tmpdir(), "memento-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", probe], { stdio: "ignore" });
    execFileSync("umount", ["-l", probe]);
    return true;
  } catch (error) {
    return `mount refused: ${String(error)}`;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
});

/** Lends a small file system of its own, and a way to mount it anew with other options. */
async function withMount(run: (mount: string, remount: (options: string) => void) => Promise<void>): Promise<void> {
  const mount = mkdtempSync(join(tmpdir(), "memento-mount-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=300k", "tmpfs", mount]);
  try {
    await run(mount, (options) => execFileSync("mount", ["-o", `remount,${options}`, mount]));
  } finally {
    execFileSync("umount", ["-l", mount]);
    rmSync(mount, { recursive: true });
  }
}

describe.skipIf(!mayMount)("a disk", () => {
  test("that is full is told as DISK_FULL; nothing is lost, all can be read, and the store goes on with room", async () => {
    await withMount(async (mount, remount) => {
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
    await withMount(async (mount) => {
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
    await withMount(async (mount, remount) => {
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
