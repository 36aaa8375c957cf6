import assert from "node:assert/strict";

import { mementoQuery } from "../../store/query.ts";
import type { AppendRecord } from "../../store/store.ts";
import { expectAppended } from "./fixture.ts";
import { collect, type StoreTestGroup } from "./kit.ts";

/** Names: `findByName`, and what `append` does with them. */
export const namesTests: readonly StoreTestGroup[] = [
  {
    method: "findByName()",
    tests: {
      "finds the live memento of a caretaker that has the name": async ({ store, make }) => {
        const [etl, lab] = [await make.timeline(store), await make.timeline(store, { caretaker: "lab" })];
        const named = await etl.save(store, { name: "before ✈ load" });
        const same = await lab.save(store, { name: "before ✈ load" });
        await etl.save(store);
        assert.equal(await store.findByName("etl", "before ✈ load"), named.id);
        assert.equal(await store.findByName("lab", "before ✈ load"), same.id);
        assert.equal(await store.findByName("etl", "before"), null);
        assert.equal(await store.findByName("none", "before ✈ load"), null);
      },

      "refuses a taken name, and tells who has it": async ({ store, make }) => {
        const [first, second] = [await make.timeline(store), await make.timeline(store)];
        const { id } = await first.save(store, { name: "gold" });
        const late = second.record({ name: "gold" });
        assert.deepEqual(await store.append(make.batch([late])), [{ outcome: "exists", id }]);
        assert.equal((await store.timeline(second.key))?.head, null);
        assert.equal(await store.read(late.entry.id), null);
        assert.equal(await store.findByName("etl", "gold"), id);
      },

      "moves a name with replaceName; the old memento stays": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const old = await timeline.save(store, { name: "gold" });
        const young = await timeline.save(store, { name: "gold", replaceName: true });
        assert.equal(await store.findByName("etl", "gold"), young.id);
        assert.equal((await store.read(old.id))?.removed, false);
        assert.deepEqual(await collect(store.check()), []);
      },

      "does not move a name for a record that is refused": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const { id } = await timeline.save(store, { name: "gold" });
        await store.append(make.batch([timeline.record({ name: "gold", replaceName: true, epoch: 9 })]));
        await store.append(make.batch([timeline.record({ name: "new", replaceName: true, epoch: 9 })]));
        assert.equal(await store.findByName("etl", "gold"), id);
        assert.equal(await store.findByName("etl", "new"), null);
      },

      "refuses the whole timeline for a taken name, and no other": async ({ store, make }) => {
        const [holder, broken, good] = [
          await make.timeline(store),
          await make.timeline(store),
          await make.timeline(store),
        ];
        const { id } = await holder.save(store, { name: "gold" });
        const records = [
          broken.next(),
          broken.next({ name: "gold" }),
          good.next({ name: "silver" }),
          broken.next({ name: "bronze" }),
        ];
        const results = await store.append(make.batch(records));
        assert.deepEqual([results[1], results[2]], [{ outcome: "exists", id }, { outcome: "appended" }]);
        assert.notEqual(results[0]?.outcome, "appended");
        assert.notEqual(results[3]?.outcome, "appended");
        assert.equal((await store.timeline(broken.key))?.head, null);
        assert.equal(await store.findByName("etl", "bronze"), null);
        assert.equal(await store.findByName("etl", "silver"), records[2]?.entry.id);
      },

      "minds names inside one batch": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const refusable = (record: AppendRecord): string => record.entry.id;
        const clash = [one.next({ name: "gold" }), two.record({ name: "gold" })];
        const results = await store.append(make.batch(clash));
        assert.deepEqual(results, [
          { outcome: "appended" },
          { outcome: "exists", id: clash[0] && refusable(clash[0]) },
        ]);
        const moves = [one.next({ name: "gold", replaceName: true }), two.next({ name: "gold", replaceName: true })];
        expectAppended(await store.append(make.batch(moves)));
        assert.equal(await store.findByName("etl", "gold"), moves[1]?.entry.id);
        assert.deepEqual(await collect(store.check()), []);
      },

      "gives a name that moves to and fro in one batch to the last one": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        for (const name of ["gold", "lead"]) await one.save(store, { name });
        const gold = { name: "gold", replaceName: true };
        const lead = { name: "lead", replaceName: true };
        const records = [one.next(gold), two.next(gold), two.next(lead), one.next(lead), one.next(gold), two.next()];
        expectAppended(await store.append(make.batch(records)));
        assert.equal(await store.findByName("etl", "gold"), records[4]?.entry.id);
        assert.equal(await store.findByName("etl", "lead"), records[3]?.entry.id);
        const rows = await collect(store.query(mementoQuery({ order: "ascending" })));
        assert.deepEqual(
          rows.slice(2).map(({ entry }) => entry.id),
          records.map(({ entry }) => entry.id),
        );
        assert.deepEqual(await collect(store.check()), []);
      },

      "gives it to the last one that was taken": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const gold = { name: "gold", replaceName: true };
        const records = [one.record({ ...gold, epoch: 9 }), two.next(gold), one.record({ ...gold, epoch: 9 })];
        const results = await store.append(make.batch(records));
        assert.deepEqual(
          results.map(({ outcome }) => outcome),
          ["fenced", "appended", "conflict"],
        );
        assert.equal(await store.findByName("etl", "gold"), records[1]?.entry.id);
      },

      "has one winner among many for one name": async ({ store, make, second }) => {
        const timelines = [];
        for (let index = 0; index < 6; index++) timelines.push(await make.timeline(store));
        const other = await second();
        const records = timelines.map((timeline) => timeline.record({ name: "gold" }));
        const results = await Promise.all(
          records.map((record, index) => (index % 2 === 0 ? store : other).append(make.batch([record]))),
        );
        const won = results.flat().findIndex(({ outcome }) => outcome === "appended");
        assert.equal(await store.findByName("etl", "gold"), records[won]?.entry.id);
        assert.equal(results.flat().filter(({ outcome }) => outcome === "exists").length, 5);
      },
    },
  },
];
