import assert from "node:assert/strict";

import { StoreFixture } from "./fixture.ts";
import { expectCode, type StoreKit } from "./kit.ts";

/** `meta`, `create` and `keys` of a fresh place. */
export function testCreate(kit: StoreKit): void {
  kit.group("create()", (test) => {
    test("says what the driver supports", async ({ store }) => {
      assert.deepEqual(store.supports, kit.options.supports);
      assert.equal(typeof store.url, "string");
    });

    test("makes the store once; the first facts stay in force", async ({ store, make }) => {
      const facts = await store.meta();
      assert.ok(facts);
      assert.deepEqual(await store.create(make.meta(true), make.key("integrity")), facts);
      assert.deepEqual(await store.meta(), facts);
      assert.equal((await store.keys()).length, 1);
    });

    test("gives every caller the same facts when several race", async ({ make }) => {
      const place = await kit.options.place();
      const first = await place.open();
      const second = kit.options.supports.sharedBy === "process" ? first : await place.open();
      try {
        assert.equal(await first.meta(), null);
        assert.deepEqual(await first.keys(), []);
        const stores = [first, second, first, second];
        const answers = await Promise.all(stores.map((store) => store.create(make.meta(), make.key("integrity"))));
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.deepEqual(await second.meta(), answers[0]);
        assert.equal((await first.keys()).length, 1);
      } finally {
        await first.close();
        await second.close();
        await place.dispose();
      }
    });

    test("refuses writes to a place that holds no store with NOT_A_STORE", async () => {
      const place = await kit.options.place();
      const store = await place.open();
      const make = new StoreFixture(2);
      try {
        await expectCode("NOT_A_STORE", () => store.createTimeline(make.timelineRecord(), make.lease(0, null)));
        await expectCode("NOT_A_STORE", () => store.note(make.notice("restored")));
        assert.equal(await store.meta(), null);
      } finally {
        await store.close();
        await place.dispose();
      }
    });
  });
}
