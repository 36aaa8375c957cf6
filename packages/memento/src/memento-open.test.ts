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
});
