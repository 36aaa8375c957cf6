import { describe, expect, test } from "vitest";

import { bench, type Bench } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { ValueSchema } from "../schemas/value-schema.ts";

interface Trips extends Bench {
  /** What undoing was given. */
  readonly undone: unknown[];
  /** Names of stages that have run. */
  readonly ran: string[];
  /** Books a flight as `flight:1`, and fails before it pays. */
  readonly before: Pipeline;
  /** The booking is called `reserve` now, and gives `{ id: 1 }`. */
  readonly after: Pipeline;
  readonly with: (schema: ValueSchema) => Pipeline;
  /** The newest memento of the interrupted run. */
  readonly booked: string;
}

const cast: ValueSchema = {
  id: "booking",
  version: 2,
  upcasters: { 1: (text: string) => ({ id: Number(text.split(":")[1]) }) },
};

/** A run of the code of before, that stands interrupted behind its booking. */
async function trips(): Promise<Trips> {
  const made = await bench();
  const [undone, ran]: [unknown[], string[]] = [[], []];
  const pipeline = (name: string, gives: unknown, options: { was?: string; schema?: ValueSchema }): Pipeline =>
    definePipeline({
      name: "trips",
      version: name,
      stages: (stage) => {
        const undo = (_context: unknown, output: unknown): void => void undone.push(output);
        const book = stage.task(name, { ...options, undo }, () => {
          ran.push(name);
          return gives;
        });
        const pay = stage.task("pay", { after: { book } }, () => {
          throw new Error("no money");
        });
        return [book, pay];
      },
    });
  const before = pipeline("flight", "flight:1", {});
  const renamed = (schema: ValueSchema): Pipeline => pipeline("reserve", { id: 1 }, { was: "flight", schema });
  await expect(made.memento.run(before)).rejects.toMatchObject({ code: "STAGE_FAILED" });
  const [head] = await Array.fromAsync(made.memento.history(before));
  return { ...made, undone, ran, before, after: renamed(cast), with: renamed, booked: head?.id ?? "" };
}

async function firstOf({ memento, before }: Trips): Promise<string> {
  return (await Array.fromAsync(memento.history(before))).at(-1)?.id ?? "";
}

describe("a rollback with a stage that has another name now", () => {
  test("undoes what was done under the old one, and gives it the output as the code has it", async () => {
    const made = await trips();
    const { memento, after, undone } = made;
    const start = await firstOf(made);
    const plan = await memento.plan(after, start);
    expect(plan.undo).toMatchObject([{ name: "reserve", verdict: "compensate" }]);
    await memento.rollback(after, start, { plan: plan.hash });
    expect(undone).toEqual([{ id: 1 }]);
  });

  test("leaves alone what is done at the target under the old one: it stays done", async () => {
    const made = await trips();
    const { memento, after, booked, undone, ran } = made;
    await expect(memento.run(after)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const plan = await memento.plan(after, booked);
    expect(plan).toMatchObject({ undo: [], stagesAgain: ["pay"], casts: ["stage flight is called reserve"] });
    await memento.rollback(after, booked, { plan: plan.hash });
    await expect(memento.run(after)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect([undone, ran]).toEqual([[], ["flight"]]);
  });

  test("of that stage alone: it is undone, and runs again", async () => {
    const made = await trips();
    const { memento, after, booked, undone, ran } = made;
    const only = ["stage:reserve"];
    const plan = await memento.plan(after, booked, { only });
    expect(plan).toMatchObject({ undo: [{ name: "reserve" }], stagesAgain: ["reserve", "pay"] });
    await memento.rollback(after, booked, { plan: plan.hash, only });
    expect(undone).toEqual([{ id: 1 }]);
    await expect(memento.run(after)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(ran).toEqual(["flight", "reserve"]);
  });

  test("is refused by name where the code cannot read the output by which it is to be undone", async () => {
    const made = await trips();
    const { memento, undone } = made;
    const gap = made.with({ ...cast, version: 3 });
    const start = await firstOf(made);
    const plan = await memento.plan(gap, start);
    expect(plan).toMatchObject({
      undo: [{ verdict: "not-revertible", problem: expect.stringContaining("no upcaster from version 2") }],
      refused: ["reserve"],
    });
    await expect(memento.rollback(gap, start, { plan: plan.hash })).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
    await memento.rollback(gap, start, { plan: plan.hash, force: ["reserve"] });
    expect(undone).toEqual([]);
  });

  test("tells what gave nothing from what was passed over, by the memento of the old name", async () => {
    const { memento } = await bench();
    const undone: string[] = [];
    const pipeline = (prefix: string): Pipeline =>
      definePipeline({
        name: "branches",
        version: prefix,
        stages: (stage) => {
          const branch = (name: string, taken: boolean) =>
            stage.task(
              prefix + name,
              {
                ...(prefix === "" ? {} : { was: name }),
                when: () => taken,
                undo: ({ stage: undoing }) => void undone.push(undoing),
              },
              () => undefined,
            );
          const fails = (): never => {
            throw new Error("not yet");
          };
          return [branch("taken", true), branch("passed", false), stage.task("last", fails)];
        },
      });
    for (const prefix of ["", "new-"])
      await expect(memento.run(pipeline(prefix))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const start = (await Array.fromAsync(memento.history(pipeline("")))).at(-1)?.id ?? "";
    const { hash } = await memento.plan(pipeline("new-"), start);
    await memento.rollback(pipeline("new-"), start, { plan: hash });
    expect(undone).toEqual(["new-taken"]);
  });
});
