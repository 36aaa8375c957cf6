import { describe, expect, test } from "vitest";

import { bench, numbers, type Bench, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";

/** Takes the chosen items back to a memento, by a plan. */
async function goBack(
  { memento }: Bench,
  pipeline: Pipeline,
  target: string,
  only: readonly string[],
): Promise<string> {
  const { hash } = await memento.plan(pipeline, target, { only });
  return (await memento.rollback(pipeline, target, { plan: hash, only })).head;
}

describe("chosen values of an older version", () => {
  /** Sums the numbers that it reads: as `sum`, and as `total` from version 2 on. */
  function summing(version: 1 | 2, count: number): Pipeline {
    const key = version === 1 ? "sum" : "total";
    const upcasters = { 1: ({ sum }: { sum: number }) => ({ total: sum }) };
    const schema: ValueSchema = { id: "sums", version, upcasters };
    // The newer source counts in tens.
    const scale = version === 1 ? 1 : 10;
    const offsets = { id: "tens", version, upcasters: { 1: (at: { "0": number }) => ({ "0": at["0"] * 10 }) } };
    return definePipeline({
      name: "sums",
      version: String(version),
      ...(version === 1 ? {} : { schema, offsetSchemas: { numbers: offsets } }),
      sources: {
        numbers: () => {
          const source = numbers(count);
          const read: typeof source.read = async function* (request) {
            const from = { "0": Number(request.from["0"] ?? 0) / scale };
            for await (const batch of source.read({ ...request, from }))
              yield { ...batch, offset: Number(batch.offset) * scale };
          };
          return { ...source, read };
        },
      },
      stages: (stage) => [
        stage.task("add", async (context) => {
          for await (const { records } of context.read("numbers"))
            for (const { n } of records as Row[]) context.state[key] = Number(context.state[key] ?? 0) + n;
          return { ...context.state };
        }),
      ],
    });
  }

  test.each([
    // 1 to 4 in the state that was taken back, and 7 and 8, which nobody has read yet.
    ["the state", ["state"], { total: 25 }],
    // 1 to 6, then 5 to 8 again.
    ["offsets", ["source:numbers"], { total: 47 }],
    ["both", ["state", "source:numbers"], { total: 36 }],
  ])("are cast when a run starts from them: %s", async (_what, only, output) => {
    const made = await bench();
    const { memento } = made;
    const { head: old } = await memento.run(summing(1, 4));
    await memento.run(summing(2, 6));
    await goBack(made, summing(2, 6), old, only);
    expect((await memento.check(summing(2, 8))).unreadable).toEqual([]);
    expect(await (await memento.run(summing(2, 8))).output("add")).toEqual(output);
  });
});

describe("a chosen stage", () => {
  test("takes with it nothing but its own, whatever it is called", async () => {
    const made = await bench();
    const { memento } = made;
    const names = ["run", "schema", "schemas", "credentials", "state"];
    const pipeline = definePipeline({
      name: "names",
      version: "1",
      schema: { id: "names", version: 2 },
      stages: (stage) => names.map((name) => stage.task(name, ({ state }) => void (state["last"] = name))),
    });
    const { head } = await memento.run(pipeline);
    const before = (await memento.vault.load(head)).keys();
    const stages = names.map((name) => `stage:${name}`);
    const back = await memento.vault.load(await goBack(made, pipeline, head, stages));
    expect(back.keys().toSorted()).toEqual(before.filter((key) => !key.startsWith("output/")).toSorted());
    expect(await back.value("schemas")).toEqual({ state: { id: "names", version: 2 } });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true, skipped: [] });
  });
});
