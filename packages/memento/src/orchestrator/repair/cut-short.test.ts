import { describe, expect, onTestFinished, test } from "vitest";

import { load, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import type { AppendBatch } from "../../store/store.ts";
import { interceptStore } from "../../store/wrap/intercept.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";

interface Bench {
  readonly memento: Memento;
  readonly data: MemoryTable<Row>;
  readonly pipeline: (count: number) => Pipeline;
  /** The next restore ends once it has begun, as if its process had died. */
  readonly cut: () => void;
}

async function bench(): Promise<Bench> {
  let isCut = false;
  const store = interceptStore(await MemoryStore.open(), async ({ method, args }, proceed) => {
    const given = await proceed();
    const batch = method === "append" ? (args[0] as AppendBatch) : null;
    if (isCut && batch?.records.some(({ entry }) => entry.reason === "rollback-begin") === true) {
      isCut = false;
      throw new Error("the process is dead");
    }
    return given;
  });
  const memento = await Memento.open(store);
  onTestFinished(async () => await memento.close());
  const data = new MemoryTable<Row>();
  const pipeline = (count: number): Pipeline => load(() => memorySink<Row>({ table: data }), { count });
  return { memento, data, pipeline, cut: () => void (isCut = true) };
}

describe("a change that was cut short", () => {
  test("an adoption is finished by the same command", async () => {
    const { memento, data, pipeline, cut } = await bench();
    const { head } = await memento.run(pipeline(10));
    await memento.fork(head, { name: "try" });
    await memento.run(pipeline(20));
    const { hash } = await memento.planAdoption(pipeline(20), { fork: "try" });
    cut();
    const adopt = { fork: "try", plan: hash, by: "ann" };
    await expect(memento.adopt(pipeline(20), adopt)).rejects.toThrow("the process is dead");
    const unfinished = { code: "CONFLICT", hint: expect.stringContaining("same command") as string };
    await expect(memento.planAdoption(pipeline(20), { fork: "try" })).rejects.toMatchObject(unfinished);
    const { head: made, evidence } = await memento.adopt(pipeline(20), adopt);
    expect(evidence).toMatchObject({ kind: "adopt", by: "ann", planHash: hash });
    expect((await memento.vault.load(made)).entry).toMatchObject({ reason: "adopt", status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(10));
  });

  test("an adoption that takes out the fork's data is finished there first, and then planned anew", async () => {
    const { memento, data, pipeline, cut } = await bench();
    const { head } = await memento.run(pipeline(10));
    await memento.fork(head, { name: "try" });
    await memento.run(pipeline(20), { fork: "try" });
    const choice = { fork: "try", rerun: true };
    const { hash } = await memento.planAdoption(pipeline(20), choice);
    cut();
    await expect(memento.adopt(pipeline(20), { ...choice, plan: hash })).rejects.toThrow("the process is dead");
    await expect(memento.adopt(pipeline(20), { ...choice, plan: hash })).rejects.toMatchObject({ code: "PLAN_MOVED" });
    expect(rowsOf(data)).toEqual(upTo(10));
    const again = await memento.planAdoption(pipeline(20), choice);
    cut();
    await expect(memento.adopt(pipeline(20), { ...choice, plan: again.hash })).rejects.toThrow("dead");
    const { evidence } = await memento.adopt(pipeline(20), { ...choice, plan: again.hash });
    expect(evidence).toMatchObject({ kind: "adopt", planHash: again.hash });
  });

  test.each([
    { begun: false, finish: false },
    { begun: true, finish: true },
    // What was asked for first is asked for no more: its evidence says that it is to be done.
    { begun: true, finish: false },
    { begun: false, finish: true },
  ])("a reset is finished by the same command, with purge: $begun, and then $finish", async ({ begun, finish }) => {
    const { memento, data, pipeline, cut } = await bench();
    await memento.run(pipeline(10));
    const { hash } = await memento.planReset(pipeline(10));
    const reset = { plan: hash, confirm: "load" };
    cut();
    await expect(memento.reset(pipeline(10), { ...reset, purge: begun })).rejects.toThrow("the process is dead");
    // Whoever asks anew is shown what was begun, and not something else.
    await expect(memento.planReset(pipeline(10), { keepData: true })).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await memento.planReset(pipeline(10))).toMatchObject({ hash });
    const { head, undo, plan, purged } = await memento.reset(pipeline(10), { ...reset, purge: finish });
    expect(rowsOf(data)).toEqual([]);
    expect(plan.hash).toBe(hash);
    const { entry } = await memento.vault.load(head);
    expect(entry).toMatchObject({ reason: "reset", status: "saved" });
    const isPurged = begun || finish;
    expect({ undo, purged }).toEqual(
      isPurged ? { undo: null, purged: entry.sequence - 1 } : { undo: entry.parent, purged: 0 },
    );
    expect(await Array.fromAsync(memento.history({ name: "load" }))).toHaveLength(isPurged ? 1 : entry.sequence);
    expect(await memento.verify()).toMatchObject({ sound: true });
    expect(await memento.run(pipeline(10))).toMatchObject({ status: "completed", resumed: false });
  });

  test("a purge that is asked for by whoever finishes a reset leaves what is pinned, and says so", async () => {
    const { memento, pipeline, cut } = await bench();
    const { head: kept } = await memento.run(pipeline(10));
    const { hash } = await memento.planReset(pipeline(10));
    const reset = { plan: hash, confirm: "load" };
    cut();
    await expect(memento.reset(pipeline(10), reset)).rejects.toThrow("the process is dead");
    await memento.caretaker("pipelines").pin(kept, { reason: "audit" });
    await expect(memento.reset(pipeline(10), { ...reset, purge: true })).rejects.toMatchObject({ code: "CONFLICT" });
    expect((await memento.vault.load(kept)).entry.id).toBe(kept);
  });
});
