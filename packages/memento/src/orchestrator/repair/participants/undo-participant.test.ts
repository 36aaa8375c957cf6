import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../../memento.ts";
import { MemoryStore } from "../../../store/memory/index.ts";
import { fromFunction } from "../../credentials/environment.ts";
import { definePipeline, type Pipeline } from "../../pipeline/pipeline.ts";

interface Bench {
  readonly memento: Memento;
  /** What stands outside. */
  readonly bookings: Set<string>;
  readonly calls: string[];
  readonly pipeline: (trip: string) => Pipeline;
  readonly head: () => Promise<string>;
  /** While true, undoing the flight fails. */
  refuses: boolean;
}

async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const bookings = new Set<string>();
  const calls: string[] = [];
  const made: Bench = {
    memento,
    bookings,
    calls,
    refuses: false,
    head: async () => {
      for await (const { id } of memento.history({ name: "trips" })) return id;
      throw new Error("no head");
    },
    pipeline: (trip) =>
      definePipeline({
        name: "trips",
        version: "1",
        credentials: { agency: fromFunction("book", async () => "agency-secret") },
        stages: (stage) => {
          const flight = stage.task(
            "flight",
            {
              undo: ({ credentials, run }, { booking }: { readonly booking: string }) => {
                calls.push(`${booking} by ${credentials.agency.value.length} of ${run.id.length}`);
                if (made.refuses) throw new Error(`the agency does not answer ${credentials.agency.value}`);
                bookings.delete(booking);
              },
            },
            () => {
              bookings.add(`${trip} flight`);
              return { booking: `${trip} flight` };
            },
          );
          const hotel = stage.task(
            "hotel",
            {
              after: { flight },
              undo: (_context, booking: string) => {
                calls.push(booking);
                bookings.delete(booking);
              },
            },
            () => {
              bookings.add(`${trip} hotel`);
              return `${trip} hotel`;
            },
          );
          return [flight, hotel];
        },
      }),
  };
  return made;
}

/** Removes a memento and frees its space. */
async function lose(memento: Memento, id: string): Promise<void> {
  const { vault } = memento;
  const { caretaker, timeline } = (await vault.load(id)).entry;
  await vault.store.remove([id], vault.notice("removed", { caretaker, timeline, mementos: [id] }));
  await memento.collect();
  await expect(vault.load(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
}

describe("a stage with an undo", () => {
  test("is undone when a rollback goes to before its end: last done, first undone, with what it gave, over all runs", async () => {
    const { memento, bookings, calls, pipeline, head } = await bench();
    await memento.run(pipeline("rome"));
    const rome = await head();
    await memento.run(pipeline("oslo"));
    await memento.run(pipeline("bern"));
    const plan = await memento.plan(pipeline("bern"), rome);
    expect(plan.undo.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
      "hotel compensate",
      "flight compensate",
      "hotel compensate",
      "flight compensate",
    ]);
    const { evidence } = await memento.rollback(pipeline("bern"), rome, { plan: plan.hash });
    expect(calls.map((call) => call.split(" by ")[0])).toEqual([
      "bern hotel",
      "bern flight",
      "oslo hotel",
      "oslo flight",
    ]);
    expect([...bookings]).toEqual(["rome flight", "rome hotel"]);
    const { parts } = evidence as { parts: { kind: string; verdict: string }[] };
    expect(parts.map(({ kind, verdict }) => `${kind} ${verdict}`)).toEqual([
      "credential re-acquired",
      ...Array.from({ length: 4 }, () => "stage compensated"),
    ]);
  });

  test("into the middle of a run: only what was done after that", async () => {
    const { memento, bookings, pipeline } = await bench();
    await memento.run(pipeline("rome"));
    const { hash, undo } = await memento.plan(pipeline("rome"), "stage:flight");
    expect(undo.map(({ name }) => name)).toEqual(["hotel"]);
    await memento.rollback(pipeline("rome"), "stage:flight", { plan: hash });
    expect([...bookings]).toEqual(["rome flight"]);
    await memento.run(pipeline("rome"));
    expect([...bookings]).toEqual(["rome flight", "rome hotel"]);
  });

  test("what was undone cannot be had by a rollback of the rollback: refused by name, unless forced", async () => {
    const { memento, bookings, pipeline } = await bench();
    await memento.run(pipeline("rome"));
    const first = await memento.plan(pipeline("rome"), "stage:flight");
    const { undo } = await memento.rollback(pipeline("rome"), "stage:flight", { plan: first.hash });
    const back = await memento.plan(pipeline("rome"), undo);
    expect(back).toMatchObject({ undo: [{ name: "hotel", verdict: "not-revertible" }], refused: ["hotel"] });
    await expect(memento.rollback(pipeline("rome"), undo, { plan: back.hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      message: expect.stringContaining("hotel (it was undone") as string,
    });
    await memento.rollback(pipeline("rome"), undo, { plan: back.hash, force: ["hotel"] });
    expect([...bookings]).toEqual(["rome flight"]);
  });

  test("a run whose last memento is gone may have done it, and nobody can tell: refused by name, unless forced", async () => {
    const { memento, bookings, calls, pipeline, head } = await bench();
    await memento.run(pipeline("rome"));
    const rome = await head();
    await memento.run(pipeline("oslo"));
    const oslo = await head();
    await memento.run(pipeline("bern"));
    const kept = await memento.plan(pipeline("bern"), rome);
    expect(kept.refused).toEqual([]);
    await lose(memento, oslo);
    const plan = await memento.plan(pipeline("bern"), rome);
    expect(plan.undo.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
      "hotel compensate",
      "flight compensate",
      "hotel not-revertible",
      "flight not-revertible",
    ]);
    const moved = memento.rollback(pipeline("bern"), rome, { plan: kept.hash });
    await expect(moved).rejects.toMatchObject({ code: "PLAN_MOVED" });
    await expect(memento.rollback(pipeline("bern"), rome, { plan: plan.hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      message: expect.stringContaining("hotel (the last memento of its run was removed") as string,
    });
    expect(calls).toEqual([]);
    await memento.rollback(pipeline("bern"), rome, { plan: plan.hash, force: ["hotel", "flight"] });
    expect([...bookings]).toEqual(["rome flight", "rome hotel", "oslo flight", "oslo hotel"]);
  });

  test("what is undone is remembered: a restore that fails in the middle goes on after it", async () => {
    const made = await bench();
    const { memento, bookings, calls, pipeline, head } = made;
    await memento.run(pipeline("rome"));
    const rome = await head();
    await memento.run(pipeline("oslo"));
    made.refuses = true;
    const { hash } = await memento.plan(pipeline("oslo"), rome);
    await expect(memento.rollback(pipeline("oslo"), rome, { plan: hash })).rejects.toMatchObject({
      code: "STAGE_FAILED",
      message: expect.stringMatching(/does not answer \*\*\*$/u) as string,
    });
    expect([...bookings]).toEqual(["rome flight", "rome hotel", "oslo flight"]);
    made.refuses = false;
    // Any command on the timeline finishes it first.
    await memento.run(pipeline("rome"));
    expect(calls.map((call) => call.split(" by ")[0])).toEqual(["oslo hotel", "oslo flight", "oslo flight"]);
    expect([...bookings]).toEqual(["rome flight", "rome hotel"]);
  });

  test("what is lost after a restore has begun is refused when that goes on, unless forced", async () => {
    const made = await bench();
    const { memento, bookings, pipeline, head } = made;
    await memento.run(pipeline("rome"));
    const rome = await head();
    await memento.run(pipeline("oslo"));
    const oslo = await head();
    await memento.run(pipeline("bern"));
    const { hash } = await memento.plan(pipeline("bern"), rome);
    made.refuses = true;
    await expect(memento.rollback(pipeline("bern"), rome, { plan: hash })).rejects.toMatchObject({
      code: "STAGE_FAILED",
    });
    made.refuses = false;
    await lose(memento, oslo);
    await expect(memento.rollback(pipeline("bern"), rome, { plan: hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      message: expect.stringContaining("Stage hotel of run") as string,
    });
    await memento.rollback(pipeline("bern"), rome, { plan: hash, force: ["stage:hotel", "stage:flight"] });
    expect([...bookings]).toEqual(["rome flight", "rome hotel", "oslo flight", "oslo hotel"]);
  });

  test("the same call goes on with a restore that failed, and by force without what cannot be undone", async () => {
    const made = await bench();
    const { memento, bookings, pipeline, head } = made;
    await memento.run(pipeline("rome"));
    const rome = await head();
    await memento.run(pipeline("oslo"));
    made.refuses = true;
    const { hash } = await memento.plan(pipeline("oslo"), rome);
    const again = async (force: string[]): Promise<{ undo: string; evidence: unknown }> =>
      await memento.rollback(pipeline("oslo"), rome, { plan: hash, force });
    await expect(again([])).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await expect(again([])).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const { evidence } = await again(["stage:flight"]);
    expect(evidence).toMatchObject({
      parts: expect.arrayContaining([
        expect.objectContaining({ name: "flight", verdict: "not revertible" }),
      ]) as unknown,
    });
    expect([...bookings]).toEqual(["rome flight", "rome hotel", "oslo flight"]);
    await memento.run(pipeline("rome"));
  });

  test("goes back alone with the stages after it, and runs again", async () => {
    const { memento, bookings, calls, pipeline } = await bench();
    await memento.run(pipeline("rome"));
    const only = ["stage:hotel"];
    const plan = await memento.plan(pipeline("rome"), "head", { only });
    // At the head it is done, and so the head is no place without it.
    expect(plan.stagesAgain).toEqual(["hotel"]);
    await memento.rollback(pipeline("rome"), "head", { plan: plan.hash, only });
    expect(calls).toEqual(["rome hotel"]);
    expect([...bookings]).toEqual(["rome flight"]);
    expect(await memento.run(pipeline("rome"))).toMatchObject({ resumed: true, skipped: ["flight"] });
    expect([...bookings]).toEqual(["rome flight", "rome hotel"]);
  });
});
