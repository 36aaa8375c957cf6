import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { MementoEntry } from "../../core/memento.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { mementoQuery } from "../../store/query.ts";

async function opened(fill: number): Promise<Memento> {
  return await Memento.open(await MemoryStore.open(), { keys: { raw: [new Uint8Array(32).fill(fill)] } });
}

interface Told {
  readonly id: string;
  readonly entry: MementoEntry;
  readonly digest: string;
  readonly state: unknown;
}

/** Every live memento in the order of the log, with its value and its digest. */
async function tell(memento: Memento): Promise<readonly Told[]> {
  const told: Told[] = [];
  for await (const { entry } of memento.vault.store.query(mementoQuery({ order: "ascending" }))) {
    const { digest } = await memento.vault.load(entry.id);
    const state = await memento.caretaker(entry.caretaker).load(entry.id);
    told.push({ id: entry.id, entry, digest, state });
  }
  return told;
}

const rows = (changed: readonly number[]): string[] =>
  Array.from({ length: 400 }, (_, row) => `row ${row} ${changed.filter((one) => one === row).length}`);

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("save"), row: fc.nat(399), full: fc.boolean(), originator: fc.nat(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("delete"), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("collect") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("sync") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("thin"), which: fc.nat(1) }) },
) as fc.Arbitrary<{
  readonly do: "save" | "delete" | "collect" | "sync" | "thin";
  readonly row?: number;
  readonly which?: number;
  readonly full?: boolean;
  readonly originator?: number;
}>;

async function thin(memento: Memento, which: number): Promise<void> {
  // It has a life of its own: it lets go of what it does not want, for good.
  const live = await Array.fromAsync(memento.vault.store.query(mementoQuery()));
  for (const [index, { entry }] of live.entries())
    if ((index + which) % 2 === 0) await memento.caretaker(entry.caretaker).delete(entry.id);
  await memento.collect();
}

test("any sequence of saves, removals and collections: what is copied is what was there, at once and bit by bit", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await using source = await opened(5);
      await using follower = await opened(6);
      await using mirror = await opened(8);
      const live: [string, string][] = [];
      const save = async (caretaker: string, value: unknown, options: object): Promise<void> => {
        live.push([caretaker, (await source.caretaker(caretaker).save(value, options)).id]);
      };
      await save("etl", { rows: rows([]) }, { originator: "o0" });
      const changed: number[] = [];
      for (const { do: what, row = 0, which = 0, full = false, originator = 0 } of steps) {
        if (what === "save") {
          changed.push(row);
          const caretaker = row % 5 === 0 ? "other" : "etl";
          await save(caretaker, { rows: rows(changed), row }, { full, originator: `o${originator}` });
        } else if (what === "delete" && live.length > 1) {
          const [caretaker, id] = live.splice(which % live.length, 1)[0] ?? ["", ""];
          await source.caretaker(caretaker).delete(id);
        } else if (what === "collect") await source.collect();
        else if (what === "sync") {
          await source.copyTo(follower);
          await source.copyTo(mirror, { delete: true, verify: "new" });
        } else if (what === "thin") await thin(follower, which);
      }
      await using target = await opened(7);
      const report = await source.copyTo(target);
      const told = await tell(source);
      expect(await tell(target)).toEqual(told);
      expect(report.verified).toMatchObject({ identical: true, mementos: told.length });
      expect((await target.digest()).digest).toBe((await source.digest()).digest);
      expect((await target.verify()).damages).toEqual([]);
      await source.copyTo(mirror, { delete: true });
      expect(await tell(mirror)).toEqual(told);
      expect((await mirror.verify()).damages).toEqual([]);
      // What was removed on one side only stays as each side has it.
      const followed = await source.copyTo(follower);
      const kept = await tell(follower);
      const byId = new Map(told.map((one) => [one.id, one]));
      for (const one of kept) if (byId.has(one.id)) expect(one).toEqual(byId.get(one.id));
      if (!steps.some(({ do: what }) => what === "thin")) {
        expect(followed.verified?.identical).toBe(true);
        expect(kept.filter(({ id }) => byId.has(id))).toEqual(told);
      }
      expect((await follower.verify()).damages).toEqual([]);
      await target.collect();
      expect(await tell(target)).toEqual(told);
      expect(await source.copyTo(target)).toMatchObject({ copied: 0, removedCopied: 0, evidence: 0, bytes: 0 });
    }),
    { numRuns: Number(process.env["MEMENTO_PROPERTY_RUNS"] ?? 10_000) / 100 },
  );
}, 300_000);
