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
