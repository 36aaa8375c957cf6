import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { bench, type Bench, harm, KEYS, repaired } from "../../../../test/harness/repair-bench.ts";
import { Memento } from "../memento.ts";

const KEYS_OF_STATE = 12;

/** Saves of one state, of which one member changes each time: most of it is held by others. */
async function savedWith(memento: Memento, saves: number): Promise<string[]> {
  const state: Record<string, string> = {};
  for (let key = 0; key < KEYS_OF_STATE; key++) state[`key${key}`] = `first ${key}`;
  const ids: string[] = [];
  for (let save = 0; save < saves; save++) {
    state[`key${save % KEYS_OF_STATE}`] = `save ${save} ${"x".repeat(save)}`;
    ids.push((await memento.caretaker("wide").save(state)).id);
  }
  return ids;
}

async function unreadable(memento: Memento, ids: readonly string[]): Promise<string[]> {
  const wide = memento.caretaker("wide");
  const lost: string[] = [];
  for (const id of ids) {
    try {
      await wide.load(id);
    } catch {
      lost.push(id);
    }
  }
  return lost;
}

/** What is left can be collected, and comes back from a file. */
async function expectUsable({ folder }: Bench, memento: Memento): Promise<void> {
  await memento.collect();
  const file = join(folder, "all.memento");
  await memento.exportTo(file, { store: true });
  const fresh = await Memento.open("memory:", { keys: KEYS });
  onTestFinished(async () => await fresh.close());
  await fresh.importFrom(file, { keys: KEYS });
  expect((await fresh.verify()).sound).toBe(true);
}

describe.each(["sqlite", "file"] as const)("P3: a %s store in which much is inherited", (driver) => {
  test.each([0, 5, 13, 30])(
    "each memento that cannot be read is named, and given up by a repair: %i is harmed",
    async (at) => {
      const made = await bench(driver);
      const before = await made.open();
      const ids = await savedWith(before, 40);
      await before.close();
      harm(made, ids[at] ?? "", "body");
      const memento = await made.open();
      const lost = await unreadable(memento, ids);
      expect(lost.length).toBeGreaterThan(2);
      const { damages } = await memento.verify();
      expect(new Set(damages.flatMap(({ mementos }) => mementos))).toEqual(new Set(lost));
      for (const id of ids.slice(-3)) {
        const { sound } = await memento.verify({ scope: { kind: "memento", id } });
        expect(sound).toBe(!lost.includes(id));
      }
      const { after, quarantined } = await repaired(memento);
      expect(new Set(quarantined)).toEqual(new Set(lost));
      expect(after.sound).toBe(true);
      expect(
        await unreadable(
          memento,
          ids.filter((id) => !lost.includes(id)),
        ),
      ).toEqual([]);
      await expectUsable(made, memento);
    },
  );

  test("a timeline of which nothing good is left is in nobody's way", async () => {
    const made = await bench(driver);
    const before = await made.open();
    const { id } = await before.caretaker("lone").save({ n: 1 });
    await before.close();
    harm(made, id, "body");
    const memento = await made.open();
    expect((await repaired(memento)).after.sound).toBe(true);
    await expectUsable(made, memento);
  });

  test("what is between two lost headers is given up by the next repair", async () => {
    const made = await bench(driver);
    for (const at of [2, 5]) harm(made, made.ids[at] ?? "", "header");
    const memento = await made.open();
    for (let repairs = 0; repairs < 3; repairs++) if ((await repaired(memento)).plan.items.length === 0) break;
    expect((await memento.verify()).damages).toEqual([]);
    expect(await memento.caretaker("etl").latest()).toMatchObject({ n: 2 });
    await memento.collect();
    await memento.exportTo(join(made.folder, "all.memento"), { store: true });
  });
});
