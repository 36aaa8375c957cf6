import { describe, expect, test } from "vitest";

import { bench, harm, repaired } from "../../../../test/harness/repair-bench.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { Memento } from "../memento.ts";
import { definePipeline, type Pipeline } from "../orchestrator/pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../orchestrator/sinks/index.ts";
import { iterableSource } from "../orchestrator/sources/index.ts";

/** Writes the numbers up to `count`. */
function loading(rows: MemoryTable<number>, count: number): Pipeline {
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
        for await (const { records } of context.read("ids")) await context.write("rows", records as number[]);
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
