import assert from "node:assert/strict";

import { decodeHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { expectAppended, headCheck } from "./fixture.ts";
import { collect, expectCode, type StoreTestGroup } from "./kit.ts";

const idsOf = async (store: MementoStore, removed: boolean): Promise<string[]> =>
  (await collect(store.query(mementoQuery({ order: "ascending", removed })))).map(({ entry }) => entry.id);

/** `remove` and `reclaim`. */
export const removeTests: readonly StoreTestGroup[] = [
  {
    method: "remove()",
    tests: {
      "hides mementos, logs the notice, and tells which were live": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const kept = await timeline.save(store);
        const gone = [await timeline.save(store), await timeline.save(store)].map(({ id }) => id);
        const unknown = `${timeline.key}-9-aaaaaa`;
        const notice = make.notice("removed", { mementos: gone });
        const live = await store.remove([gone[0] ?? "", unknown, "no id", gone[1] ?? "", gone[0] ?? ""], notice);
        assert.deepEqual(live.toSorted(), gone.toSorted());
        assert.deepEqual(await idsOf(store, false), [kept.id]);
        assert.deepEqual(await idsOf(store, true), [kept.id, ...gone]);
        assert.equal((await store.read(gone[0] ?? ""))?.removed, true);
        assert.equal((await store.read(kept.id))?.removed, false);
        const last = (await collect(store.commits(null))).at(-1);
        assert.deepEqual(Buffer.from(last?.header ?? []), Buffer.from(notice));
        assert.deepEqual({ body: last?.body, accepted: last?.accepted }, { body: null, accepted: [] });
        assert.deepEqual(await collect(store.check()), []);
      },

      "a repeat changes nothing and logs nothing": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const { id } = await timeline.save(store);
        const notice = make.notice("removed", { mementos: [id] });
        assert.deepEqual(await store.remove([id], notice), [id]);
        assert.deepEqual(await store.remove([id], notice), []);
        assert.deepEqual(await store.remove([], notice), []);
        assert.equal((await collect(store.commits(null))).length, 2);
        assert.deepEqual(await collect(store.check()), []);
      },

      "P8: is refused where a caretaker is not as it was seen when it was decided": async ({ store, make, second }) => {
        const timeline = await make.timeline(store);
        const [first, last] = [await timeline.save(store, { name: "gold" }), await timeline.save(store)];
        const other = await second();
        const remove = async (id: string, version: number): Promise<readonly string[]> =>
          await store.remove([id], make.notice("removed", { mementos: [id] }), { name: "etl", version });
        await expectCode("CONFLICT", () => remove(first.id, 1));
        for (const version of [1, 2]) {
          await other.saveCaretaker(make.caretaker("etl", version, { keep: version }), make.notice("caretaker-saved"));
          await expectCode("CONFLICT", () => remove(first.id, version - 1));
        }
        assert.deepEqual(await idsOf(store, false), [first.id, last.id]);
        assert.equal(await store.findByName("etl", "gold"), first.id);
        assert.equal((await collect(store.commits(null))).length, 4);
        assert.deepEqual(await remove(first.id, 2), [first.id]);
        // What is done already contradicts nothing.
        assert.deepEqual(await remove(first.id, 1), []);
        const lab = await make.timeline(store, { caretaker: "lab" });
        const { id } = await lab.save(store);
        const notice = make.notice("removed", { caretaker: "lab", mementos: [id] });
        assert.deepEqual(await store.remove([id], notice, { name: "lab", version: 0 }), [id]);
        assert.deepEqual(await collect(store.check()), []);
      },

      "P8: of a removal and a change of its caretaker at the same moment, one is told of the other": async ({
        store,
        make,
        second,
      }) => {
        const timeline = await make.timeline(store);
        const other = await second();
        for (let version = 1; version <= 12; version++) {
          const { id } = await timeline.save(store);
          const [removal] = await Promise.allSettled([
            store.remove([id], make.notice("removed", { mementos: [id] }), { name: "etl", version: version - 1 }),
            other.saveCaretaker(make.caretaker("etl", version, { keep: 1 }), make.notice("caretaker-saved")),
          ]);
          const commits = (await collect(store.commits(null))).map(({ header }) => decodeHeader(header, "a commit"));
          const kinds = commits.flatMap((header) => (header.type === "notice" ? [header.notice.kind] : []));
          const isFirst = kinds.at(-1) === "caretaker-saved" && kinds.at(-2) === "removed";
          assert.equal(removal.status === "fulfilled", isFirst, JSON.stringify(kinds.slice(-2)));
          if (removal.status === "rejected") assert.equal((await store.read(id))?.removed, false);
        }
      },

      "leaves the head, the place and the id taken": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const record = timeline.next();
        expectAppended(await store.append(make.batch([record])));
        const { id, sequence } = record.entry;
        await store.remove([id], make.notice("removed", { mementos: [id] }));
        assert.deepEqual((await store.timeline(timeline.key))?.head, {
          id,
          sequence,
          check: headCheck(timeline.key, id, sequence),
        });
        assert.equal((await store.append(make.batch([record])))[0]?.outcome, "conflict");
        const next = await timeline.save(store);
        assert.equal(next.sequence, 2);
        assert.deepEqual(await idsOf(store, false), [next.id]);
      },

      "frees the names of what it removes, and no others": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const old = await timeline.save(store, { name: "gold" });
        const silver = await timeline.save(store, { name: "silver" });
        const young = await timeline.save(store, { name: "gold", replaceName: true });
        await store.remove([old.id], make.notice("removed", { mementos: [old.id] }));
        assert.equal(await store.findByName("etl", "gold"), young.id);
        await store.remove([young.id], make.notice("removed", { mementos: [young.id] }));
        assert.equal(await store.findByName("etl", "gold"), null);
        assert.equal(await store.findByName("etl", "silver"), silver.id);
        const again = await timeline.save(store, { name: "gold" });
        assert.equal(await store.findByName("etl", "gold"), again.id);
        assert.deepEqual(await collect(store.check()), []);
      },
    },
  },

  {
    method: "reclaim()",
    tests: {
      "drops a body once every slot of its pack is removed, and counts it once": async ({ store, make }) => {
        const [one, two] = [await make.timeline(store), await make.timeline(store)];
        const refused = two.record({ epoch: 9 });
        const records = [one.next(), one.next(), refused];
        const batch = make.batch(records);
        await store.append(batch);
        const kept = await one.save(store);
        const ids = records.slice(0, 2).map(({ entry }) => entry.id);
        assert.deepEqual(await store.reclaim(ids), { packs: 0, bytes: 0 });
        await store.remove(ids.slice(0, 1), make.notice("removed", { mementos: ids.slice(0, 1) }));
        assert.deepEqual(await store.reclaim(ids), { packs: 0, bytes: 0 });
        const [, second = ""] = ids;
        assert.deepEqual(Buffer.from((await store.read(second))?.body ?? []), Buffer.from(batch.body));
        await store.remove([second], make.notice("removed", { mementos: [second] }));
        assert.deepEqual(await store.reclaim([...ids, kept.id, "no id"]), { packs: 1, bytes: batch.body.byteLength });
        assert.deepEqual(await store.reclaim(ids), { packs: 0, bytes: 0 });
        for (const id of ids) assert.equal((await store.read(id))?.body ?? null, null);
        assert.notEqual((await store.read(kept.id))?.body, null);
        assert.deepEqual(await idsOf(store, true), [...ids, kept.id]);
        assert.deepEqual(await collect(store.check()), []);
      },

      "keeps the log's header and order": async ({ store, make }) => {
        const timeline = await make.timeline(store);
        const record = timeline.next();
        const batch = make.batch([record]);
        await store.append(batch);
        const { id } = record.entry;
        await store.remove([id], make.notice("removed", { mementos: [id] }));
        await store.reclaim([id]);
        const [commit] = await collect(store.commits(null));
        assert.deepEqual(Buffer.from(commit?.header ?? []), Buffer.from(batch.header));
        assert.deepEqual({ body: commit?.body, accepted: commit?.accepted }, { body: null, accepted: [0] });
      },
    },
  },
];
