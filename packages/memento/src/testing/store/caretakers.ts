import assert from "node:assert/strict";

import { collect, type StoreTestGroup } from "./kit.ts";

/** `caretaker`, `caretakers`, `saveCaretaker` and `removeCaretaker`. */
export const caretakersTests: readonly StoreTestGroup[] = [
  {
    method: "saveCaretaker()",
    tests: {
      "takes only the version that follows the stored one, and logs the notice": async ({ store, make }) => {
        const notice = make.notice("caretaker-saved");
        assert.equal(await store.caretaker("etl"), null);
        assert.equal(await store.saveCaretaker(make.caretaker("etl", 2), notice), false);
        const first = make.caretaker("etl", 1, { keep: 10 });
        assert.equal(await store.saveCaretaker(first, notice), true);
        assert.deepEqual(await store.caretaker("etl"), first);
        assert.equal(await store.saveCaretaker(make.caretaker("etl", 1, { keep: 5 }), notice), false);
        assert.equal(await store.saveCaretaker(make.caretaker("etl", 3), notice), false);
        const second = make.caretaker("etl", 2, { keep: 20 });
        assert.equal(await store.saveCaretaker(second, notice), true);
        assert.deepEqual(await store.caretaker("etl"), second);
        assert.equal((await collect(store.commits(null))).length, 2);
      },

      "has one winner among many": async ({ store, make, second }) => {
        const other = await second();
        const saved = await Promise.all(
          Array.from({ length: 6 }, (_, index) =>
            (index % 2 === 0 ? store : other).saveCaretaker(
              make.caretaker("etl", 1, { index }),
              make.notice("caretaker-saved"),
            ),
          ),
        );
        assert.equal(saved.filter(Boolean).length, 1);
        assert.equal((await store.caretaker("etl"))?.policy, JSON.stringify({ index: saved.indexOf(true) }));
        assert.equal((await collect(store.commits(null))).length, 1);
      },

      "lists all of them": async ({ store, make }) => {
        const records = ["b", "ä", "a"].map((name) => make.caretaker(name, 1));
        for (const record of records)
          await store.saveCaretaker(record, make.notice("caretaker-saved", { caretaker: record.name }));
        const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
          a.name < b.name ? -1 : 1;
        assert.deepEqual((await store.caretakers()).toSorted(byName), records.toSorted(byName));
      },
    },
  },

  {
    method: "removeCaretaker()",
    tests: {
      "refuses one that has live mementos, or does not exist": async ({ store, make }) => {
        const notice = make.notice("caretaker-removed");
        assert.equal(await store.removeCaretaker("etl", notice), false);
        await store.saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved"));
        await store.saveCaretaker(make.caretaker("lab", 1), make.notice("caretaker-saved"));
        const timeline = await make.timeline(store);
        const [kept, gone] = [await timeline.save(store), await timeline.save(store)];
        await store.remove([gone.id], make.notice("removed", { mementos: [gone.id] }));
        assert.equal(await store.removeCaretaker("etl", notice), false);
        assert.equal(await store.removeCaretaker("lab", make.notice("caretaker-removed", { caretaker: "lab" })), true);
        await store.remove([kept.id], make.notice("removed", { mementos: [kept.id] }));
        assert.equal(await store.removeCaretaker("etl", notice), true);
        assert.deepEqual(await store.caretakers(), []);
        assert.equal(await store.removeCaretaker("etl", notice), false);
        assert.deepEqual(Buffer.from((await collect(store.commits(null))).at(-1)?.header ?? []), Buffer.from(notice));
      },

      "the name may be made again, from version 1": async ({ store, make }) => {
        await store.saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved"));
        await store.saveCaretaker(make.caretaker("etl", 2), make.notice("caretaker-saved"));
        await store.removeCaretaker("etl", make.notice("caretaker-removed"));
        assert.equal(await store.saveCaretaker(make.caretaker("etl", 3), make.notice("caretaker-saved")), false);
        assert.equal(await store.saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved")), true);
      },
    },
  },
];
