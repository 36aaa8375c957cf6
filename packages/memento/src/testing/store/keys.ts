import assert from "node:assert/strict";

import { expectAppended } from "./fixture.ts";
import { collect, expectCode, type StoreTestGroup } from "./kit.ts";

/** `keys`, `rewrapKey` and `retireKey`. */
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

  {
    method: "compact()",
    tests: {
      "leaves everything as it was": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const gone = await timeline.save(store);
        await timeline.save(store);
        const ids = [gone.id];
        await store.remove(ids, make.notice("removed", { mementos: ids }));
        await store.reclaim(ids);
        const before = await collect(store.commits(null));
        assert.ok((await store.compact()) >= 0);
        assert.deepEqual(await collect(store.commits(null)), before);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },

  {
    method: "retireKey()",
    tests: {
      "refuses packs under the key from then on, from everybody, and keeps it": async ({ store, make, second }) => {
        const timeline = await make.timeline(store);
        const [retired, other] = [make.key("data"), make.key("data")];
        expectAppended(await store.append(make.batch([timeline.next()], { dataKey: retired, suite: "A256GCM" })));
        assert.equal(await store.retireKey(retired.id), true);
        assert.equal(await store.retireKey(retired.id), true);
        const record = timeline.next();
        for (const each of [store, await second()]) {
          await expectCode("KEY_RETIRED", async () => {
            await each.append(make.batch([record], { dataKey: retired, suite: "A256GCM" }));
          });
          assert.deepEqual(
            (await each.keys()).find(({ id }) => id === retired.id),
            { ...retired, retired: true },
          );
        }
        expectAppended(await store.append(make.batch([record], { dataKey: other, suite: "A256GCM" })));
        assert.equal(await store.rewrapKey({ ...retired, ring: "ring-2", wrapped: "anew" }, "ring-1"), true);
        assert.deepEqual(
          (await store.keys()).find(({ id }) => id === retired.id),
          { ...retired, ring: "ring-2", wrapped: "anew", retired: true },
        );
      },

      "a destroyed key is refused, and comes not back": async ({ store, make, second }) => {
        const timeline = await make.timeline(store);
        const gone = make.key("data");
        const record = timeline.next();
        expectAppended(await store.append(make.batch([record], { dataKey: gone, suite: "A256GCM" })));
        await store.retireKey(gone.id);
        assert.equal(await store.dropKey(gone.id), true);
        assert.equal(await store.retireKey(gone.id), false);
        const next = timeline.next();
        for (const each of [store, await second()]) {
          await expectCode("KEY_RETIRED", async () => {
            await each.append(make.batch([next], { dataKey: gone, suite: "A256GCM" }));
          });
        }
        assert.ok((await store.keys()).every(({ id }) => id !== gone.id));
      },

      "gives false for a key that is not there, and refuses the integrity key": async ({ store, make }) => {
        assert.equal(await store.retireKey(make.key("data").id), false);
        const [key] = await store.keys();
        await expectCode("INVALID_ARGUMENT", async () => await store.retireKey(key?.id ?? ""));
        assert.deepEqual(await store.keys(), [key]);
      },
    },
  },
];
