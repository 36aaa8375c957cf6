import assert from "node:assert/strict";

import { expectCode, type StoreTestGroup } from "./kit.ts";

/** `acquireLease`, `renewLease`, `releaseLease` and `requestOf`. */
export const leasesTests: readonly StoreTestGroup[] = [
  {
    method: "acquireLease()",
    tests: {
      "takes only the epoch that follows the stored one": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        for (const epoch of [0, 1, 3]) {
          assert.equal(await store.acquireLease({ timeline: key, lease: make.lease(epoch, "late") }), false);
        }
        assert.equal((await store.timeline(key))?.lease.owner, "owner-1");
        const lease = make.lease(2, "next");
        assert.equal(await store.acquireLease({ timeline: key, lease }), true);
        assert.deepEqual((await store.timeline(key))?.lease, lease);
        assert.equal(await store.acquireLease({ timeline: "000000000000", lease: make.lease(1) }), false);
      },

      "has one winner among many": async ({ store, make, second }) => {
        const { key } = await make.timeline(store);
        const other = await second();
        const won = await Promise.all(
          Array.from({ length: 8 }, (_, index) =>
            (index % 2 === 0 ? store : other).acquireLease({ timeline: key, lease: make.lease(2, `racer-${index}`) }),
          ),
        );
        assert.equal(won.filter(Boolean).length, 1);
        assert.equal((await store.timeline(key))?.lease.owner, `racer-${won.indexOf(true)}`);
      },

      "clears no request": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        await store.requestOf(key, "pause");
        await store.acquireLease({ timeline: key, lease: make.lease(2) });
        assert.equal((await store.timeline(key))?.request, "pause");
      },
    },
  },

  {
    method: "renewLease()",
    tests: {
      "prolongs, and tells what was requested": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        await make.clock.tick(10_000);
        const lease = make.lease(1);
        const renewed = await store.renewLease({ timeline: key, lease });
        assert.deepEqual(renewed?.lease, lease);
        assert.equal(renewed?.request, null);
        await store.requestOf(key, "pause");
        assert.equal((await store.renewLease({ timeline: key, lease }))?.request, "pause");
        await store.requestOf(key, null);
        assert.equal((await store.renewLease({ timeline: key, lease }))?.request, null);
      },

      "refuses another owner, another epoch, an unheld lease and no timeline": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        const before = (await store.timeline(key))?.lease;
        assert.equal(await store.renewLease({ timeline: key, lease: make.lease(1, "thief") }), null);
        assert.equal(await store.renewLease({ timeline: key, lease: make.lease(2, "owner-1") }), null);
        assert.equal(await store.renewLease({ timeline: "000000000000", lease: make.lease(1) }), null);
        assert.deepEqual((await store.timeline(key))?.lease, before);
        await store.releaseLease({ timeline: key, lease: make.lease(1, null) }, "owner-1");
        assert.equal(await store.renewLease({ timeline: key, lease: make.lease(1) }), null);
        assert.equal(await store.renewLease({ timeline: key, lease: make.lease(1, null) }), null);
      },
    },
  },

  {
    method: "releaseLease()",
    tests: {
      "gives it up with its request; the epoch stays": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        await store.requestOf(key, "pause");
        const lease = make.lease(1, null);
        assert.equal(await store.releaseLease({ timeline: key, lease }, "owner-1"), true);
        const state = await store.timeline(key);
        assert.deepEqual(state?.lease, lease);
        assert.equal(state?.request, null);
        assert.equal(await store.acquireLease({ timeline: key, lease: make.lease(2) }), true);
      },

      "refuses who does not hold it": async ({ store, make }) => {
        const { key } = await make.timeline(store);
        await store.requestOf(key, "pause");
        assert.equal(await store.releaseLease({ timeline: key, lease: make.lease(1, null) }, "thief"), false);
        assert.equal(await store.releaseLease({ timeline: key, lease: make.lease(2, null) }, "owner-1"), false);
        assert.equal(
          await store.releaseLease({ timeline: "000000000000", lease: make.lease(1, null) }, "owner-1"),
          false,
        );
        await store.acquireLease({ timeline: key, lease: make.lease(2) });
        assert.equal(await store.releaseLease({ timeline: key, lease: make.lease(1, null) }, "owner-1"), false);
        const state = await store.timeline(key);
        assert.equal(state?.lease.owner, "owner-2");
        assert.equal(state?.request, "pause");
      },
    },
  },

  {
    method: "requestOf()",
    tests: {
      "refuses an unknown timeline with NOT_FOUND": async ({ store }) => {
        await expectCode("NOT_FOUND", () => store.requestOf("000000000000", "pause"));
      },
    },
  },
];
