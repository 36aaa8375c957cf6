import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { StoreFixture } from "../../testing/store/fixture.ts";
import { expectCode } from "../../testing/store/kit.ts";
import { SqliteStore } from "./store.ts";

/** Lends a path for a database, and a look into all files that stand there. */
async function withFolder(
  run: (path: string, holds: (text: string) => Promise<boolean>) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "memento-wipe-"));
  const holds = async (text: string): Promise<boolean> => {
    const contents = (await readdir(folder)).map(async (name) => await readFile(join(folder, name), "latin1"));
    return (await Promise.all(contents)).some((content) => content.includes(text));
  };
  try {
    await run(join(folder, "store.db"), holds);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function saveUnderKeys(store: SqliteStore, make: StoreFixture, count: number) {
  await store.create(make.meta(), make.key("integrity"));
  const timeline = await make.timeline(store);
  const keys = Array.from({ length: count }, () => make.key("data"));
  for (const dataKey of keys) await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" }));
  return keys;
}

describe("dropKey()", () => {
  test("leaves no byte of the wrapped key in the database's files, nor of a wrapping before it", async () => {
    await withFolder(async (path, holds) => {
      await using store = await SqliteStore.open({ path });
      const make = new StoreFixture(1);
      const keys = await saveUnderKeys(store, make, 40);
      const key = keys[20] ?? make.key("data");
      const anew = `anew ${key.wrapped} and longer than before`;
      expect(await store.rewrapKey({ ...key, ring: "ring-2", wrapped: anew }, "ring-1")).toBe(true);
      expect(await holds(key.wrapped)).toBe(true);
      expect(await store.dropKey(key.id)).toBe(true);
      expect(await holds(key.wrapped.slice(0, 20))).toBe(false);
      expect(await holds(keys[21]?.wrapped ?? "")).toBe(true);
      expect(await store.keys()).toHaveLength(40);
    });
  });

  test("is LOCKED while another process reads the old bytes, and finishes when it is called again", async () => {
    await withFolder(async (path, holds) => {
      await using store = await SqliteStore.open({ path, lockTimeoutMs: 30 });
      const make = new StoreFixture(1);
      const [key] = await saveUnderKeys(store, make, 2);
      const sqlite = process.getBuiltinModule("node:sqlite");
      const reader = new sqlite.DatabaseSync(path);
      reader.exec("BEGIN; SELECT count(*) FROM wrapped_key");
      await expectCode("LOCKED", async () => await store.dropKey(key?.id ?? ""));
      reader.close();
      expect(await store.dropKey(key?.id ?? "")).toBe(false);
      expect(await holds(key?.wrapped ?? "")).toBe(false);
    });
  });
});
