import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { definePipeline } from "../orchestrator/pipeline/pipeline.ts";
import { mementoQuery } from "../store/query.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { DurationHistogram } from "../vault/duration-histogram.ts";
import type { MementoStatistics } from "./statistics-sum.ts";

const DAY_MS = 86_400_000;

async function withMemento<T>(use: (memento: Memento, clock: ManualClock) => Promise<T>): Promise<T> {
  const clock = new ManualClock(Date.parse("2026-01-30T22:30:00.000Z"));
  await using memento = await Memento.open("memory:", { clock });
  return await use(memento, clock);
}

const groupsOf = async (
  memento: Memento,
  options: Parameters<Memento["statistics"]>[0],
): Promise<Readonly<Record<string, MementoStatistics>>> =>
  Object.fromEntries((await memento.statistics(options)).groups.map(({ key, ...each }) => [key, each]));

describe("statistics()", () => {
  test("of an empty store are nothing at all", async () => {
    await withMemento(async (memento) => {
      expect(await memento.caretaker("etl").statistics()).toEqual({
        mementos: 0,
        timelines: 0,
        logicalBytes: 0,
        heldBytes: 0,
        storedBytes: 0,
        savedShare: 0,
        oldest: null,
        newest: null,
        removed: 0,
        runs: { count: 0, byStatus: {}, resumed: 0, resumedAndCompleted: 0, resumeSuccessRate: null },
        stepMs: null,
        saveMs: null,
        loadMs: null,
      });
      expect((await memento.statistics()).groups).toEqual([]);
    });
  });

  test("count sizes of what lives, and what increments save", async () => {
    await withMemento(async (memento, clock) => {
      const etl = memento.caretaker("etl");
      const rows = "x".repeat(10_000);
      for (let n = 0; n < 10; n++) {
        await etl.save({ n, rows });
        await clock.tick(1_000);
      }
      await memento.caretaker("lab").save({ rows }, { originator: "a" });
      await memento.caretaker("lab").save({ rows }, { originator: "b", id: "gone" });
      await memento.caretaker("lab").delete("gone");
      const { etl: ofEtl, lab } = await groupsOf(memento, {});
      expect(ofEtl).toMatchObject({ mementos: 10, timelines: 1, removed: 0 });
      expect(ofEtl?.logicalBytes).toBeGreaterThan(100_000);
      expect(ofEtl?.heldBytes).toBeLessThan(12_000);
      expect(ofEtl?.savedShare).toBeGreaterThan(0.85);
      expect([ofEtl?.oldest, ofEtl?.newest]).toEqual(["2026-01-30T22:30:00.000Z", "2026-01-30T22:30:09.000Z"]);
      expect(lab).toMatchObject({ mementos: 1, timelines: 1, removed: 1 });
      expect((await memento.statistics()).total).toMatchObject({ mementos: 11, timelines: 2, removed: 1 });
      expect(await etl.statistics()).toEqual(ofEtl);
    });
  });

  test("share a pack's bytes among its mementos: the groups add up to what the store has", async () => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await Promise.all(["a", "b", "c"].map(async (originator) => await etl.save({ originator }, { originator })));
      await etl.save({ more: 1 });
      const packs = new Map<string, number>();
      for await (const { pack, packBytes } of memento.vault.store.query(mementoQuery())) packs.set(pack, packBytes);
      expect(packs.size).toBeLessThan(4);
      const bytes = [...packs.values()].reduce((sum, each) => sum + each, 0);
      expect((await etl.statistics()).storedBytes).toBe(bytes);
    });
  });

  test("tell days apart in any time zone, and take a range", async () => {
    await withMemento(async (memento, clock) => {
      const etl = memento.caretaker("etl");
      for (let n = 0; n < 4; n++) {
        await etl.save({ n });
        await clock.tick(DAY_MS / 2);
      }
      const counts = async (options: Parameters<Memento["statistics"]>[0]): Promise<Record<string, number>> =>
        Object.fromEntries((await memento.statistics(options)).groups.map(({ key, mementos }) => [key, mementos]));
      expect(await counts({ by: "day" })).toEqual({ "2026-01-30": 1, "2026-01-31": 2, "2026-02-01": 1 });
      expect(await counts({ by: "day", timeZone: "Asia/Tokyo" })).toEqual({ "2026-01-31": 2, "2026-02-01": 2 });
      expect(await counts({ by: "day", since: "2026-01-31", until: "2026-02-01T00:00:00Z" })).toEqual({
        "2026-01-31": 2,
      });
      expect(await counts({ caretaker: "none" })).toEqual({});
      await expect(memento.statistics({ by: "day", timeZone: "Mars/Olympus" })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
      await expect(memento.statistics({ by: "week" as "day" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      for (const wrong of [{ since: "yesterday" }, { since: "2026-02-31" }, { until: "2026-02-01T00:00" }])
        await expect(memento.statistics(wrong)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });

  test("count runs once, by how they ended, and how many resumptions went well", async () => {
    await withMemento(async (memento, clock) => {
      let broken = true;
      const flights = definePipeline({
        name: "flights",
        version: "1",
        stages: (stage) => [
          stage.task("read", async () => {
            await clock.tick(200);
            return 1;
          }),
          stage.task("load", async () => {
            await clock.tick(4_000);
            if (broken) throw new Error("no");
            return 2;
          }),
        ],
      });
      const run = async (): Promise<unknown> => await memento.run(flights).catch((error: unknown) => error);
      await run();
      broken = false;
      await run();
      await run();
      const { "pipelines/flights": all } = await groupsOf(memento, { by: "pipeline" });
      expect(all?.runs).toEqual({
        count: 2,
        byStatus: { completed: 2 },
        resumed: 1,
        resumedAndCompleted: 1,
        resumeSuccessRate: 1,
      });
      expect(all?.saveMs?.count).toBe(all?.mementos);
      const stages = await groupsOf(memento, { by: "stage" });
      expect(Object.keys(stages)).toEqual(["pipelines/flights/load", "pipelines/flights/read"]);
      expect(stages["pipelines/flights/load"]?.stepMs?.max).toBeGreaterThanOrEqual(4_000);
      expect(stages["pipelines/flights/load"]?.runs).toBeNull();
    });
  });

  test("time the saves and loads of this process", async () => {
    await withMemento(async (memento) => {
      const etl = memento.caretaker("etl");
      await etl.save({ a: 1 }, { id: "a" });
      await etl.load("a");
      await etl.latest();
      const { saveMs, loadMs } = await etl.statistics();
      expect([saveMs?.count, loadMs?.count]).toEqual([1, 2]);
      expect(await groupsOf(memento, { by: "day" })).toMatchObject({ "2026-01-30": { saveMs: null, loadMs: null } });
    });
  });

  test("count the chunks of a large stream with it, and not after it is gone", async () => {
    await withMemento(async (memento) => {
      const files = memento.caretaker("files");
      const bytes = Buffer.concat(Array.from({ length: 160 }, () => memento.vault.random.bytes(65_536)));
      await files.saveStream([bytes], { id: "large" });
      const { mementos, removed, heldBytes, storedBytes } = await files.statistics();
      expect([mementos, removed]).toEqual([1, 0]);
      expect(heldBytes).toBeGreaterThan(10_000_000);
      expect(storedBytes).toBeGreaterThan(10_000_000);
      await files.delete("large");
      expect(await files.statistics()).toMatchObject({ mementos: 0, removed: 1, heldBytes: 0, storedBytes: 0 });
    });
  });
});

describe("DurationHistogram", () => {
  test("gives percentiles within 1 %, and the greatest exactly", () => {
    const histogram = new DurationHistogram();
    for (let n = 1; n <= 1_000; n++) histogram.add(n / 10);
    const { count, p50 = 0, p95 = 0, max } = histogram.durations() ?? {};
    expect([count, max]).toEqual([1_000, 100]);
    expect(Math.abs(p50 / 50 - 1)).toBeLessThan(0.011);
    expect(Math.abs(p95 / 95 - 1)).toBeLessThan(0.011);
    expect(new DurationHistogram().durations()).toBeNull();
  });
});
