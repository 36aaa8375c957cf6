import { Memento, openReplicated } from "@mementojs/memento";
import {
  cacheStore,
  healthOf,
  limitStore,
  observeStore,
  openStore,
  promoteReplica,
  StoreMetrics,
} from "@mementojs/memento/store";
import { replicaAuthority } from "@mementojs/memento/vault";

// A save is acknowledged once the replica has it too; damage that a read meets is mended from there.
const { memento, store } = await openReplicated("sqlite:mementos.db", {
  replicas: [{ store: "file:replica", progressFile: "replica.progress" }],
  mode: "synchronous",
  onHealed: ({ id, from }) => console.log(`memento ${id} was mended from ${from ?? "nowhere"}`),
});
for (let page = 1; page <= 20; page++) await memento.caretaker("etl").save({ page });
const { engine, replicas } = await healthOf(store);
console.log(`${engine?.name}: the replica is ${replicas?.[0]?.commits} commits behind`);
await memento.close();

// The machine with the primary is lost: the replica becomes the store, and its old primary's writers are fenced.
const { store: bare } = await openStore("file:replica");
const metrics = new StoreMetrics();
const wrapped = observeStore(cacheStore(limitStore(bare, { callsAtOnceMax: 8 })), { metrics });
await using taken = await Memento.open(wrapped, { keys: { file: "mementos.db.key" } });
await promoteReplica(bare, { authority: replicaAuthority(taken.vault) });
await taken.caretaker("etl").save({ page: 21 });
console.log(await taken.caretaker("etl").latest(), `${metrics.snapshot()["append"]?.calls} save`);
