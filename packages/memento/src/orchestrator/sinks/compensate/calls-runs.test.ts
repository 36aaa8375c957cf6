import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { bench, numbers, type Row } from "../../../../../../test/harness/number-runs.ts";
import { MementoError } from "../../../core/errors.ts";
import { definePipeline, type Pipeline } from "../../pipeline/pipeline.ts";
import { compensatingCalls } from "./calls-sink.ts";
import type { Call, CallsOptions } from "./options.ts";

interface Order {
  readonly id: number;
  readonly mail?: string | null;
}

/** What the far end has, and what runs load it. */
interface World {
  /** Each order that it has, by the key that it came with. */
  readonly orders: Map<string, Order>;
  /** How often each key came. */
  readonly keys: Map<string, number>;
  /** Loads six numbers in two batches, a call for each row; `map` makes orders of them, or leaves one out. */
  load(map: (id: number) => Order | undefined, options?: Partial<CallsOptions<Order>>): Pipeline;
}

/** A far end that does a key once, answers a repeat as the first time, and refuses what has no mail. */
function world(): World {
  const folder = mkdtempSync(join(tmpdir(), "memento-calls-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [orders, keys] = [new Map<string, Order>(), new Map<string, number>()];
  const write = async ({ key, rows }: Pick<Call<Order>, "key" | "rows">): Promise<void> => {
    keys.set(key, (keys.get(key) ?? 0) + 1);
    const [order] = rows;
    if (order === undefined || order.mail === null) throw new MementoError("RECORD_INVALID", "422: mail is missing");
    if (!orders.has(key)) orders.set(key, order);
  };
  const load: World["load"] = (map, options = {}) =>
    definePipeline({
      name: "load",
      version: "1",
      batchRecords: 3,
      sources: { numbers: () => numbers(6) },
      sinks: {
        api: () =>
          compensatingCalls<Order>({
            name: "api",
            journal: join(folder, "calls.db"),
            rowsPerCall: 1,
            write,
            ...options,
          }),
      },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        const orders_ = stage.map("orders", { after: read, run: ({ n }: Row) => map(n) });
        return [read, orders_, stage.write("write", { after: orders_, sink: "api" })];
      },
    });
  return { orders, keys, load };
}

const told = ({ orders }: World): string[] =>
  [...orders.values()].map(({ id, mail }) => `${id} ${mail ?? ""}`).toSorted((a, b) => (a < b ? -1 : 1));
const good = (id: number): Order => ({ id, mail: "a@b" });
const without = (bad: number) => (id: number) => ({ id, mail: id === bad ? null : "a@b" });

describe("a batch of calls that was refused in part", () => {
  test.each([1, 2, 3])("takes the corrected rows, call %i first; what was made is not made again", async (bad) => {
    const far = world();
    const { memento } = await bench();
    for (let tries = 0; tries < 2; tries++)
      await expect(memento.run(far.load(without(bad)))).rejects.toMatchObject({ code: "RECORD_INVALID" });
    const corrected = (id: number): Order => ({ id, mail: id === bad ? "x@y" : "a@b" });
    expect(await memento.run(far.load(corrected))).toMatchObject({ status: "completed", resumed: true });
    expect(told(far)).toEqual([1, 2, 3, 4, 5, 6].map((id) => `${id} ${id === bad ? "x@y" : "a@b"}`));
    // Another call than the one that was refused: the far end may remember what it said to that.
    expect(Math.max(...[...far.orders.keys()].map((key) => far.keys.get(key) ?? 0))).toBe(1);
  });

  test("may lose the row that was refused, and get others", async () => {
    const far = world();
    const { memento } = await bench();
    await expect(memento.run(far.load(without(2)))).rejects.toMatchObject({ code: "RECORD_INVALID" });
    await memento.run(far.load((id) => (id === 2 ? undefined : good(id))));
    expect(told(far)).toEqual([1, 3, 4, 5, 6].map((id) => `${id} a@b`));
  });

  test("goes on behind what was made where all rows are others by now, as each stands at its place", async () => {
    const far = world();
    const { memento } = await bench();
    await expect(memento.run(far.load(without(2), { callsAtOnce: 3 }))).rejects.toMatchObject({
      code: "RECORD_INVALID",
    });
    expect(told(far)).toEqual(["1 a@b", "3 a@b"]);
    await memento.run(far.load((id) => ({ id, mail: `new${id}@b` })));
    expect(told(far)).toEqual(["1 a@b", "2 new2@b", "3 a@b", "4 new4@b", "5 new5@b", "6 new6@b"]);
  });

  test("is refused by name where nothing says what of it was made, and left behind by a fresh run", async () => {
    for (const compensate of [undefined, async ({ madeWith }: { madeWith: string }) => void taken.push(madeWith)]) {
      const far = world();
      const { memento } = await bench();
      await expect(memento.run(far.load(without(2)))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      const made = [...far.orders.keys()];
      const others = far.load((id) => (id === 1 ? undefined : { id, mail: "c@d" }), compensate && { compensate });
      await expect(memento.run(others)).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
      expect(told(far)).toEqual(["1 a@b"]);
      const fresh = await memento.run(others, { fresh: true });
      expect(fresh.status).toBe("completed");
      expect(told(far)).toEqual(["1 a@b", ...[2, 3, 4, 5, 6].map((id) => `${id} c@d`)]);
      expect(taken).toEqual(compensate === undefined ? [] : made);
    }
  });

  test("that is all left out by now uses up its token: what comes after it is not passed over", async () => {
    const far = world();
    const { memento } = await bench();
    await expect(memento.run(far.load(without(2)))).rejects.toMatchObject({ code: "RECORD_INVALID" });
    await memento.run(far.load((id) => (id < 4 ? undefined : good(id))));
    expect(told(far)).toEqual([1, 4, 5, 6].map((id) => `${id} a@b`));
  });
});

const taken: string[] = [];

describe("a call whose answer was lost", () => {
  /** Loads with a far end that does the call for this order, and whose answer is lost. */
  function losing({ load, orders }: World, id: number): Pipeline {
    return load(good, {
      write: async ({ key, rows: [order] }) => {
        if (order !== undefined) orders.set(key, order);
        if (order?.id === id) throw new Error("the answer was lost");
      },
    });
  }

  test("is made with the rows that it had, whatever they are by now, and no other call has its rows", async () => {
    const far = world();
    const { memento } = await bench();
    await expect(memento.run(losing(far, 2))).rejects.toThrow("the answer was lost");
    await memento.run(far.load((id) => ({ id, mail: `new${id}@b` })));
    expect(told(far)).toEqual(["1 a@b", "2 a@b", "3 new3@b", "4 new4@b", "5 new5@b", "6 new6@b"]);
  });

  test("takes the corrected rows where the far end says that it was not made", async () => {
    const far = world();
    const { memento } = await bench();
    const lost = far.load(without(2), {
      write: async ({ key, rows: [order] }) => {
        if (order?.id === 2) throw new Error("the connection was lost");
        if (order !== undefined) far.orders.set(key, order);
      },
    });
    await expect(memento.run(lost)).rejects.toThrow("the connection was lost");
    await memento.run(far.load(good));
    expect(told(far)).toEqual([1, 2, 3, 4, 5, 6].map((id) => `${id} a@b`));
  });
});
