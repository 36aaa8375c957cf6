import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { bench, harm, repaired, type Bench } from "../../../../test/harness/repair-bench.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { Memento } from "../memento.ts";
import { definePipeline, type Pipeline } from "../orchestrator/pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../orchestrator/sinks/index.ts";
import { iterableSource } from "../orchestrator/sources/index.ts";
import { planRepair } from "./repair.ts";

/** Writes the numbers up to `count`, as far as `isWriting`. */
function loading(rows: MemoryTable<number>, count: number, isWriting = true): Pipeline {
  return definePipeline({
    name: "load",
    version: "1",
    sources: {
      ids: () =>
        iterableSource<number>({
          name: "ids",
          async *records(from) {
            for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
          },
        }),
    },
    sinks: { rows: () => memorySink<number>({ table: rows }) },
    stages: (stage) => [
      stage.task("load", async (context) => {
        for await (const { records } of context.read("ids")) if (isWriting) await context.write("rows", records);
      }),
    ],
  });
}

async function historyOf(memento: Memento): Promise<MementoEntry[]> {
  const entries: MementoEntry[] = [];
  for await (const entry of memento.history({ name: "load" })) entries.push(entry);
  return entries;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** What `work` left on the pipeline's timeline, all of it lost and given up. */
async function withNothingLeft(made: Bench, work: (memento: Memento) => Promise<unknown>): Promise<Memento> {
  const before = await made.open();
  await work(before);
  const entries = await historyOf(before);
  await before.close();
  for (const { id } of entries) harm(made, id, "body");
  const memento = await made.open();
  expect((await repaired(memento)).after.damages).toEqual([]);
  expect((await planRepair(memento.vault, {})).items).toEqual([]);
  return memento;
}

describe.each(["sqlite", "file"] as const)("P3: a timeline of a %s store of which nothing good is left", (driver) => {
  test.each(["body", "header", "missing"] as const)("is saved to again, and fences who held it: %s", async (how) => {
    const made = await bench(driver);
    const before = await made.open();
    const lone = before.caretaker("lone");
    const ids = [(await lone.save({ n: 1 })).id, (await lone.save({ n: 2 })).id];
    // A log that ends in what is missing looks as if that had never been.
    await before.caretaker("etl").save({ n: 7 });
    const [key = ""] = ids[1]?.split("-") ?? [];
    const held = await before.vault.timeline(key);
    const head = await before.vault.load(ids[1] ?? "");
    await before.close();
    for (const id of ids) harm(made, id, how);
    const memento = await made.open();
    const { plan, done, after } = await repaired(memento);
    expect(plan.items.find(({ action }) => action === "go-on")).toMatchObject({
      name: `line:${key}`,
      problem: expect.stringContaining("from nothing"),
      nearestGood: { [ids[1] ?? ""]: null },
    });
    expect(done).toContain(`line:${key}`);
    expect(after).toMatchObject({ sound: true, mementos: 8 });
    expect((await planRepair(memento.vault, {})).items).toEqual([]);
    const late = memento.vault.writerAt(held, head);
    await expect(late.append({ reason: "save", status: "saved", generation: 0 })).rejects.toMatchObject({
      code: "FENCED",
    });
    expect(await memento.caretaker("lone").latest()).toBeUndefined();
    await memento.collect();
    await memento.exportTo(join(made.folder, "empty.memento"), { store: true });
    expect((await memento.caretaker("lone").save({ n: 3 })).id).toContain(`${key}-4-`);
    expect(await memento.caretaker("lone").latest()).toEqual({ n: 3 });
    expect(await Array.fromAsync(memento.caretaker("lone").list())).toHaveLength(1);
    await memento.collect();
    await memento.exportTo(join(made.folder, "all.memento"), { store: true });
    expect((await memento.verify()).damages).toEqual([]);
  });

  test("is run from the beginning where its sinks hold nothing", async () => {
    const made = await bench(driver);
    const rows = new MemoryTable<number>();
    const memento = await withNothingLeft(made, async (before) => await before.run(loading(rows, 5, false)));
    const [head] = await historyOf(memento);
    expect(head).toMatchObject({ reason: "reset", status: "saved" });
    expect(head?.epoch).toBeGreaterThan(1);
    expect(await memento.run(loading(rows, 5))).toMatchObject({ status: "completed", resumed: false });
    expect([...rows.rows]).toEqual(upTo(5));
    await memento.run(loading(rows, 8));
    expect([...rows.rows]).toEqual(upTo(8));
    await memento.collect();
    await memento.exportTo(join(made.folder, "all.memento"), { store: true });
    expect((await memento.verify()).damages).toEqual([]);
  });

  test("is not run over data that no memento knows of, until a reset has taken it back or left it", async () => {
    for (const keepData of [false, true]) {
      const made = await bench(driver);
      const rows = new MemoryTable<number>();
      const memento = await withNothingLeft(made, async (before) => await before.run(loading(rows, 5)));
      for (let times = 0; times < 2; times++)
        await expect(memento.run(loading(rows, 5))).rejects.toMatchObject({
          code: "NOT_REVERTIBLE",
          details: { items: ["rows"] },
          hint: expect.stringContaining("memento reset"),
        });
      expect([...rows.rows]).toEqual(upTo(5));
      const plan = await memento.planReset(loading(rows, 5), { keepData });
      expect(plan.sinks).toMatchObject(keepData ? [] : [{ name: "rows", remove: 5 }]);
      await memento.reset(loading(rows, 5), { plan: plan.hash, confirm: "load", keepData });
      await memento.run(loading(rows, 3));
      expect([...rows.rows]).toEqual([...(keepData ? upTo(5) : []), ...upTo(3)]);
      expect((await memento.verify()).damages).toEqual([]);
    }
  });

  test("is reset by force where its sinks no longer reach back so far, and is run behind what stays", async () => {
    const made = await bench(driver);
    const rows = new MemoryTable<number>();
    const memento = await withNothingLeft(made, async (before) => {
      await before.run(loading(rows, 5));
      for (const { id } of (await historyOf(before)).slice(1)) await before.caretaker("pipelines").delete(id);
      await before.run(loading(rows, 6));
    });
    const plan = await memento.planReset(loading(rows, 5));
    expect(plan).toMatchObject({ sinks: [{ verdict: "trimmed" }], refused: ["rows"] });
    await memento.reset(loading(rows, 5), { plan: plan.hash, confirm: "load", force: ["rows"] });
    await memento.run(loading(rows, 3));
    expect([...rows.rows]).toEqual([...upTo(6), ...upTo(3)]);
  });

  test("is reset by force where stages may be done that nobody can undo any more", async () => {
    const made = await bench(driver);
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      stages: (stage) => [stage.task("book", { undo: () => undefined }, () => "booked")],
    });
    const memento = await withNothingLeft(made, async (before) => await before.run(pipeline));
    const plan = await memento.planReset(pipeline);
    expect(plan).toMatchObject({ undo: [{ name: "book", verdict: "not-revertible" }], refused: ["book"] });
    await memento.reset(pipeline, { plan: plan.hash, confirm: "load", force: ["book"] });
    expect((await memento.planReset(pipeline)).refused).toEqual([]);
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
  });

  test("is not run over it either when its offsets were edited", async () => {
    const made = await bench(driver);
    const rows = new MemoryTable<number>();
    const memento = await withNothingLeft(made, async (before) => await before.run(loading(rows, 5)));
    await memento.edit(loading(rows, 5), { edits: [{ path: "state.seen", value: 5 }] });
    await expect(memento.run(loading(rows, 8))).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
    expect([...rows.rows]).toEqual(upTo(5));
  });
});

describe.each(["sqlite", "file"] as const)(
  "P3: a timeline of a %s store that goes on after a lost rollback",
  (driver) => {
    test("goes on from what was before it, as a run to be resumed and not as a run that is done", async () => {
      const made = await bench(driver);
      const rows = new MemoryTable<number>();
      const before = await made.open();
      await before.run(loading(rows, 5), { key: "today" });
      const [completed] = await historyOf(before);
      const { hash } = await before.plan(loading(rows, 5), "start");
      await before.rollback(loading(rows, 5), "start", { plan: hash });
      expect([...rows.rows]).toEqual([]);
      const [rollback, begun] = await historyOf(before);
      expect(begun?.status).toBe("reverting");
      await before.close();
      harm(made, rollback?.id ?? "", "header");
      const memento = await made.open();
      const { plan } = await repaired(memento);
      expect(plan.items.find(({ action }) => action === "go-on")?.nearestGood).toEqual({
        [rollback?.id ?? ""]: completed?.id,
      });
      expect((await historyOf(memento))[0]).toMatchObject({ reason: "rollback", status: "interrupted" });
      expect(await memento.run(loading(rows, 5), { key: "today" })).toMatchObject({
        status: "completed",
        resumed: true,
        alreadyDone: false,
      });
      expect([...rows.rows]).toEqual(upTo(5));
    });
  },
);
