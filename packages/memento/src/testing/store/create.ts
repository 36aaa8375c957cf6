import assert from "node:assert/strict";

import { expectCode, type StoreTestGroup } from "./kit.ts";

/** `meta` and `create`. */
export const createTests: readonly StoreTestGroup[] = [
  {
    method: "create()",
    tests: {
      "says what the driver supports": async ({ store, options }) => {
        assert.deepEqual(store.supports, options.supports);
        assert.equal(typeof store.url, "string");
      },

      "makes the store once; the first facts stay in force": async ({ store, make }) => {
        const facts = await store.meta();
        assert.ok(facts);
        assert.deepEqual(await store.create(make.meta(true), make.key("integrity")), facts);
        assert.deepEqual(await store.meta(), facts);
        assert.equal((await store.keys()).length, 1);
      },

      "gives every caller the same facts when several race": async ({ make, options, emptyPlace }) => {
        const place = await emptyPlace();
        const first = await place.open();
        const second = options.supports.sharedBy === "process" ? first : await place.open();
        assert.equal(await first.meta(), null);
        assert.deepEqual(await first.keys(), []);
        const stores = [first, second, first, second];
        const answers = await Promise.all(stores.map((store) => store.create(make.meta(), make.key("integrity"))));
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.deepEqual(await second.meta(), answers[0]);
        assert.equal((await first.keys()).length, 1);
      },

      "refuses writes to a place that holds no store with NOT_A_STORE": async ({ make, emptyPlace }) => {
        const store = await (await emptyPlace()).open();
        await expectCode("NOT_A_STORE", () => store.createTimeline(make.timelineRecord(), make.lease(0, null)));
        await expectCode("NOT_A_STORE", () => store.note(make.notice("restored")));
        assert.equal(await store.meta(), null);
      },
    },
  },
];
