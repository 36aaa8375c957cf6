import type { MementoStore } from "../../store/store.ts";
import { expectAppended, type StoreFixture } from "./fixture.ts";

/** Uses every method that writes, so that the store holds a row of every kind. */
export async function fillStore(store: MementoStore, make: StoreFixture): Promise<void> {
  await store.saveCaretaker(make.caretaker("etl", 1, { keep: 3 }), make.notice("caretaker-saved"));
  const [one, two] = [await make.timeline(store), await make.timeline(store, { caretaker: "lab", partition: "p" })];
  const first = await one.save(store, { name: "gold" });
  expectAppended(
    await store.append(
      make.batch([one.next({ labels: { a: "b" } }), two.next(), one.next({ name: "gold", replaceName: true })]),
    ),
  );
  const dataKey = make.key("data", "lab");
  expectAppended(await store.append(make.batch([two.next({ name: "silver" })], { dataKey, suite: "A256GCM" })));
  await store.append(make.batch([two.record({ epoch: 9 }), one.next()]));
  const gone = await two.save(store, { name: "lead" });
  await store.remove([first.id], make.notice("removed", { mementos: [first.id] }));
  await store.remove([gone.id], make.notice("cleaned", { caretaker: "lab", mementos: [gone.id] }));
  await store.reclaim([first.id]);
  await store.note(make.notice("restored", { timeline: one.key }));
  await store.requestOf(one.key, "pause");
  await store.releaseLease({ timeline: two.key, lease: make.lease(1, null) }, "owner-1");
  await one.save(store);
}
