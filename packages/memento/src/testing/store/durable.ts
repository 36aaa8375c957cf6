import assert from "node:assert/strict";

import { allAnswers } from "./answers.ts";
import { collect, type StoreTestGroup } from "./kit.ts";
import { fillStore } from "./sample.ts";

/** What a durable store keeps over its closing. */
export const durableTests: readonly StoreTestGroup[] = [
  {
    method: "reopening",
    appliesTo: ({ durable }) => durable,
    tests: {
      "gives every answer as before": async ({ store, make, place }) => {
        await fillStore(store, make);
        const before = await allAnswers(store);
        await store.close();
        const reopened = await place.open();
        assert.deepEqual(await allAnswers(reopened), before);
        assert.deepEqual(await collect(reopened.check()), []);
      },

      "goes on where it was": async ({ store, make, place }) => {
        const timeline = await make.timeline(store);
        await timeline.save(store, { name: "gold" });
        const cursor = (await collect(store.commits(null))).at(-1)?.cursor ?? null;
        await store.close();
        const reopened = await place.open();
        const [refused] = await reopened.append(make.batch([timeline.record({ name: "gold" })]));
        assert.equal(refused?.outcome, "exists");
        const { id } = await timeline.save(reopened);
        assert.equal((await reopened.timeline(timeline.key))?.head?.id, id);
        assert.equal((await collect(reopened.commits(cursor))).length, 1);
      },
    },
  },
];
