import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { SqliteStore } from "./store.ts";
import { findWalDamage } from "./wal.ts";

const HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 1_024;

interface Crashed {
  /** A database as a killed process leaves it: some commits are in the log only. */
  readonly path: string;
  readonly wal: Buffer;
  /** Of each commit in the log, the frame after its last one. */
  readonly ends: readonly number[];
}

/** Lends a copy of a store's files, taken while it is open, so that nothing was moved out of its log. */
async function withCrashed(run: (crashed: Crashed) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-wal-"));
  try {
    const live = join(folder, "live.db");
    const path = join(folder, "crashed.db");
    const store = await SqliteStore.open({ path: live });
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const timeline = await make.timeline(store);
    for (let index = 0; index < 4; index++) await timeline.save(store);
    await copyFile(live, path);
    await copyFile(`${live}-wal`, `${path}-wal`);
    await store.close();
    const wal = await readFile(`${path}-wal`);
    const frames = (wal.length - HEADER_BYTES) / FRAME_BYTES;
    const ends = Array.from({ length: frames }, (_, frame) => frame + 1).filter(
      (end) => wal.readUInt32BE(HEADER_BYTES + (end - 1) * FRAME_BYTES + 4) !== 0,
    );
    await run({ path, wal, ends });
  } finally {
    await rm(folder, { recursive: true });
  }
}

const flipped = (wal: Buffer, offset: number): Buffer => {
  const changed = Buffer.from(wal);
  changed[offset] = (changed[offset] ?? 0) ^ 0xff;
  return changed;
};

async function saved(path: string): Promise<number> {
  await using store = await SqliteStore.open({ path });
  expect(await collect(store.check())).toEqual([]);
  return (await collect(store.query(mementoQuery()))).length;
}

describe("findWalDamage()", () => {
  test("finds nothing in a sound log, an empty one and none", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      expect(ends.length).toBeGreaterThan(4);
      expect(await findWalDamage(`${path}-wal`)).toBeNull();
      for (const cut of [0, 1, HEADER_BYTES, HEADER_BYTES + 5]) {
        await writeFile(`${path}-wal`, wal.subarray(0, cut));
        expect(await findWalDamage(`${path}-wal`)).toBeNull();
      }
      await rm(`${path}-wal`);
      expect(await findWalDamage(`${path}-wal`)).toBeNull();
    });
  });

  test("SQLite alone drops whatever stands behind a flipped byte", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      const third = ends.at(-3) ?? 0;
      await writeFile(`${path}-wal`, flipped(wal, HEADER_BYTES + (third - 1) * FRAME_BYTES + 500));
      const sqlite = process.getBuiltinModule("node:sqlite");
      const database = new sqlite.DatabaseSync(path);
      expect(database.prepare("SELECT count(*) AS mementos FROM memento").get()?.["mementos"]).toBe(1);
      database.close();
    });
  });

  test("finds a flipped byte in every place of a frame that a later commit follows", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      const lastWhole = ends.at(-2) ?? 0;
      for (let offset = HEADER_BYTES; offset < HEADER_BYTES + lastWhole * FRAME_BYTES; offset += 211) {
        await writeFile(`${path}-wal`, flipped(wal, offset));
        expect(await findWalDamage(`${path}-wal`), `byte ${offset}`).toMatch(/was changed/);
      }
      // Every byte of the frame's header: its page, its commit mark, its salts and its checksum.
      for (let byte = 0; byte < 24; byte++) {
        await writeFile(`${path}-wal`, flipped(wal, HEADER_BYTES + FRAME_BYTES + byte));
        expect(await findWalDamage(`${path}-wal`), `byte ${byte} of a frame's header`).toMatch(/was changed/);
      }
      await expectCode("DAMAGED", () => SqliteStore.open({ path }));
    });
  });

  test("finds a flipped byte in every place of the log's header", async () => {
    await withCrashed(async ({ path, wal }) => {
      for (let offset = 0; offset < HEADER_BYTES; offset++) {
        await writeFile(`${path}-wal`, flipped(wal, offset));
        expect(await findWalDamage(`${path}-wal`), `byte ${offset}`).toBe("the log's header was changed");
      }
    });
  });

  test("takes a bad frame of the last commit for a torn one, and the store goes on without it", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      const [start, end] = [ends.at(-2) ?? 0, ends.at(-1) ?? 0];
      for (let frame = start; frame < end; frame++) {
        await writeFile(`${path}-wal`, flipped(wal, HEADER_BYTES + frame * FRAME_BYTES + 500));
        expect(await findWalDamage(`${path}-wal`)).toBeNull();
      }
      expect(await saved(path)).toBe(3);
    });
  });

  test("takes every cut for a torn end: a whole number of commits is left", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      const fresh = await readFile(path);
      for (const end of ends.slice(-3)) {
        for (const cut of [-FRAME_BYTES, -1, 0]) {
          await writeFile(path, fresh);
          await writeFile(`${path}-wal`, wal.subarray(0, HEADER_BYTES + end * FRAME_BYTES + cut));
          expect(await findWalDamage(`${path}-wal`)).toBeNull();
          expect(await saved(path)).toBe(ends.indexOf(end) - ends.length + (cut === 0 ? 5 : 4));
        }
      }
    });
  });

  test("takes frames of an older log behind the end for what they are", async () => {
    await withCrashed(async ({ path, wal, ends }) => {
      // A log that was begun anew overwrites the old one from its start, under other salts.
      const kept = HEADER_BYTES + (ends.at(-2) ?? 0) * FRAME_BYTES;
      const mixed = Buffer.from(wal);
      for (let frame = kept; frame < mixed.length; frame += FRAME_BYTES) mixed.writeUInt32BE(7, frame + 8);
      await writeFile(`${path}-wal`, mixed);
      expect(await findWalDamage(`${path}-wal`)).toBeNull();
      expect(await saved(path)).toBe(3);
    });
  });
});
