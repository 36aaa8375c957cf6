import { describe, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import type { AppendBatch, MementoStore } from "../../store/store.ts";
import { interceptStore, type StoreCall } from "../../store/wrap/index.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { iterableSource } from "../sources/index.ts";

const options = { keys: { raw: [new Uint8Array(32).fill(3)] } };

function counting(upTo: number): Pipeline {
  return definePipeline({
    name: "count",
    version: "1",
    checkpoint: { records: 5 },
    batchRecords: 5,
    sources: {
      ids: () =>
        iterableSource<number>({
          name: "numbers",
          async *records(from) {
            for (let id = Number(from ?? 0) + 1; id <= upTo; id++) yield { record: id, offset: id };
          },
        }),
    },
    stages: (stage) => [
      stage.task("count", async (context) => {
        for await (const { records } of context.read("ids")) {
          context.state["rows"] = Array.from({ length: 300 }, (_, row) => `row ${row} of ${String(records.at(-1))}`);
        }
        return null;
      }),
    ],
  });
}

const reasonsOf = ({ method, args }: StoreCall): readonly string[] =>
  method === "append" ? (args[0] as AppendBatch).records.map(({ entry }) => entry.reason) : [];

/** A store, and a look at it before each append. */
function watched(store: MementoStore, before: (reason: string) => Promise<void>): MementoStore {
  return interceptStore(store, async (call, proceed) => {
    if (call.method === "close") return undefined as never;
    for (const reason of reasonsOf(call)) await before(reason);
    return await proceed();
  });
}

async function prepared(): Promise<{ store: MemoryStore; target: string; head: string }> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, options);
  await memento.run(counting(20));
  const history = await Array.fromAsync(memento.history({ name: "count" }));
  return { store, target: history.at(2)?.id ?? "", head: history[0]?.id ?? "" };
}

describe("P8 safe removal: rollbacks and forks", () => {
  test("pin what they go back to until their own memento is there, and no longer", async () => {
    const { store, target } = await prepared();
    const seen: Record<string, readonly string[]> = {};
    const looker = await Memento.open(store, options);
    const pins = async (): Promise<string[]> => (await looker.caretaker("pipelines").pins()).map(({ id }) => id);
    const memento = await Memento.open(
      watched(store, async (reason) => {
        seen[reason] = await pins();
      }),
      options,
    );
    const { hash } = await memento.plan(counting(20), target);
    await memento.rollback(counting(20), target, { plan: hash });
    expect(seen).toEqual({ "rollback-begin": [target], rollback: [target] });
    expect(await pins()).toEqual([]);
    await memento.fork(target, { name: "f" });
    expect(seen["fork"]).toEqual([target]);
    expect(await pins()).toEqual([]);
  });

  test("refuse a target that was removed", async () => {
    const { store, target } = await prepared();
    const memento = await Memento.open(store, options);
    const { hash } = await memento.plan(counting(20), target);
    await memento.caretaker("pipelines").delete(target);
    const gone = expect.objectContaining({ code: "NOT_FOUND" });
    await expect(memento.plan(counting(20), target)).rejects.toThrow(gone);
    await expect(memento.rollback(counting(20), target, { plan: hash })).rejects.toThrow(gone);
    await expect(memento.fork(target, { name: "f" })).rejects.toThrow(gone);
    expect(await memento.caretaker("pipelines").pins()).toEqual([]);
  });

  test("go on over a target that is removed, and collected around, in their middle", async () => {
    const { store, target } = await prepared();
    const other = await Memento.open(store, options);
    await other.caretaker("pipelines").setPolicy({ keep: { last: 1 } });
    const remove = async (): Promise<void> => {
      // As somebody does who has looked for pins before this one was there.
      const timeline = target.slice(0, 12);
      await store.remove(
        [target],
        other.vault.notice("removed", { caretaker: "pipelines", timeline, mementos: [target] }),
      );
      await other.collect();
    };
    const memento = await Memento.open(watched(store, remove), options);
    const { hash } = await memento.plan(counting(20), target);
    const wanted = await (await other.vault.load(target)).value("state/rows");
    const { head } = await memento.rollback(counting(20), target, { plan: hash });
    await other.collect();
    expect(await (await other.vault.load(head)).value("state/rows")).toEqual(wanted);
    expect(await other.verify()).toMatchObject({ sound: true });
  });

  test("a rollback that was cut in two keeps its target from every collection until it is finished", async () => {
    const { store, target } = await prepared();
    const dying = await Memento.open(
      watched(store, async (reason) => {
        if (reason === "rollback") throw new Error("the power went");
      }),
      options,
    );
    const { hash } = await dying.plan(counting(20), target);
    await expect(dying.rollback(counting(20), target, { plan: hash })).rejects.toThrow("the power went");
    const memento = await Memento.open(store, options);
    await memento.caretaker("pipelines").setPolicy({ keep: { last: 1 } });
    const timeline = target.slice(0, 12);
    await store.remove(
      [target],
      memento.vault.notice("removed", { caretaker: "pipelines", timeline, mementos: [target] }),
    );
    for (let round = 0; round < 3; round++) await memento.collect();
    await memento.run(counting(25));
    await memento.collect();
    const [newest] = await Array.fromAsync(memento.history({ name: "count" }));
    expect((await (await memento.vault.load(newest?.id ?? "")).value("state/rows")) as string[]).toContain(
      "row 7 of 25",
    );
    expect(await memento.verify()).toMatchObject({ sound: true });
  });
});
