import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { MementoQuery } from "../store/query.ts";
import { interceptStore } from "../store/wrap/index.ts";

describe("P8 safe removal: collect()", () => {
  test("keeps what is pinned while it is choosing", async () => {
    const inner = await MemoryStore.open();
    const pin = Promise.withResolvers<() => Promise<unknown>>();
    let asked = false;
    const store = interceptStore(inner, async ({ method, args }, proceed) => {
      const isChoosing = method === "query" && (args[0] as MementoQuery).caretaker === null && !asked;
      if (isChoosing) {
        asked = true;
        await (
          await pin.promise
        )();
      }
      return await proceed();
    });
    await using memento = await Memento.open(store);
    const caretaker = memento.caretaker("c");
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push((await caretaker.save({ n })).id);
    await caretaker.setPolicy({ keep: { last: 1 } });
    pin.resolve(async () => await caretaker.pin(ids[1] ?? "", { reason: "audit" }));
    const { removed } = await memento.collect();
    expect(asked).toBe(true);
    expect(removed.map(({ entry }) => entry.id)).toEqual([ids[0], ids[2], ids[3]]);
    expect(await caretaker.load(ids[1] ?? "")).toEqual({ n: 1 });
  });
});

/** Each way to remove the first of two mementos of a caretaker. */
const REMOVALS: readonly (readonly [string, (memento: Memento, id: string) => Promise<unknown>])[] = [
  ["delete()", async (memento, id) => await memento.caretaker("c").delete(id)],
  ["secureDelete()", async (memento, id) => await memento.secureDelete([id], { reason: "asked for" })],
  ["collect()", async (memento) => await memento.collect()],
];

describe("P8 safe removal: a pin that comes between the look and the removal", () => {
  test.each(REMOVALS)("keeps its memento from %s", async (name, remove) => {
    const inner = await MemoryStore.open();
    const keys = { raw: [new Uint8Array(32).fill(1)] };
    let pin: (() => Promise<unknown>) | null = null;
    const store = interceptStore(inner, async ({ method }, proceed) => {
      const pinning = method === "remove" ? pin : null;
      if (pinning !== null) {
        pin = null;
        await pinning();
      }
      return await proceed();
    });
    await using memento = await Memento.open(store, { keys });
    const caretaker = memento.caretaker("c");
    const [first, second] = [(await caretaker.save({ n: 1 })).id, (await caretaker.save({ n: 2 })).id];
    await caretaker.setPolicy({ keep: { last: 1 } });
    pin = async () => await (await Memento.open(inner, { keys })).caretaker("c").pin(first, { reason: "audit" });
    const removal = remove(memento, first);
    if (name === "collect()") expect(await removal).toMatchObject({ removed: [] });
    else
      await expect(removal).rejects.toMatchObject({
        code: "CONFLICT",
        message: expect.stringContaining("audit") as unknown,
      });
    expect(pin).toBe(null);
    expect((await caretaker.pins()).map(({ id }) => id)).toEqual([first]);
    expect(await caretaker.load(first)).toEqual({ n: 1 });
    expect(await caretaker.load(second)).toEqual({ n: 2 });
  });

  test("a change that pins nothing is in nobody's way", async () => {
    const inner = await MemoryStore.open();
    let changes = 0;
    const store = interceptStore(inner, async ({ method }, proceed) => {
      if (method === "remove" && changes < 3) {
        changes += 1;
        await memento.caretaker("c").setPolicy({ keep: { last: changes } });
      }
      return await proceed();
    });
    await using memento = await Memento.open(store);
    const { id } = await memento.caretaker("c").save(1);
    await memento.caretaker("c").delete(id);
    expect(changes).toBe(3);
    await expect(memento.caretaker("c").load(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("pin()", () => {
  test.each(["2999-02-31", "2999-01-31T12:00", "Jan 31 2999"])(
    "refuses the end %s, which would be another moment than it says, or another one elsewhere",
    async (until) => {
      await using memento = await Memento.open(await MemoryStore.open());
      const caretaker = memento.caretaker("c");
      const { id } = await caretaker.save(1);
      await expect(caretaker.pin(id, { until })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await caretaker.pins()).toEqual([]);
      expect(await caretaker.pin(id, { until: "2999-01-31T12:00+01:00" })).toMatchObject({
        until: "2999-01-31T11:00:00.000Z",
      });
    },
  );
});
