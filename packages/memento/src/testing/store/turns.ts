import assert from "node:assert/strict";

import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { expectAppended, type StoreFixture, TestTimeline } from "./fixture.ts";
import { collect, type StoreTestGroup } from "./kit.ts";
import { replacementOf } from "./replace.ts";

/** What the questions are about. */
interface Subject {
  readonly one: TestTimeline;
  readonly two: TestTimeline;
  /** The memento that is read. */
  memento: string;
  /** Behind which commit the log is read. */
  cursor: string | null;
}

/** Every question that a store answers. */
const QUESTIONS: Readonly<Record<string, (store: MementoStore, subject: Subject) => Promise<unknown>>> = {
  "keys()": async (store) => (await store.keys()).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  "timeline()": async (store, { one }) => await store.timeline(one.key),
  "findTimeline()": async (store, { two }) => await store.findTimeline(two.facts),
  "timelines()": async (store) => await collect(store.timelines(null)),
  "timelines() of a caretaker": async (store) => await collect(store.timelines("lab")),
  "read()": async (store, { memento }) => plain(await store.read(memento)),
  "glance()": async (store, { memento }) => await store.glance?.(memento),
  "findByName()": async (store) => await store.findByName("etl", "gold"),
  "query(), oldest first": async (store) => await collect(store.query(mementoQuery({ order: "ascending" }))),
  "query(), newest first": async (store) => await collect(store.query(mementoQuery({ removed: true }))),
  "query(), the newest": async (store) => await collect(store.query(mementoQuery({ limit: 1 }))),
  "query(), by a name": async (store) => await collect(store.query(mementoQuery({ caretaker: "etl", name: "gold" }))),
  "query(), by size": async (store) => await collect(store.query(mementoQuery({ sort: "size" }))),
  "commits()": async (store) => (await collect(store.commits(null))).map(plain),
  "commits() behind a cursor": async (store, { cursor }) => (await collect(store.commits(cursor))).map(plain),
  "caretaker()": async (store) => await store.caretaker("etl"),
  "caretakers()": async (store) => (await store.caretakers()).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  "check()": async (store) => await collect(store.check()),
};

/** Bytes as values that compare, whatever class a driver gives. */
function plain<T extends { readonly header: Uint8Array; readonly body: Uint8Array | null }>(pack: T | null): unknown {
  return pack && { ...pack, header: Buffer.from(pack.header), body: pack.body && Buffer.from(pack.body) };
}

/** Writes of every kind, each by the next of the openings; gives what each was. */
async function* writes(make: StoreFixture, next: () => MementoStore, subject: Subject): AsyncIterable<string> {
  const { one, two } = subject;
  await next().saveCaretaker(make.caretaker("etl", 1), make.notice("caretaker-saved"));
  yield "a caretaker";
  await next().createTimeline(one.facts, make.lease(0, null));
  yield "a timeline";
  await next().createTimeline(two.facts, make.lease(0, null));
  yield "another timeline";
  for (const { key } of [one, two]) {
    assert.equal(await next().acquireLease({ timeline: key, lease: make.lease(1) }), true);
    yield "a lease";
  }
  const first = await one.save(next(), { name: "gold", sizes: { logicalBytes: 200, heldBytes: 100 } });
  subject.memento = first.id;
  yield "a save";
  subject.cursor = (await collect(next().commits(null))).at(-1)?.cursor ?? null;
  const young = one.next({ name: "gold", replaceName: true });
  expectAppended(await next().append(make.batch([young, two.next()])));
  yield "a batch that takes a name over";
  assert.equal((await next().append(make.batch([two.record({ epoch: 9 })])))[0]?.outcome, "fenced");
  yield "a save that is refused";
  const dataKey = make.key("data", "lab");
  const pack = [two.next(), two.next()];
  const batch = make.batch(pack, { dataKey, suite: "A256GCM" });
  expectAppended(await next().append(batch));
  subject.memento = two.parent ?? "";
  yield "a pack under a new key";
  assert.equal(await next().rewrapKey({ ...dataKey, ring: "ring-2", wrapped: "anew" }, "ring-1"), true);
  yield "a key's other wrapping";
  const other = replacementOf(make, pack, batch);
  assert.equal(await next().replacePack(other), true);
  yield "another pack in the place";
  assert.equal(await next().retireKey(dataKey.id), true);
  yield "a retired key";
  assert.equal(await next().dropKey(dataKey.id), true);
  yield "a destroyed key";
  await next().note(make.notice("restored", { timeline: one.key }));
  yield "a notice";
  await next().requestOf(one.key, "pause");
  yield "a request";
  assert.notEqual(await next().renewLease({ timeline: one.key, lease: make.lease(1) }), null);
  yield "a lease's renewal";
  const gone = pack.map(({ entry }) => entry.id);
  assert.equal((await next().remove(gone, make.notice("removed", { caretaker: "lab", mementos: gone }))).length, 2);
  yield "a removal";
  assert.equal((await next().reclaim(gone)).packs, 1);
  yield "a pack's end";
  assert.equal(await next().releaseLease({ timeline: one.key, lease: make.lease(1, null) }, "owner-1"), true);
  yield "a lease's release";
  assert.equal(await next().acquireLease({ timeline: one.key, lease: make.lease(2) }), true);
  one.epoch = 2;
  yield "a takeover";
  subject.memento = (await one.save(next(), { name: "gold", replaceName: true })).id;
  yield "a save after a takeover";
  assert.equal(await next().saveCaretaker(make.caretaker("etl", 2), make.notice("caretaker-saved")), true);
  yield "a caretaker's change";
  for (let save = 0; save < 6; save++) {
    subject.memento = (await (save % 3 === 0 ? two : one).save(next())).id;
    yield "one of many saves";
  }
  for (const caretaker of ["etl", "lab"]) {
    const all = (await collect(next().query(mementoQuery({ caretaker })))).map(({ entry }) => entry.id);
    assert.equal((await next().remove(all, make.notice("cleaned", { caretaker, mementos: all }))).length, all.length);
    yield "the removal of all";
  }
  assert.equal(await next().removeCaretaker("etl", make.notice("caretaker-removed")), true);
  yield "a caretaker's end";
}

/** What one opening knows of what others do: it may remember what it has seen, and must not take it for what is. */
export const turnsTests: readonly StoreTestGroup[] = [
  {
    method: "openings in turns",
    appliesTo: ({ sharedBy }) => sharedBy !== "process",
    timeoutMs: 300_000,
    tests: {
      "each sees at once what another one did, whatever it asks": async ({ store, make, second }) => {
        const subject: Subject = {
          one: new TestTimeline(make, make.timelineRecord()),
          two: new TestTimeline(make, make.timelineRecord({ caretaker: "lab", partition: "p" })),
          memento: "",
          cursor: null,
        };
        const writers = [store, await second()];
        let turn = 0;
        const next = (): MementoStore => writers[turn++ % writers.length] ?? store;
        // An opening for each question, which asks nothing else: one answer makes another one's memory fresh.
        const askers = [];
        for (const [name, ask] of Object.entries(QUESTIONS)) askers.push({ name, ask, store: await second() });
        for (const { ask, store: asker } of askers) await ask(asker, subject);
        for await (const what of writes(make, next, subject)) {
          const witness = writers[turn % writers.length] ?? store;
          for (const { name, ask, store: asker } of askers) {
            const answer = await ask(asker, subject);
            assert.deepEqual(answer, await ask(witness, subject), `${name}, after ${what}`);
          }
        }
        const late = await second();
        for (const { name, ask, store: asker } of askers)
          assert.deepEqual(await ask(asker, subject), await ask(late, subject), `${name}, as a new opening sees it`);
      },
    },
  },
];
