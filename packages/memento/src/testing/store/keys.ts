import assert from "node:assert/strict";

import { expectAppended } from "./fixture.ts";
import type { StoreTestGroup } from "./kit.ts";

/** `keys` and `rewrapKey`. */
export const keysTests: readonly StoreTestGroup[] = [
  {
    method: "keys()",
    tests: {
      "keeps the data key of a batch, and the first wrapping of it": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const dataKey = make.key("data");
        expectAppended(await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" })));
        expectAppended(
          await store.append(
            make.batch([timeline.next()], { dataKey: { ...dataKey, wrapped: "other" }, suite: "A256GCM" }),
          ),
        );
        const keys = await store.keys();
        assert.equal(keys.length, 2);
        assert.deepEqual(
          keys.find(({ id }) => id === dataKey.id),
          dataKey,
        );
        assert.deepEqual(keys.filter(({ purpose }) => purpose === "integrity").length, 1);
      },
    },
  },

  {
    method: "rewrapKey()",
    tests: {
      "replaces a wrapping by the expected ring key, once": async ({ store }) => {
        const [key] = await store.keys();
        assert.ok(key);
        const rewrapped = { ...key, ring: "ring-2", wrapped: "anew" };
        assert.equal(await store.rewrapKey(rewrapped, "ring-1"), true);
        assert.deepEqual(await store.keys(), [rewrapped]);
        assert.equal(await store.rewrapKey({ ...key, ring: "ring-3" }, "ring-1"), false);
        assert.deepEqual(await store.keys(), [rewrapped]);
      },

      "refuses a key that is not there": async ({ store, make }) => {
        assert.equal(await store.rewrapKey(make.key("data"), "ring-1"), false);
        assert.equal((await store.keys()).length, 1);
      },
    },
  },
];
