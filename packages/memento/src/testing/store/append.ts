import assert from "node:assert/strict";

import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { expectAppended, headCheck } from "./fixture.ts";
import { collect, expectCode, type StoreTestGroup } from "./kit.ts";

/** Fails unless these are the store's only mementos, and the store is sound. */
async function expectUntouched(store: MementoStore, ids: readonly string[]): Promise<void> {
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  assert.deepEqual(
    rows.map(({ entry }) => entry.id),
    ids,
  );
  assert.deepEqual(await collect(store.check()), []);
}

/** `append`: what is taken, and every refusal but that of names. */
export const appendTests: readonly StoreTestGroup[] = [
  {
    method: "append()",
    tests: {
      "moves the head, and gives the bytes back as they were": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const record = timeline.next();
        const batch = make.batch([record]);
        expectAppended(await store.append(batch));
        const { id, sequence } = record.entry;
        assert.deepEqual((await store.timeline(timeline.key))?.head, {
          id,
          sequence,
          check: headCheck(timeline.key, id, sequence),
        });
        const stored = await store.read(id);
        assert.deepEqual(
          { ...stored, header: null, body: null },
          { slot: 0, header: null, body: null, removed: false },
        );
        assert.deepEqual(Buffer.from(stored?.header ?? []), Buffer.from(batch.header));
        assert.deepEqual(Buffer.from(stored?.body ?? []), Buffer.from(batch.body));
      },

      "keeps its own copy of what it is given, and gives copies": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const record = timeline.next();
        const batch = make.batch([record]);
        const wanted = Buffer.from(batch.body);
        await store.append(batch);
        batch.body.fill(0);
        (await store.read(record.entry.id))?.body?.fill(0);
        assert.deepEqual(Buffer.from((await store.read(record.entry.id))?.body ?? []), wanted);
      },

      "takes bodies of many sizes, an empty one and one of several megabytes": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        for (const bytes of [0, 1, 4_095, 65_536, 3_000_001]) {
          const record = timeline.next();
          const batch = make.batch([record], { body: Buffer.alloc(bytes, bytes) });
          expectAppended(await store.append(batch));
          const { body } = (await store.read(record.entry.id)) ?? {};
          assert.ok(body && Buffer.compare(body, batch.body) === 0, `a body of ${bytes} bytes comes back`);
        }
      },

      "takes several timelines in one commit, and a chain of records of one": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const records = [one.next(), two.next(), one.next(), one.next()];
        expectAppended(await store.append(make.batch(records)));
        assert.equal((await store.timeline(one.key))?.head?.sequence, 3);
        assert.equal((await store.timeline(two.key))?.head?.sequence, 1);
        for (const [slot, { entry }] of records.entries()) assert.equal((await store.read(entry.id))?.slot, slot);
        const [commit, ...more] = await collect(store.commits(null));
        assert.deepEqual(commit?.accepted, [0, 1, 2, 3]);
        assert.deepEqual(more, []);
      },

      "refuses a stale head with a conflict that tells the head": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const stale = timeline.record();
        const { id, sequence } = await timeline.save(store);
        const head = { id, sequence, check: headCheck(timeline.key, id, sequence) };
        assert.deepEqual(await store.append(make.batch([stale])), [{ outcome: "conflict", head }]);
        assert.equal(await store.read(stale.entry.id), null);
        const early = timeline.record({ expectedSequence: 5 });
        assert.deepEqual(await store.append(make.batch([early])), [{ outcome: "conflict", head }]);
        await expectUntouched(store, [id]);
      },

      "refuses what expects a head on an empty timeline, or has no timeline": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        assert.deepEqual(await store.append(make.batch([timeline.record({ expectedSequence: 1 })])), [
          { outcome: "conflict", head: null },
        ]);
        const unknown = make.timelineRecord().key;
        const lost = timeline.record({ timeline: unknown, id: `${unknown}-1-aaaaaa` });
        assert.deepEqual(await store.append(make.batch([lost])), [{ outcome: "conflict", head: null }]);
        await expectUntouched(store, []);
      },

      "refuses a lower and a higher epoch as fenced, also when the head has moved": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const stale = timeline.record();
        await store.acquireLease({ timeline: timeline.key, lease: make.lease(2) });
        assert.deepEqual(await store.append(make.batch([stale])), [{ outcome: "fenced", epoch: 2 }]);
        assert.deepEqual(await store.append(make.batch([timeline.record({ epoch: 3 })])), [
          { outcome: "fenced", epoch: 2 },
        ]);
        timeline.epoch = 2;
        const { id } = await timeline.save(store);
        assert.deepEqual(await store.append(make.batch([stale])), [{ outcome: "fenced", epoch: 2 }]);
        await expectUntouched(store, [id]);
      },

      "takes all or none of a timeline, and leaves the others alone": async ({ store, make }) => {
        const [good, broken, alsoGood] = [
          await make.timeline(store),
          await make.timeline(store),
          await make.timeline(store),
        ];
        const records = [
          broken.next(),
          good.next(),
          broken.record({ expectedSequence: 4 }),
          alsoGood.next(),
          broken.record({ epoch: 9 }),
        ];
        const outcomes = (await store.append(make.batch(records))).map(({ outcome }) => outcome);
        assert.deepEqual([outcomes[1], outcomes[3]], ["appended", "appended"]);
        for (const slot of [0, 2, 4]) assert.notEqual(outcomes[slot], "appended");
        assert.equal((await store.timeline(broken.key))?.head, null);
        for (const slot of [0, 2, 4]) assert.equal(await store.read(records[slot]?.entry.id ?? ""), null);
        for (const slot of [1, 3]) assert.equal((await store.read(records[slot]?.entry.id ?? ""))?.slot, slot);
        assert.deepEqual((await collect(store.commits(null)))[0]?.accepted, [1, 3]);
        await expectUntouched(store, [records[1]?.entry.id ?? "", records[3]?.entry.id ?? ""]);
      },

      "stores nothing when every record is refused": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        await store.append(make.batch([timeline.record({ epoch: 7 })]));
        assert.deepEqual(await collect(store.commits(null)), []);
      },

      "refuses a pack that is not sealed with PLAINTEXT_REFUSED, in a sealed store only": async ({
        make,
        emptyPlace,
      }) => {
        const store = await (await emptyPlace()).open();
        await store.create(make.meta(true), make.key("integrity"));
        const timeline = await make.timeline(store);
        await expectCode("PLAINTEXT_REFUSED", () => store.append(make.batch([timeline.record()])));
        await expectUntouched(store, []);
        const dataKey = make.key("data");
        expectAppended(await store.append(make.batch([timeline.next()], { suite: "A256GCM", dataKey })));
      },

      "refuses a batch that contradicts itself with INVALID_ARGUMENT": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const batch = make.batch([timeline.record()]);
        await expectCode("INVALID_ARGUMENT", () => store.append({ ...batch, records: [] }));
        await expectCode("INVALID_ARGUMENT", () => store.append({ ...batch, records: [timeline.record()] }));
        await expectCode("INVALID_ARGUMENT", () =>
          store.append(make.batch([timeline.record({ id: `${timeline.key}-2-aaaaaa` })])),
        );
        await expectCode("INVALID_ARGUMENT", () =>
          store.append(make.batch([timeline.record({ id: "000000000000-1-aaaaaa" })])),
        );
        await expectUntouched(store, []);
      },

      "has one winner among many for one place": async ({ store, make, second }) => {
        const timeline = await make.timeline(store);
        const other = await second();
        const batches = Array.from({ length: 10 }, () => make.batch([timeline.record()]));
        const results = await Promise.all(
          batches.map((batch, index) => (index % 2 === 0 ? store : other).append(batch)),
        );
        const won = results.flat().findIndex(({ outcome }) => outcome === "appended");
        assert.equal(results.flat().filter(({ outcome }) => outcome === "conflict").length, 9);
        await expectUntouched(store, [batches[won]?.records[0]?.entry.id ?? ""]);
      },
    },
  },
];
