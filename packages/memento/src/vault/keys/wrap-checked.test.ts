import { describe, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { rawKeyRing, type KeyRing } from "./key-ring.ts";

/** A ring whose service gives back something else than the wrapped key, as often as it is told to. */
function lying(wrapped: string): { readonly ring: KeyRing; lies: boolean } {
  const honest = rawKeyRing([new Uint8Array(32).fill(3)]);
  const liar = {
    lies: false,
    ring: {
      ...honest,
      wrap: async (key: Uint8Array, bound: string) => ({
        ...(await honest.wrap(key, bound)),
        ...(liar.lies ? { wrapped } : {}),
      }),
    },
  };
  return liar;
}

describe.each([
  ["nothing", ""],
  ["other bytes", Buffer.alloc(60, 7).toString("base64url")],
])("a key that comes back wrapped as %s", (_what, wrapped) => {
  test("is not relied on by a save: it is refused, and the next one goes on", async () => {
    const service = lying(wrapped);
    const store = await MemoryStore.open();
    const memento = await Memento.open(store, { keys: service.ring });
    service.lies = true;
    await expect(memento.caretaker("c").save({ a: 1 })).rejects.toMatchObject({ code: "KEY_SERVICE_FAILED" });
    service.lies = false;
    const { id } = await memento.caretaker("c").save({ a: 2 });
    const again = await Memento.open(store, { keys: service.ring });
    expect(await again.caretaker("c").load(id)).toEqual({ a: 2 });
    expect((await again.keys()).unopened).toEqual([]);
    expect((await again.caretaker("c").statistics()).mementos).toBe(1);
  });

  test("makes no store that nobody can open, and no portable file", async () => {
    const service = lying(wrapped);
    const store = await MemoryStore.open();
    store.close = async () => undefined;
    service.lies = true;
    await expect(Memento.open(store, { keys: service.ring })).rejects.toMatchObject({ code: "KEY_SERVICE_FAILED" });
    service.lies = false;
    const memento = await Memento.open(store, { keys: service.ring });
    await memento.caretaker("c").save({ a: 1 });
    service.lies = true;
    let bytes = 0;
    const exported = memento.exportTo(async ({ length }) => void (bytes += length), { caretaker: "c" });
    await expect(exported).rejects.toMatchObject({ code: "KEY_SERVICE_FAILED" });
    expect(bytes).toBe(0);
  });
});
