/**
 * Uses a SQLite store that has a replica, and dies by SIGKILL at one of the replica's calls. One JSON text as its only
 * argument; prints a line for each thing that was acknowledged, and at the end how many calls the replica got.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { fileReplicaState, replicateStore } from "../../packages/memento/src/store/wrap/index.ts";
import { chaosStore, killAt, type KillPoint } from "../../packages/memento/src/testing/chaos-store.ts";
import { expectAppended, StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { sealedBatch } from "../../packages/memento/src/testing/store/sealed-batch.ts";
import { fixtureReplicaAuthority } from "../harness/replica-content.ts";

/** What the worker is to do. */
export interface ReplicatorTask {
  readonly primary: string;
  readonly replica: string;
  readonly progress: string;
  readonly mode: "synchronous" | "streamed";
  readonly seed: number;
  readonly rounds: number;
  readonly kill: KillPoint | null;
}

/** What its lines say. */
export interface ReplicatorNews {
  readonly saved?: readonly string[];
  readonly removed?: string;
  readonly calls?: number;
}

const tell = (news: ReplicatorNews): void => void writeSync(1, `${JSON.stringify(news)}\n`);

const task = JSON.parse(process.argv[2] ?? "{}") as ReplicatorTask;
let calls = 0;
const bare: MementoStore = await SqliteStore.open({ path: task.replica });
const mortal = task.kill === null ? bare : chaosStore(bare, killAt(task.kill));
const replica = chaosStore(mortal, { before: () => void (calls += 1) });
const store = replicateStore({
  primary: await SqliteStore.open({ path: task.primary }),
  replicas: [{ store: replica, state: fileReplicaState(task.progress) }],
  mode: task.mode,
  authority: fixtureReplicaAuthority(),
  pollMs: 5,
});
const make = new StoreFixture(task.seed);
await store.create(make.meta(true), make.key("integrity"));
const [one, two] = [await make.timeline(store), await make.timeline(store)];
let dataKey = make.key("data");
let version = (await store.caretaker("etl"))?.version ?? 0;
for (let round = 0; round < task.rounds; round++) {
  version += 1;
  await store.saveCaretaker(make.caretaker("etl", version, { round }), make.notice("caretaker-saved"));
  const records = [one.next({ name: "last", replaceName: true }), two.next(), one.next()];
  expectAppended(await store.append(sealedBatch(make, records, dataKey)));
  const ids = records.map(({ entry }) => entry.id);
  tell({ saved: ids });
  const [doomed = ""] = ids;
  await store.remove([doomed], make.notice("removed", { mementos: [doomed] }));
  tell({ removed: doomed });
  await store.note(make.notice("restored", { details: { round } }));
  for (const line of [one, two]) {
    line.epoch += 1;
    if (!(await store.acquireLease({ timeline: line.key, lease: make.lease(line.epoch) }))) throw new Error("no lease");
  }
  // A secure deletion: what stays is sealed anew, then the key is destroyed.
  const fresh = make.key("data");
  await store.retireKey(dataKey.id);
  const { header, body } = sealedBatch(make, records, fresh);
  await store.replacePack({ ids, header, body, expectedHeaderDigest: null, dataKey: fresh });
  await store.dropKey(dataKey.id);
  await store.remove(ids.slice(1), make.notice("cleaned", { mementos: ids.slice(1) }));
  for (const id of ids.slice(1)) tell({ removed: id });
  await store.reclaim(ids);
  dataKey = fresh;
}
const { entry } = one.next();
expectAppended(
  await store.append(
    sealedBatch(
      make,
      [
        {
          entry,
          expectedSequence: entry.sequence - 1,
          headCheck: fixtureReplicaAuthority().headCheck(one.key, entry.id, entry.sequence),
          replaceName: false,
        },
      ],
      dataKey,
    ),
  ),
);
tell({ saved: [entry.id] });
await store.close();
tell({ calls });
