import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import { mementoQuery } from "../store/query.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { beginMaintenance } from "../vault/maintenance.ts";
import { pinForRestore } from "./pins.ts";

const START = Date.parse("2026-05-01T00:00:00.000Z");
const HOUR_MS = 3_600_000;

async function withMemento(work: (memento: Memento, clock: ManualClock) => Promise<void>): Promise<void> {
  const clock = new ManualClock(START);
  await using memento = await Memento.open(await MemoryStore.open(), { clock });
  await work(memento, clock);
}

/** Rows that change a little from save to save, so that most pieces are deltas. */
function rows(count: number, version: number): { id: number; text: string }[] {
  return Array.from({ length: count }, (_, id) => ({
    id,
    text: id % 50 === version % 50 ? `row ${id} at ${version}` : `row ${id} has not changed`,
  }));
}

async function bodyBytes(memento: Memento): Promise<number> {
  let bytes = 0;
  for await (const { body } of memento.vault.store.commits(null)) bytes += body?.length ?? 0;
  return bytes;
}

describe("collect()", () => {
  test("without policies frees nothing that lives, and what was removed by hand", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const first = await caretaker.save("x".repeat(50_000));
      await caretaker.save("y".repeat(50_000), { full: true });
      expect(await memento.collect()).toMatchObject({ removed: [], packs: 0, bytes: 0 });
      await caretaker.delete(first.id);
      const report = await memento.collect();
      expect(report).toMatchObject({ removed: [], packs: 1, neededRemoved: 0 });
      expect(report.bytes).toBeGreaterThan(0);
      expect(await caretaker.latest()).toBe("y".repeat(50_000));
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  });

  test("keeps of a removed memento what younger ones share with it, and frees it with the last of them", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const big = "x".repeat(50_000);
      const first = await caretaker.save({ big, n: 1 });
      const second = await caretaker.save({ big, n: 2 });
      await caretaker.delete(first.id);
      expect(await memento.collect()).toMatchObject({ packs: 0, neededRemoved: 1 });
      expect(await caretaker.load(second.id)).toEqual({ big, n: 2 });
      await caretaker.save({ big: "other", m: 3 });
      await caretaker.delete(second.id);
      expect(await memento.collect()).toMatchObject({ packs: 2, neededRemoved: 0 });
      expect(await caretaker.latest()).toEqual({ big: "other", m: 3 });
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  });

  test("a save after a full one builds on nothing that the full one made free, though its writer remembers it", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const [first, second] = [await caretaker.save({ x: rows(300, 1) }), await caretaker.save({ x: rows(300, 2) })];
      await caretaker.save({ x: rows(300, 2) }, { full: true });
      await caretaker.delete(first.id);
      await caretaker.delete(second.id);
      expect(await memento.collect()).toMatchObject({ packs: 2 });
      await caretaker.save({ x: rows(300, 3) });
      expect(await caretaker.latest()).toEqual({ x: rows(300, 3) });
    });
  });

  test("a store that is not sealed has its garbage collected too", async () => {
    await using memento = await Memento.open(await MemoryStore.open(), { keys: false });
    const caretaker = memento.caretaker("c");
    const noise = Buffer.from(new SeededRandom(1).bytes(60_000)).toString("base64");
    const first = await caretaker.save({ noise, small: "shared ".repeat(10) });
    await caretaker.save({ noise: "none", small: "shared ".repeat(10) });
    await caretaker.delete(first.id);
    expect(await memento.collect()).toMatchObject({ packs: 0, repacked: { packs: 1 } });
    expect(await caretaker.latest()).toEqual({ noise: "none", small: "shared ".repeat(10) });
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("seals a pack anew when most of it is needed by nobody, and once only", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const noise = (seed: number): string => Buffer.from(new SeededRandom(seed).bytes(60_000)).toString("base64");
      const first = await caretaker.save({ big: noise(1), small: "shared ".repeat(10) });
      const second = await caretaker.save({ big: noise(2), small: "shared ".repeat(10) });
      await caretaker.delete(first.id);
      const before = await bodyBytes(memento);
      expect(await memento.collect({ dryRun: true })).toMatchObject({ packs: 0, repacked: { packs: 1 } });
      const report = await memento.collect();
      expect(report).toMatchObject({ packs: 0, neededRemoved: 1, repacked: { packs: 1 } });
      expect(report.repacked.bytes).toBeGreaterThan(59_000);
      expect(before - (await bodyBytes(memento))).toBe(report.repacked.bytes);
      expect(await caretaker.load(second.id)).toEqual({ big: noise(2), small: "shared ".repeat(10) });
      expect(await memento.verify()).toMatchObject({ sound: true });
      expect(await memento.collect()).toMatchObject({ packs: 0, repacked: { packs: 0, bytes: 0 } });
    });
  });

  test("a removed head stays needed: the next save still builds on it", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const state = { a: rows(500, 0), b: "kept" };
      const head = await caretaker.save(state);
      await caretaker.delete(head.id);
      expect(await memento.collect()).toMatchObject({ packs: 0 });
      await caretaker.save({ ...state, c: 1 });
      expect(await caretaker.latest()).toEqual({ ...state, c: 1 });
      await caretaker.save({ c: 2 }, { full: true });
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  });

  test("follows a policy: what goes, what stays and why, first as a dry run", async () => {
    await withMemento(async (memento, clock) => {
      const caretaker = memento.caretaker("etl");
      const ids: string[] = [];
      for (let hour = 0; hour < 72; hour++) {
        const saved = await caretaker.save(
          { hour, rows: rows(300, hour) },
          hour === 5 ? { labels: { keep: "yes" } } : {},
        );
        ids.push(saved.id);
        await clock.tick(HOUR_MS);
      }
      await caretaker.pin(ids[10] ?? "", { reason: "audit" });
      await caretaker.setPolicy({ keep: { last: 3, daily: 2 }, keepLabels: ["keep"] });
      const preview = await memento.collect({ dryRun: true });
      expect(preview.dryRun).toBe(true);
      expect(await Array.fromAsync(caretaker.list())).toHaveLength(72);
      const before = await bodyBytes(memento);
      const report = await memento.collect();
      expect(report.removed.map(({ entry, why }) => [entry.id, why])).toEqual(
        preview.removed.map(({ entry, why }) => [entry.id, why]),
      );
      expect([report.packs, report.bytes]).toEqual([preview.packs, preview.bytes]);
      expect((await bodyBytes(memento)) + report.bytes).toBe(before);
      expect(report.kept).toEqual([
        {
          caretaker: "etl",
          mementos: 6,
          reasons: {
            head: 1,
            "the last one": 1,
            "one of the last 3": 2,
            daily: 2,
            "label keep": 1,
            "pinned: audit": 1,
          },
        },
      ]);
      const left = (await Array.fromAsync(caretaker.list())).map(({ id }) => id).toReversed();
      expect(left).toEqual([5, 10, 47, 69, 70, 71].map((hour) => ids[hour]));
      for (const [index, hour] of [5, 10, 47, 69, 70, 71].entries())
        expect(await caretaker.load(left[index] ?? "")).toEqual({ hour, rows: rows(300, hour) });
      expect(await memento.verify()).toMatchObject({ sound: true });
      expect(await memento.collect()).toMatchObject({ removed: [], packs: 0 });
    });
  });

  test("a policy of one caretaker touches no other, and neither does a collection for one", async () => {
    await withMemento(async (memento, clock) => {
      for (const name of ["a", "b", "c"]) {
        for (let n = 0; n < 4; n++) await memento.caretaker(name).save({ n });
        if (name !== "c") await memento.caretaker(name).setPolicy({ keep: { last: 1 } });
      }
      await clock.tick(1);
      expect((await memento.collect({ caretaker: "a" })).removed).toHaveLength(3);
      expect((await memento.collect()).removed).toHaveLength(3);
      expect(await Array.fromAsync(memento.caretaker("c").list())).toHaveLength(4);
    });
  });

  test("lists beside it pass over what was removed, and freed, since they found it", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const ids: string[] = [];
      for (let n = 0; n < 5; n++) ids.push((await caretaker.save({ n }, { full: true })).id);
      const newest = ids.at(-1) ?? "";
      const { store } = memento.vault;
      const query = store.query.bind(store);
      // As stores do that read a page of rows at a time.
      store.query = async function* (asked) {
        yield* await Array.fromAsync(query(asked));
      };
      const lists = [caretaker.list(), caretaker.list({ where: () => true }), caretaker.list({ limit: 4 })];
      for (const list of lists) expect((await list.next()).value).toMatchObject({ id: newest });
      for (const id of ids.slice(0, -1)) await caretaker.delete(id);
      expect(await memento.collect()).toMatchObject({ packs: 4 });
      for (const list of lists) expect(await Array.fromAsync(list)).toEqual([]);
    });
  });

  test("latest() beside it gives the newest state, where the one that it found was removed and freed", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const old = await caretaker.save("old", { full: true });
      const { store } = memento.vault;
      const query = store.query.bind(store);
      store.query = async function* (asked) {
        for await (const row of query(asked)) {
          store.query = query;
          await caretaker.save("new", { full: true });
          await caretaker.delete(old.id);
          expect(await memento.collect()).toMatchObject({ packs: 1 });
          yield row;
        }
      };
      expect(await caretaker.latest()).toBe("new");
    });
  });

  test("a second one at the same time is refused with LOCKED", async () => {
    await withMemento(async (memento) => {
      await memento.caretaker("c").save({ n: 1 });
      await using _held = await beginMaintenance(memento.vault);
      await expect(memento.collect()).rejects.toThrow(
        expect.objectContaining({ code: "LOCKED", message: expect.stringMatching(/^Maintenance .* in process \d+/u) }),
      );
      expect(await memento.collect({ dryRun: true })).toMatchObject({ dryRun: true });
    });
  });

  test("the store's own timeline is shown to nobody", async () => {
    await withMemento(async (memento) => {
      await memento.caretaker("c").save({ n: 1 });
      await memento.collect();
      expect((await Array.fromAsync(memento.timelines())).map(({ record }) => record.caretaker)).toEqual(["c"]);
    });
  });

  test("frees nothing when something that is needed cannot be read", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const gone = await caretaker.save({ n: "x".repeat(5_000) });
      const shared = await caretaker.save({ big: "y".repeat(50_000), n: 2 });
      await caretaker.save({ big: "y".repeat(50_000), n: 3 });
      await caretaker.delete(gone.id);
      await caretaker.delete(shared.id);
      await memento.vault.store.reclaim([shared.id]);
      await expect(memento.collect()).rejects.toThrow(
        expect.objectContaining({ code: "DAMAGED", details: expect.objectContaining({ needs: shared.id }) }),
      );
      expect((await memento.vault.store.read(gone.id))?.body).not.toBeNull();
    });
  });
});

describe("pins", () => {
  test("keep a memento from policies, collections and removal, until they are taken away or run out", async () => {
    await withMemento(async (memento, clock) => {
      const caretaker = memento.caretaker("c");
      const [a, b] = [await caretaker.save({ n: "a" }), await caretaker.save({ n: "b" })];
      await caretaker.save({ n: "c" });
      await caretaker.setPolicy({ keep: { last: 1 } });
      await caretaker.pin(a.id, { reason: "audit" });
      await caretaker.pin(b.id, { until: new Date(START + HOUR_MS).toISOString() });
      await expect(caretaker.delete(a.id)).rejects.toThrow(
        expect.objectContaining({ code: "CONFLICT", message: `Memento ${a.id} is pinned: audit` }),
      );
      expect((await memento.collect()).removed).toEqual([]);
      await clock.tick(HOUR_MS);
      expect(await caretaker.pins()).toMatchObject([{ id: a.id, reason: "audit", lease: null }]);
      expect((await memento.collect()).removed.map(({ entry }) => entry.id)).toEqual([b.id]);
      expect(await caretaker.unpin(a.id)).toBe(true);
      expect(await caretaker.unpin(a.id)).toBe(false);
      expect((await memento.collect()).removed.map(({ entry }) => entry.id)).toEqual([a.id]);
      await expect(caretaker.pin(a.id)).rejects.toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
      expect(await caretaker.pins()).toEqual([]);
      expect((await caretaker.policy()).keep).toEqual({ last: 1 });
    });
  });

  test("refuse a moment that is none", async () => {
    await withMemento(async (memento) => {
      const { id } = await memento.caretaker("c").save(1);
      await expect(memento.caretaker("c").pin(id, { until: "soon" })).rejects.toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
    });
  });

  test("of a restore under way spare a removed target; those of a dead one do so once more, and are gone then", async () => {
    await withMemento(async (memento, clock) => {
      const { vault } = memento;
      const caretaker = memento.caretaker("c");
      const target = await caretaker.save({ big: rows(400, 1) });
      await caretaker.save({ big: "other" }, { full: true });
      const { record } = await vault.timeline(target.timeline);
      const lease = vault.leaseOf(record.key, {
        epoch: 1,
        owner: "restorer",
        expiresAt: clock.now() + 10_000,
        holder: null,
      });
      await vault.store.acquireLease({ timeline: record.key, lease });
      await pinForRestore(vault, target.id, await vault.timeline(record.key));
      // Somebody removes it past the library's own check, as a removal does that has looked before the pin was there.
      await vault.store.remove(
        [target.id],
        vault.notice("removed", { caretaker: "c", timeline: record.key, mementos: [target.id] }),
      );
      expect(await memento.collect()).toMatchObject({ packs: 0, pins: [{ id: target.id }] });
      await clock.tick(10_001);
      expect(await memento.collect()).toMatchObject({ packs: 0, pins: [] });
      expect((await vault.timeline(record.key)).lease).toMatchObject({ epoch: 2, owner: null });
      expect(await caretaker.pins()).toEqual([]);
      expect(await memento.collect()).toMatchObject({ packs: 1 });
    });
  });
});

describe("P8 safe removal: any saves, removals, rollbacks to removed heads and collections", () => {
  test("leave every live memento exact, and free what nobody needs", async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant("save" as const),
          line: fc.nat(2),
          change: fc.nat(9),
          full: fc.boolean(),
        }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("remove" as const), pick: fc.nat(1_000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("collect" as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const store = await MemoryStore.open();
        const options = { keys: { raw: [new Uint8Array(32).fill(7)] } };
        let memento = await Memento.open(store, options);
        const live = new Map<string, unknown>();
        const state: Record<string, unknown>[] = [{}, {}, {}];
        for (const at of steps) {
          if (at.do === "save") {
            const key = `k${at.change}`;
            const next: Record<string, unknown> = { ...state[at.line], [key]: rows(120 + at.change, live.size) };
            if (at.change === 9) delete next["k1"];
            state[at.line] = next;
            const { id } = await memento
              .caretaker("c")
              .save(next, { originator: `o${at.line}`, full: at.full && at.change > 6 });
            live.set(id, next);
          } else if (at.do === "remove" && live.size > 0) {
            const id = [...live.keys()][at.pick % live.size] ?? "";
            await memento.caretaker("c").delete(id);
            live.delete(id);
          } else if (at.do === "collect") await memento.collect();
          else if (at.do === "reopen") memento = await Memento.open(store, options);
        }
        await memento.collect();
        for (const [id, value] of live) expect(await memento.caretaker("c").load(id)).toEqual(value);
        expect(await memento.verify()).toMatchObject({ sound: true, mementos: live.size });
      }),
      { numRuns: 60 },
    );
  });

  test("any 100 of 1,000 removed at random, and the rest is exact", async () => {
    await withMemento(async (memento) => {
      const caretaker = memento.caretaker("c");
      const random = new SeededRandom(11);
      const saved: string[] = [];
      for (let version = 0; version < 1_000; version++)
        saved.push((await caretaker.save({ rows: rows(400, version) })).id);
      const gone = new Set<number>();
      while (gone.size < 100) gone.add(((random.bytes(1)[0] ?? 0) * 256 + (random.bytes(1)[0] ?? 0)) % 1_000);
      for (const version of gone) await caretaker.delete(saved[version] ?? "");
      const report = await memento.collect();
      expect(report.neededRemoved + report.packs).toBeGreaterThanOrEqual(100);
      for (const [version, id] of saved.entries())
        if (!gone.has(version)) expect(await caretaker.load(id)).toEqual({ rows: rows(400, version) });
      expect(await memento.verify()).toMatchObject({ sound: true, mementos: 900 });
      // With all but the head removed, nothing is left but what the head needs.
      const ids: string[] = [];
      for await (const { entry } of memento.vault.store.query(mementoQuery())) ids.push(entry.id);
      for (const id of ids.slice(1)) await caretaker.delete(id);
      const before = await bodyBytes(memento);
      await memento.collect();
      expect(await bodyBytes(memento)).toBeLessThan(before / 5);
      expect(await caretaker.latest()).toEqual({ rows: rows(400, 999) });
    });
  });
});
