import assert from "node:assert/strict";

import { collect, expectCode, type StoreTestGroup } from "./kit.ts";

/** `createTimeline`, `timeline`, `findTimeline` and `timelines`. */
export const timelinesTests: readonly StoreTestGroup[] = [
  {
    method: "createTimeline()",
    tests: {
      "makes an empty timeline with the lease that was given": async ({ store, make }) => {
        const record = make.timelineRecord({
          partition: "day=1",
          fork: "try",
          forkedFrom: "abcdefghjkmn-1-aaaaaa",
          originator: "flüge ✈",
        });
        const lease = make.lease(1);
        const state = await store.createTimeline(record, lease);
        assert.deepEqual(state, { record, head: null, lease, request: null });
        assert.deepEqual(await store.timeline(record.key), state);
      },

      "gives the one that has the address already": async ({ store, make }) => {
        const record = make.timelineRecord();
        const first = await store.createTimeline(record, make.lease(1));
        const { caretaker, originator, partition, fork } = record;
        const again = await store.createTimeline(
          make.timelineRecord({ caretaker, originator, partition, fork }),
          make.lease(1, "other"),
        );
        assert.deepEqual(again, first);
        assert.equal((await collect(store.timelines(null))).length, 1);
      },

      "refuses a key that another timeline has": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        const other = { ...make.timelineRecord({ originator: "another" }), key };
        await expectCode("INVALID_ARGUMENT", () => store.createTimeline(other, make.lease(0, null)));
        assert.equal(await store.findTimeline(other), null);
        assert.equal((await collect(store.timelines(null))).length, 1);
      },

      "gives all of several racing callers the same timeline": async ({ store, make, second }) => {
        const stores = [store, await second()];
        const address = { caretaker: "etl", originator: "raced" };
        const states = await Promise.all(
          [...stores, ...stores].map((each) => each.createTimeline(make.timelineRecord(address), make.lease(0, null))),
        );
        assert.equal(new Set(states.map(({ record }) => record.key)).size, 1);
      },
    },
  },

  {
    method: "findTimeline()",
    tests: {
      "tells addresses apart by each of their parts": async ({ store, make }) => {
        const base = { caretaker: "a", originator: "b", partition: "c", fork: "d" };
        const others = [
          { ...base, caretaker: "x" },
          { ...base, originator: "x" },
          { ...base, partition: "x" },
          { ...base, fork: "x" },
          { caretaker: "ab", originator: "", partition: "c", fork: "d" },
        ];
        for (const address of [base, ...others])
          await store.createTimeline(make.timelineRecord(address), make.lease(0, null));
        for (const address of [base, ...others]) {
          const { caretaker, originator, partition, fork } = (await store.findTimeline(address))?.record ?? {};
          assert.deepEqual({ caretaker, originator, partition, fork }, address);
        }
        assert.equal(await store.findTimeline({ ...base, fork: "" }), null);
        assert.equal(await store.timeline("000000000000"), null);
      },
    },
  },

  {
    method: "timelines()",
    tests: {
      "gives all, or a caretaker's, in the order of their making": async ({ store, make }) => {
        const made = [];
        for (let index = 0; index < 7; index++) {
          made.push((await make.timeline(store, { caretaker: index % 2 === 0 ? "even" : "odd" })).key);
        }
        const keys = async (caretaker: string | null): Promise<string[]> =>
          (await collect(store.timelines(caretaker))).map(({ record }) => record.key);
        assert.deepEqual(await keys(null), made);
        assert.deepEqual(
          await keys("odd"),
          made.filter((_, index) => index % 2 === 1),
        );
        assert.deepEqual(await keys("none"), []);
      },

      "shows the head and the lease as they stand": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const entry = await timeline.save(store);
        const [state] = await collect(store.timelines(null));
        assert.equal(state?.head?.id, entry.id);
        assert.equal(state?.lease.owner, "owner-1");
      },
    },
  },
];
