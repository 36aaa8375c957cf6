import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import * as fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { mementoQuery } from "../../store/query.ts";

const keys = { raw: [new Uint8Array(32).fill(5)] };

async function opened(fill: number): Promise<Memento> {
  return await Memento.open(await MemoryStore.open(), { keys: { raw: [new Uint8Array(32).fill(fill)] } });
}

/** Values of every live memento, with its digest. */
async function tell(memento: Memento): Promise<unknown> {
  const told: Record<string, unknown> = {};
  for await (const { entry } of memento.vault.store.query(mementoQuery({ caretaker: "etl" }))) {
    const { digest } = await memento.vault.load(entry.id);
    told[entry.id] = { entry, digest, state: await memento.caretaker("etl").load(entry.id) };
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

test("any sequence of saves, removals and collections: what is exported is what is imported, at once and bit by bit", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "memento-sequences-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, "etl.memento");
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await using source = await opened(5);
      await using follower = await opened(6);
      const etl = source.caretaker("etl");
      const live: string[] = [(await etl.save({ rows: rows([]) }, { originator: "o0" })).id];
      const changed: number[] = [];
      for (const { do: what, row = 0, which = 0, full = false, originator = 0 } of steps) {
        if (what === "save") {
          changed.push(row);
          live.push((await etl.save({ rows: rows(changed), row }, { full, originator: `o${originator}` })).id);
        } else if (what === "delete" && live.length > 1) {
          await etl.delete(live.splice(which % live.length, 1)[0] ?? "");
        } else if (what === "collect") await source.collect();
        else if (what === "sync") {
          await source.exportTo(file, { caretaker: "etl" }, { replace: true });
          await follower.importFrom(file, { keys });
        } else if (what === "thin") {
          // The follower has a life of its own: it lets go of what it does not want, for good.
          const ids = (await Array.fromAsync(follower.vault.store.query(mementoQuery({ caretaker: "etl" })))).map(
            ({ entry }) => entry.id,
          );
          for (const id of ids.filter((_, index) => (index + which) % 2 === 0))
            await follower.caretaker("etl").delete(id);
          await follower.collect();
        }
      }
      await source.exportTo(file, { caretaker: "etl" }, { replace: true });
      await using target = await opened(7);
      await target.importFrom(file, { keys });
      const told = (await tell(source)) as Record<string, unknown>;
      expect(await tell(target)).toEqual(told);
      expect((await target.verify()).damages).toEqual([]);
      // What was removed on one side only stays as each side has it.
      await follower.importFrom(file, { keys });
      const followed = (await tell(follower)) as Record<string, unknown>;
      if (!steps.some(({ do: what }) => what === "thin")) expect(followed).toMatchObject(told);
      for (const [id, one] of Object.entries(followed)) if (id in told) expect(one).toEqual(told[id]);
      expect((await follower.verify()).damages).toEqual([]);
      await target.collect();
      expect(await tell(target)).toEqual(told);
    }),
    { numRuns: Number(process.env["MEMENTO_PROPERTY_RUNS"] ?? 10_000) / 100 },
  );
}, 300_000);
