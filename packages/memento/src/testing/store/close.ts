import assert from "node:assert/strict";

import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import type { StoreFixture } from "./fixture.ts";
import { collect, expectCode, type StoreTestGroup } from "./kit.ts";
import { fillStore } from "./sample.ts";

/** Every method but `close`, called in the simplest way. */
function calls(store: MementoStore, make: StoreFixture): Readonly<Record<string, () => Promise<unknown>>> {
  const address = { caretaker: "etl", originator: "o", partition: "", fork: "" };
  const timeline = "000000000000";
  return {
    meta: () => store.meta(),
    create: () => store.create(make.meta(), make.key("integrity")),
    keys: () => store.keys(),
    compact: () => store.compact(),
    retireKey: () => store.retireKey("d0"),
    rewrapKey: () => store.rewrapKey(make.key("data"), "ring-1"),
    createTimeline: () => store.createTimeline(make.timelineRecord(), make.lease(0, null)),
    timeline: () => store.timeline(timeline),
    findTimeline: () => store.findTimeline(address),
    timelines: () => collect(store.timelines(null)),
    acquireLease: () => store.acquireLease({ timeline, lease: make.lease(1) }),
    renewLease: () => store.renewLease({ timeline, lease: make.lease(1) }),
    releaseLease: () => store.releaseLease({ timeline, lease: make.lease(1, null) }, "owner-1"),
    requestOf: () => store.requestOf(timeline, "pause"),
    read: () => store.read(`${timeline}-1-aaaaaa`),
    findByName: () => store.findByName("etl", "gold"),
    query: () => collect(store.query(mementoQuery())),
    remove: () => store.remove([`${timeline}-1-aaaaaa`], make.notice("removed")),
    note: () => store.note(make.notice("restored")),
    reclaim: () => store.reclaim([`${timeline}-1-aaaaaa`]),
    commits: () => collect(store.commits(null)),
    caretaker: () => store.caretaker("etl"),
    caretakers: () => store.caretakers(),
    saveCaretaker: () => store.saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved")),
    removeCaretaker: () => store.removeCaretaker("etl", make.notice("caretaker-removed")),
    check: () => collect(store.check()),
  };
}

/** `close`, and `check` of a sound store. */
export const closeTests: readonly StoreTestGroup[] = [
  {
    method: "close()",
    tests: {
      "may be called twice, and at once, and by dispose": async ({ store, make }) => {
        await (await make.timeline(store)).save(store);
        await Promise.all([store.close(), store.close()]);
        await store.close();
        await store[Symbol.asyncDispose]();
      },

      "every later call is refused with STORE_CLOSED": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const batch = make.batch([timeline.record()]);
        await store.close();
        await expectCode("STORE_CLOSED", () => store.append(batch));
        for (const call of Object.values(calls(store, make))) await expectCode("STORE_CLOSED", call);
      },

      "ends a query that is under way with STORE_CLOSED or its last row": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        for (let index = 0; index < 3; index++) await timeline.save(store);
        const rows = store.query(mementoQuery())[Symbol.asyncIterator]();
        assert.equal((await rows.next()).done, false);
        await store.close();
        await expectCode("STORE_CLOSED", async () => {
          for (let row = await rows.next(); row.done !== true; row = await rows.next());
          await store.meta();
        });
      },
    },
  },

  {
    method: "check()",
    tests: {
      "finds nothing wrong with an empty store and a well-used one": async ({ store, make }) => {
        assert.deepEqual(await collect(store.check()), []);
        await fillStore(store, make);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },
];
