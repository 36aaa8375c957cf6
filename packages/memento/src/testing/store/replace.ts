import assert from "node:assert/strict";

import { sha256 } from "../../core/digest.ts";
import { mementoQuery } from "../../store/query.ts";
import type { AppendBatch, AppendRecord, MementoStore, PackReplacement } from "../../store/store.ts";
import { expectAppended, type BatchOptions, type StoreFixture } from "./fixture.ts";
import { collect, expectCode, type StoreTestGroup } from "./kit.ts";

/** `replacePack`. */
export const replaceTests: readonly StoreTestGroup[] = [
  {
    method: "replacePack()",
    tests: {
      "puts another pack in the place, and leaves index, order and cursors": async ({ store, make }) => {
        const { records, batch, cursor, last } = await threePacks(store, make);
        const before = await listed(store);
        const dataKey = make.key("data");
        const other = replacementOf(make, records, batch, { dataKey, suite: "A256GCM" });
        assert.equal(await store.replacePack(other), true);
        for (const [slot, { entry }] of records.entries()) {
          const stored = await store.read(entry.id);
          assert.deepEqual(bytes(stored?.body), bytes(other.body));
          assert.deepEqual(bytes(stored?.header), bytes(other.header));
          assert.deepEqual({ slot: stored?.slot, removed: stored?.removed }, { slot, removed: false });
        }
        assert.deepEqual(await listed(store), before);
        assert.deepEqual(
          (await collect(store.commits(cursor))).map(({ header }) => sha256(header)),
          [sha256(other.header), sha256((await store.read(last))?.header ?? "")],
        );
        assert.ok((await store.keys()).some(({ id }) => id === dataKey.id));
        assert.deepEqual(await collect(store.check()), []);
      },

      "may be done again, and is seen by others at once": async ({ store, make, second }) => {
        const { records, batch } = await threePacks(store, make);
        const other = await second();
        let pack: Pick<AppendBatch, "header"> = batch;
        for (let round = 0; round < 3; round++) {
          const next = replacementOf(make, records, pack);
          assert.equal(await (round % 2 === 0 ? store : other).replacePack(next), true);
          assert.deepEqual(bytes((await other.read(next.ids[1] ?? ""))?.body), bytes(next.body));
          assert.deepEqual(bytes((await store.read(next.ids[0] ?? ""))?.body), bytes(next.body));
          pack = next;
        }
        assert.deepEqual(await collect(store.check()), []);
      },

      "changes nothing when the stored header is another one than expected": async ({ store, make }) => {
        const { records, batch } = await threePacks(store, make);
        const first = replacementOf(make, records, batch);
        assert.equal(await store.replacePack(first), true);
        assert.equal(await store.replacePack(replacementOf(make, records, batch)), false);
        assert.deepEqual(bytes((await store.read(first.ids[0] ?? ""))?.body), bytes(first.body));
        const whichever = { ...replacementOf(make, records, batch), expectedHeaderDigest: null };
        assert.equal(await store.replacePack(whichever), true);
        assert.deepEqual(bytes((await store.read(first.ids[0] ?? ""))?.body), bytes(whichever.body));
        assert.deepEqual(await collect(store.check()), []);
      },

      "is done by one of several who replace the same pack at once": async ({ store, make, second }) => {
        const { records, batch } = await threePacks(store, make);
        const stores = [store, await second(), store, await second()];
        const packs = stores.map(() => replacementOf(make, records, batch));
        const done = await Promise.all(stores.map(async (each, at) => await each.replacePack(packs[at] ?? never())));
        assert.equal(done.filter((one) => one).length, 1);
        const winner = packs[done.indexOf(true)];
        assert.deepEqual(bytes((await store.read(records[0]?.entry.id ?? ""))?.body), bytes(winner?.body));
      },

      "refuses other mementos, slots and entries with INVALID_ARGUMENT": async ({ store, make }) => {
        const { records, batch, last } = await threePacks(store, make);
        const [one, two] = records;
        assert.ok(one && two);
        const stranger = { ...two, entry: { ...two.entry, id: two.entry.id.replace(/.$/u, (end) => next(end)) } };
        const told = { ...two, entry: { ...two.entry, labels: { other: "label" } } };
        for (const others of [[two, one], [one], [one, stranger], [one, told]]) {
          const pack = { ...replacementOf(make, others, batch), ids: [one.entry.id] };
          await expectCode("INVALID_ARGUMENT", async () => await store.replacePack(pack));
        }
        const absent = { ...replacementOf(make, records, batch), ids: [last] };
        await expectCode("INVALID_ARGUMENT", async () => await store.replacePack(absent));
        await expectCode("INVALID_ARGUMENT", async () => await store.replacePack({ ...absent, ids: [] }));
        assert.deepEqual(bytes((await store.read(one.entry.id))?.body), bytes(batch.body));
        assert.deepEqual(await collect(store.check()), []);
      },

      "refuses plaintext in a sealed store with PLAINTEXT_REFUSED": async ({ make, emptyPlace }) => {
        const store = await (await emptyPlace()).open();
        await store.create(make.meta(true), make.key("integrity"));
        const timeline = await make.timeline(store);
        const records = [timeline.next()];
        const dataKey = make.key("data");
        const batch = make.batch(records, { dataKey, suite: "A256GCM" });
        expectAppended(await store.append(batch));
        const plain = replacementOf(make, records, batch);
        await expectCode("PLAINTEXT_REFUSED", async () => await store.replacePack(plain));
        assert.equal(await store.replacePack(replacementOf(make, records, batch, { dataKey, suite: "A256GCM" })), true);
      },

      "takes no pack under a retired key, with KEY_RETIRED, but a header alone": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const records = [timeline.next()];
        const [old, retired] = [make.key("data"), make.key("data")];
        const batch = make.batch(records, { dataKey: old, suite: "A256GCM" });
        expectAppended(await store.append(batch));
        const other = replacementOf(make, records, batch, { dataKey: retired, suite: "A256GCM" });
        expectAppended(await store.append(make.batch([timeline.next()], { dataKey: retired, suite: "A256GCM" })));
        assert.equal(await store.retireKey(retired.id), true);
        await expectCode("KEY_RETIRED", async () => await store.replacePack(other));
        await store.retireKey(old.id);
        await store.remove(other.ids, make.notice("removed", { mementos: other.ids }));
        const bare = { ...other, header: batch.header, body: null, dataKey: null, expectedHeaderDigest: null };
        assert.equal(await store.replacePack(bare), true);
      },

      "gives false for what is not there, and for what was reclaimed": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const absent = [timeline.record()];
        const unknown = replacementOf(make, absent, make.batch(absent));
        assert.equal(await store.replacePack(unknown), false);
        const records = [timeline.next()];
        const batch = make.batch(records);
        expectAppended(await store.append(batch));
        const ids = records.map(({ entry }) => entry.id);
        await store.remove(ids, make.notice("removed", { mementos: ids }));
        await store.reclaim(ids);
        assert.equal(await store.replacePack(replacementOf(make, records, batch)), false);
        assert.equal((await store.read(ids[0] ?? ""))?.body ?? null, null);
        assert.deepEqual(await collect(store.check()), []);
      },

      "leaves removed what is removed, refused what is refused, and frees the new body": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const records = [one.next(), two.record({ epoch: 9 }), one.next()];
        const batch = make.batch(records);
        await store.append(batch);
        const ids = [records[0], records[2]].map((record) => record?.entry.id ?? "");
        await store.remove(ids.slice(0, 1), make.notice("removed", { mementos: ids.slice(0, 1) }));
        const other = { ...replacementOf(make, records, batch), ids };
        assert.equal(await store.replacePack(other), true);
        assert.equal((await store.read(ids[0] ?? ""))?.removed, true);
        assert.equal((await store.read(ids[1] ?? ""))?.removed, false);
        assert.equal(await store.read(records[1]?.entry.id ?? ""), null);
        await store.remove(ids, make.notice("removed", { mementos: ids }));
        assert.deepEqual(await store.reclaim(ids), { packs: 1, bytes: other.body?.byteLength });
        assert.equal((await store.read(ids[1] ?? ""))?.body ?? null, null);
        assert.deepEqual(await collect(store.check()), []);
      },

      "keeps nothing but a header where nothing lives, and only there": async ({ store, make }) => {
        const { records, batch } = await threePacks(store, make);
        const bare = { ...replacementOf(make, records, batch), body: null, expectedHeaderDigest: null };
        await expectCode("INVALID_ARGUMENT", async () => await store.replacePack(bare));
        await store.remove(bare.ids, make.notice("removed", { mementos: bare.ids }));
        assert.equal(await store.replacePack(bare), true);
        assert.equal((await store.read(bare.ids[0] ?? ""))?.body ?? null, null);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },

  {
    method: "dropKey()",
    tests: {
      "takes a data key away for ever, and no other": async ({ store, make, second }) => {
        const timeline = await make.timeline(store);
        const [gone, kept] = [make.key("data"), make.key("data")];
        for (const dataKey of [gone, kept, gone])
          expectAppended(await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" })));
        assert.equal(await store.rewrapKey({ ...gone, ring: "ring-2", wrapped: "anew" }, "ring-1"), true);
        assert.equal(await store.dropKey(gone.id), true);
        assert.equal(await store.dropKey(gone.id), false);
        assert.equal(await store.rewrapKey({ ...gone, ring: "ring-3" }, "ring-2"), false);
        for (const each of [store, await second()]) {
          const ids = (await each.keys()).filter(({ purpose }) => purpose === "data").map(({ id }) => id);
          assert.deepEqual(ids, [kept.id]);
        }
      },

      "gives false for a key that is not there": async ({ store, make }) => {
        assert.equal(await store.dropKey(make.key("data").id), false);
        assert.equal((await store.keys()).length, 1);
      },

      "refuses the integrity key with INVALID_ARGUMENT": async ({ store }) => {
        const [key] = await store.keys();
        await expectCode("INVALID_ARGUMENT", async () => await store.dropKey(key?.id ?? ""));
        assert.deepEqual(await store.keys(), [key]);
      },

      "leaves a sound store when its packs were replaced or reclaimed": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const [gone, kept] = [make.key("data"), make.key("data")];
        const [first, rest] = [[timeline.next()], [timeline.next()]];
        const batch = make.batch(rest, { dataKey: gone, suite: "A256GCM" });
        expectAppended(await store.append(make.batch(first, { dataKey: gone, suite: "A256GCM" })));
        expectAppended(await store.append(batch));
        const ids = first.map(({ entry }) => entry.id);
        await store.remove(ids, make.notice("removed", { mementos: ids }));
        await store.reclaim(ids);
        assert.equal(
          await store.replacePack(replacementOf(make, rest, batch, { dataKey: kept, suite: "A256GCM" })),
          true,
        );
        assert.equal(await store.dropKey(gone.id), true);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },
];

/** Three packs in one timeline; the second one holds two mementos, and the cursor stands in front of it. */
async function threePacks(
  store: MementoStore,
  make: StoreFixture,
): Promise<{ records: AppendRecord[]; batch: AppendBatch; cursor: string | null; last: string }> {
  const timeline = await make.timeline(store);
  await timeline.save(store, { name: "gold" });
  const cursor = (await collect(store.commits(null))).at(-1)?.cursor ?? null;
  const records = [timeline.next({ labels: { a: "b" } }), timeline.next({ name: "silver" })];
  const batch = make.batch(records);
  expectAppended(await store.append(batch));
  const { id } = await timeline.save(store);
  return { records, batch, cursor, last: id };
}

/** A pack of the same records with another body, in the place of one that was made before. */
export function replacementOf(
  make: StoreFixture,
  records: readonly AppendRecord[],
  { header: stored }: Pick<AppendBatch, "header">,
  options: BatchOptions = {},
): PackReplacement {
  const { header, body, dataKey } = make.batch(records, { body: make.random.bytes(90), ...options });
  return {
    ids: records.map(({ entry }) => entry.id),
    header,
    body,
    dataKey,
    expectedHeaderDigest: sha256(stored),
  };
}

async function listed(store: MementoStore): Promise<unknown> {
  const rows = await collect(store.query(mementoQuery()));
  return rows.map(({ entry, removed, cursor }) => ({ entry, removed, cursor }));
}

const bytes = (content: Uint8Array | null | undefined): Buffer => Buffer.from(content ?? []);
const next = (end: string): string => (end === "a" ? "b" : "a");
const never = (): never => assert.fail("there is a pack for each");
