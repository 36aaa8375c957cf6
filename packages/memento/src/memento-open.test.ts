import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { describe, expect, test } from "vitest";

import { Memento } from "./memento.ts";
import { MemoryStore } from "./store/memory/index.ts";
import type { MementoStore } from "./store/store.ts";

/** A store as on a server: no key file belongs to it. */
async function serverStore(): Promise<MementoStore> {
  const store = await MemoryStore.open();
  return Object.assign(store, { supports: { ...store.supports, sharedBy: "network" as const } });
}

describe("Memento.open() of a place without a store (P4)", () => {
  test("makes no store without a seal unless that was asked for", async () => {
    const store = await serverStore();
    await expect(Memento.open(store, { environment: {} })).rejects.toMatchObject({ code: "KEY_MISSING" });
    await using plain = await Memento.open(await serverStore(), { environment: {}, keys: false });
    expect(plain.vault.meta.sealed).toBe(false);
    await using sealed = await Memento.open(await serverStore(), { environment: { MEMENTO_PASSPHRASE: "a b c" } });
    expect(sealed.vault.meta.sealed).toBe(true);
  });

  test.each(["sqlite", "file"])(
    "says of a %s store that is not there that it is not there, and not that its key is missing",
    async (kind) => {
      const folder = mkdtempSync(path.join(tmpdir(), "memento-open-"));
      try {
        const opening = Memento.open(`${kind}:${path.join(folder, "typo")}`, { create: false, environment: {} });
        await expect(opening).rejects.toMatchObject({ code: "NOT_A_STORE" });
        await expect(opening).rejects.toThrow(path.join(folder, "typo"));
        expect(readdirSync(folder)).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

describe("Memento.open() of what is no place", () => {
  test.each([undefined, null, 7])("refuses %s by name: a variable that is not set", async (place) => {
    await expect(Memento.open(place as unknown as string)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `Memento.open takes a store's URL, or a store, and not ${String(place)}`,
    });
  });
});

describe("Memento.open() of a store whose key the environment no longer names", () => {
  test("names all that may be missing: a store that a passphrase sealed never had a key file", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "memento-open-"));
    try {
      const url = `sqlite:${path.join(folder, "store.db")}`;
      await using made = await Memento.open(url, { environment: { MEMENTO_PASSPHRASE: "a b c" } });
      await made.close();
      await expect(Memento.open(url, { environment: {} })).rejects.toMatchObject({
        code: "KEY_MISSING",
        message: `No key is named, and the key file ${path.join(folder, "store.db.key")} cannot be read (ENOENT)`,
        hint: expect.stringMatching(/MEMENTO_KEY, MEMENTO_KEY_FILE, MEMENTO_KEY_URL or MEMENTO_PASSPHRASE/u),
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("Memento.open() by a relative path", () => {
  test.each(["sqlite", "file"])(
    "of a %s store stays with its own key file, whatever folder the process goes to",
    async (kind) => {
      const folder = mkdtempSync(path.join(tmpdir(), "memento-open-"));
      const elsewhere = path.join(folder, "elsewhere");
      mkdirSync(elsewhere);
      const before = process.cwd();
      const options = { environment: {} };
      try {
        // A store of the same name, with another key.
        await (await Memento.open(`${kind}:${path.join(elsewhere, "store")}`, options)).close();
        process.chdir(folder);
        await using memento = await Memento.open(`${kind}:store`, options);
        process.chdir(elsewhere);
        const { id } = await memento.caretaker("etl").save({ n: 1 });
        await memento.newKey();
        await memento.rotateKeys();
        await memento.close();
        await using again = await Memento.open(`${kind}:${path.join(folder, "store")}`, options);
        expect(await again.caretaker("etl").load(id)).toEqual({ n: 1 });
        expect((await again.keys()).keys).toHaveLength(2);
      } finally {
        process.chdir(before);
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});
