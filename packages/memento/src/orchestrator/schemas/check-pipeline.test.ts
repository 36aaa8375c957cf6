import { describe, expect, test } from "vitest";

import { bench, type Bench } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { ValueSchema } from "./value-schema.ts";

/** A task of a chain, whose input is the output of the one before it. */
interface Step {
  readonly was?: string;
  readonly schema?: ValueSchema;
  readonly undo?: () => void;
  readonly run?: (before: unknown) => unknown;
}

function chain(steps: Readonly<Record<string, Step>>): Pipeline {
  return definePipeline({
    name: "chain",
    version: Object.keys(steps).join(""),
    stages: (stage) => {
      const made: ReturnType<typeof stage.task>[] = [];
      for (const [name, { run, ...options }] of Object.entries(steps)) {
        const before = made.at(-1);
        const after = before === undefined ? {} : { after: { before } };
        made.push(
          stage.task(name, { ...options, ...after }, (_context, input: Readonly<Record<string, unknown>>) =>
            run === undefined ? { rows: [name] } : run(input["before"]),
          ),
        );
      }
      return made;
    },
  });
}

const fails = (): never => {
  throw new Error("not yet");
};
const rows = (version: number, upcasters: ValueSchema["upcasters"] = {}): ValueSchema => ({
  id: "rows",
  version,
  upcasters,
});

async function interrupted(steps: Readonly<Record<string, Step>>): Promise<Bench> {
  const made = await bench();
  await expect(made.memento.run(chain(steps))).rejects.toMatchObject({ code: "STAGE_FAILED" });
  return made;
}

/** The problems of what the next run starts from, which cannot go on from there. */
async function problemsAtHead({ memento }: Bench, steps: Readonly<Record<string, Step>>): Promise<readonly string[]> {
  const { unreadable } = await memento.check(chain(steps));
  const heads = unreadable.filter(({ isHead }) => isHead);
  expect(heads.length).toBeLessThan(2);
  return heads.flatMap(({ problems }) => problems);
}

describe("check(): outputs", () => {
  const given = (before: unknown): unknown => before;

  test("one whose schema is gone from the code is what no run reads", async () => {
    const made = await interrupted({ load: { schema: rows(2) }, report: { run: fails } });
    const gone = { load: {}, report: { run: given } };
    expect(await problemsAtHead(made, gone)).toEqual([
      "the output of stage load was saved as rows version 2, and the code has no schema for it",
    ]);
    await expect(made.memento.run(chain(gone))).rejects.toThrow("the code has no schema for it");
    expect(await problemsAtHead(made, { load: { schema: rows(2) }, report: {} })).toEqual([]);
    // Nobody reads what a stage gave that is gone itself.
    expect(await problemsAtHead(made, { report: {} })).toEqual([]);
  });

  test("one of the first version needs no schema", async () => {
    const made = await interrupted({ load: { schema: rows(1) }, report: { run: fails } });
    expect(await problemsAtHead(made, { load: {}, report: {} })).toEqual([]);
  });

  test("one of a stage that has another name now is judged under that name", async () => {
    const made = await interrupted({ load: { schema: rows(2) }, report: { run: fails } });
    const renamed = (schema?: ValueSchema): Readonly<Record<string, Step>> => ({
      extract: { was: "load", ...(schema === undefined ? {} : { schema }) },
      report: { run: given },
    });
    for (const [schema, problem] of [
      [undefined, "the output of stage extract was saved as rows version 2, and the code has no schema for it"],
      [rows(3), "the output of stage extract was saved as rows version 2, and the code has no upcaster from version 2"],
    ] as const) {
      expect(await problemsAtHead(made, renamed(schema))).toEqual([problem]);
    }
    const casts = renamed(rows(3, { 2: (value: { rows: string[] }) => ({ ...value, from: "cast" }) }));
    expect(await problemsAtHead(made, casts)).toEqual([]);
    const result = await made.memento.run(chain(casts));
    expect(await result.output("report")).toEqual({ rows: ["load"], from: "cast" });
  });
});

describe("check(): a restore that stands unfinished", () => {
  const done = { load: {}, shape: {}, report: { run: fails } };
  const added = { load: {}, more: {}, shape: {}, report: {} };
  const problem = expect.stringContaining("stage shape is done, and now comes after more, which is not");

  /** An unfinished run that was to go back to one of its mementos, by default the first one, and came as far as to a stage that cannot be undone. */
  async function goingBack({ only, to = 0 }: { only?: readonly string[]; to?: number } = {}): Promise<
    Bench & { readonly begun: string; readonly start: string }
  > {
    const made = await interrupted(done);
    const { memento } = made;
    const stays = chain({ ...done, shape: { undo: fails } });
    const start = (await Array.fromAsync(memento.history(stays))).toReversed()[to]?.id ?? "";
    const choice = only === undefined ? {} : { only };
    const { hash } = await memento.plan(stays, start, choice);
    await expect(memento.rollback(stays, start, { plan: hash, ...choice })).rejects.toMatchObject({
      code: "STAGE_FAILED",
    });
    const [head] = await Array.fromAsync(memento.history(stays));
    expect(head).toMatchObject({ status: "reverting" });
    return { ...made, start, begun: head?.id ?? "" };
  }

  test("is over an unfinished run, whose stages must fit: by a rollback to it that goes on", async () => {
    const made = await goingBack();
    const { memento, begun } = made;
    const { unreadable } = await memento.check(chain(added));
    expect(unreadable.find(({ entry }) => entry.id === begun)).toMatchObject({ problems: [problem] });
    // The next run finishes the restore, and starts from where that went back to.
    expect(unreadable.filter(({ isHead }) => isHead)).toEqual([]);
    expect(await memento.run(chain(added))).toMatchObject({ status: "completed", resumed: true });
    const plan = await memento.plan(chain(added), begun);
    expect(plan.warnings).toEqual([problem]);
    await memento.rollback(chain(added), begun, { plan: plan.hash });
    await expect(memento.run(chain(added))).rejects.toMatchObject({ code: "PIPELINE_CHANGED" });
  });

  test("is not what the next run starts from: that is what it goes back to", async () => {
    const { memento, start } = await goingBack({ to: 1 });
    const changed = chain({ first: {}, load: {}, shape: {}, report: {} });
    const heads = (await memento.check(changed)).unreadable.filter(({ isHead }) => isHead);
    expect(heads).toMatchObject([{ entry: { id: start }, problems: [expect.stringContaining("after first")] }]);
    await expect(memento.run(changed)).rejects.toMatchObject({ code: "PIPELINE_CHANGED" });
  });

  test("of some items alone goes on with that run", async () => {
    const made = await goingBack({ only: ["stage:shape"] });
    const changed = { first: {}, load: {}, shape: {}, report: {} };
    expect(await problemsAtHead(made, changed)).toEqual([expect.stringContaining("comes after first")]);
    await expect(made.memento.run(chain(changed))).rejects.toMatchObject({ code: "PIPELINE_CHANGED" });
  });
});
